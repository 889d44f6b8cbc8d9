"""``greenroom plate record``: a picture of the empty room."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from greenroom.engine.engine import VirtualBackground

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from e2e.conftest import Run
    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout

    Plane = NDArray[np.uint8]


class LearnedRoom:
    """A plate of one colour that is known from the left on."""

    def __init__(self, share: float) -> None:
        self.share = share

    def to_picture(self, layout: Layout) -> Plane:
        """Return RGBA of the frames' size."""
        picture = np.zeros((layout.height, layout.width, 4), np.uint8)
        picture[..., :3] = 200, 100, 50
        picture[:, : round(self.share * layout.width), 3] = 255
        return picture


class Learner:
    """Stands in for what the engine learns, and counts what it sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, share: float | None) -> None:
        self.seen = 0
        original = VirtualBackground.process_matte

        def process_matte(engine: VirtualBackground, frame: Frame) -> Frame:
            self.seen += 1
            return original(engine, frame)

        def clean_plate(_: VirtualBackground) -> Any:
            return None if share is None or not self.seen else LearnedRoom(share)

        monkeypatch.setattr(VirtualBackground, "process_matte", process_matte)
        monkeypatch.setattr(VirtualBackground, "clean_plate", property(clean_plate), raising=False)


def read(path: Path) -> Plane:
    """Read a picture as RGBA."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape[2] == 4
    return np.asarray(picture[..., [2, 1, 0, 3]], np.uint8)


def test_writes_what_is_known(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RGB of the frame's size, with alpha where it is known; how much is said, to the user only."""
    learner = Learner(monkeypatch, 0.75)
    result = run("plate", "record", clip, "room.png", "--seconds", "0.4")
    assert (result.status, result.out, result.err) == (
        0,
        "room.png: 75 % of the room is known\n",
        "",
    )
    assert learner.seen == 10
    assert os.name == "nt" or stat.S_IMODE((tmp_path / "room.png").stat().st_mode) == 0o600
    picture = read(tmp_path / "room.png")
    assert picture.shape == (64, 96, 4)
    assert (picture[..., :3] == (200, 100, 50)).all()
    assert (picture[:, :72, 3] == 255).all()
    assert (picture[:, 72:, 3] == 0).all()


def test_a_short_input_is_taken_whole(
    run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An input that ends before the time is up is enough."""
    learner = Learner(monkeypatch, 1)
    assert run("plate", "record", clip, "room.png").status == 0
    assert learner.seen == 20


@pytest.mark.parametrize("share", [None, 0.49])
def test_too_little_is_an_error(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float | None
) -> None:
    """Less than half of the room is no plate: nothing is written."""
    Learner(monkeypatch, share)
    result = run("plate", "record", clip, "room.png", "--seconds", "0.2")
    assert result.status == 1
    assert f"only {100 * (share or 0):.0f} % became known" in result.err
    assert [path.name for path in tmp_path.iterdir()] == [clip.name]


def test_output_is_not_replaced(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there stays, unless ``--overwrite`` is given; the input always."""
    learner = Learner(monkeypatch, 1)
    (tmp_path / "room.png").write_bytes(b"mine")
    result = run("plate", "record", clip, "room.png")
    assert (result.status, learner.seen) == (1, 0)
    assert "is there already" in result.err
    assert (tmp_path / "room.png").read_bytes() == b"mine"
    assert run("plate", "record", clip, "room.png", "--overwrite").status == 0
    assert read(tmp_path / "room.png")[..., 3].min() == 255


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clip.mp4", "room.jpg"), "expected the name of a .png"),
        (("clip.mp4", "missing/room.png"), "there is no folder 'missing'"),
        (("clip.mp4", "room.png", "--seconds", "0"), "0"),
        (("nowhere.mp4", "room.png"), "nowhere.mp4"),
        (("one.png", "room.png"), "expected a video"),
    ],
)
def test_wrong_usage(
    run: Run,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """What cannot work is told before anything is watched."""
    tmp_path = clip.parent
    learner = Learner(monkeypatch, 1)
    assert cv2.imwrite(str(tmp_path / "one.png"), np.zeros((8, 8, 3), np.uint8))
    result = run("plate", "record", *arguments)
    assert result.status in (1, 2)
    assert said in result.err
    assert learner.seen == 0
    assert {path.name for path in tmp_path.iterdir()} == {clip.name, "one.png"}


def test_demo(run: Run, portrait: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstration is an input too."""
    assert portrait.size
    learner = Learner(monkeypatch, 0.6)
    assert run("plate", "record", "demo", "room.png", "--seconds", "0.12").status == 0
    assert learner.seen == 3
    assert read(tmp_path / "room.png").shape == (720, 1280, 4)
