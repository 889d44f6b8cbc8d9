"""What the tests of whole commands share."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from greenroom.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Run = Callable[..., "Result"]


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    """Return a function that runs greenroom in this process, in the test's folder."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: cache)
    log = logging.getLogger("greenroom")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", log.propagate)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            app([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        status = ended.value.code
        return Result(status if isinstance(status, int) else 0, captured.out, captured.err)

    yield call
    log.handlers = []


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return an H.264 clip of 20 frames, 96x64."""
    return write_clip(tmp_path / "clip.mp4", (96, 64), 20)


def write_clip(path: Path, size: tuple[int, int], count: int, rate: int = 25) -> Path:
    """Write a clip of noise in one colour."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        rng = np.random.default_rng(5)
        for number in range(count):
            picture: NDArray[np.uint8] = rng.integers(90, 120, (size[1], size[0], 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
                threads=1, format="yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
