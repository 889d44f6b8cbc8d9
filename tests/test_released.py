"""What is opened to be looked at is let go of when it is closed, while no garbage is collected."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from greenroom.backgrounds import create_background
from greenroom.settings import Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    """Have references alone decide how long something lives, as while a command starts."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Write a video of three frames."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), 90, np.uint8), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_source(video: Path) -> None:
    """A video that was opened and closed holds no decoder and no picture any more."""
    source = create_source(video, Settings())
    watched = weakref.ref(source)
    source.close()
    source.close()
    del source
    assert watched() is None


@pytest.mark.parametrize("spec", ["picture", "video", "folder", "beach", "blur", "color:teal"])
def test_background(spec: str, video: Path, tmp_path: Path) -> None:
    """Nor does a background, whatever it is."""
    (tmp_path / "folder").mkdir()
    picture = tmp_path / "folder" / "1.png"
    assert cv2.imwrite(str(picture), np.full((48, 64, 3), 90, np.uint8))
    files = {"picture": picture, "video": video, "folder": picture.parent}
    background = create_background(Settings(background=str(files.get(spec, spec))))
    watched = weakref.ref(background)
    background.close()
    del background
    assert watched() is None
