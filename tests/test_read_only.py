"""Frames in memory that nobody may write to are processed like any others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from live.rig import Rig
from numpy.testing import assert_array_equal

from greenroom import VirtualBackground
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.sources import Source
from greenroom.sources.synthetic_person import person_mask
from greenroom.testing import PERSON_RGB, ROOM_RGB, FakeCamera, PersonSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray


pytestmark = pytest.mark.usefixtures("no_thread_left")

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
BACKGROUNDS: Final = (
    "color:teal",
    "picture",
    "blur",
    "pixelate",
    "grayscale",
    "transparent",
    "none",
)
WAYS: Final[dict[str, dict[str, Any]]] = {
    "all of the picture": {
        "mirror": True,
        "framing": "follow",
        "low_light": 1.0,
        "light_wrap": 1.0,
        "match_light": 1.0,
        "overlay": "picture",
    },
    "fast": {"quality": "fast", "edge_shift": 1.0, "edge_softness": 1.0},
    "best": {"quality": "best", "people": "main", "keep_region": "5%,5%,10%,10%"},
    "hard": {"threshold": 0.5, "clean_edges": False, "smoothing": 0.0},
    "green screen": {"model": "chroma", "key_color": "#00b140"},
    "own model": {"segmenter": "read-only"},
}


def locked(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a copy of an array that cannot be written to, as one that is made of bytes."""
    return np.frombuffer(plane.tobytes(), np.uint8).reshape(plane.shape)


def frames(format_: Format, *, green: bool = False) -> list[Frame]:
    """Return three frames of a person that moves in front of a room with noise."""
    rng = np.random.default_rng(5)
    layout = Layout(160, 90, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
    made = []
    for number in range(3):
        rgb = np.clip(rng.integers(-10, 10, (90, 160, 3)) + ROOM_RGB, 0, 255).astype(np.uint8)
        if green:
            rgb[:] = 0x00, 0xB1, 0x40
        rgb[person_mask((90, 160), number)] = PERSON_RGB
        made.append(Frame.from_rgb(rgb).converted(layout))
    return made


class ReadOnly(PersonSegmenter):
    """Answers with memory that nobody may write to, as an array of another library's may be."""

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        coarse = super().segment(frame)
        coarse.flags.writeable = False
        return coarse


def filled_in(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Put a picture where one is named, and a segmenter where one is asked for."""
    made = {name: str(path) if value == "picture" else value for name, value in values.items()}
    return {**made, "segmenter": ReadOnly()} if "segmenter" in made else made


@pytest.fixture
def picture(make_picture: Callable[..., Path]) -> Path:
    """Return a picture."""
    return make_picture(np.full((36, 64, 3), (40, 120, 200), np.uint8))


def assert_same_results(values: dict[str, Any], given: list[Frame]) -> None:
    """Check that locked frames become what unlocked ones do, and are not copied for it."""
    results = []
    for lock in (False, True):
        with VirtualBackground(**values) as engine:
            results.append(
                [
                    engine.process(
                        Frame(tuple(locked(plane) for plane in frame.planes), frame.layout)
                        if lock
                        else frame
                    ).copy()
                    for frame in given
                ]
            )
    for unlocked, other in zip(*results, strict=True):
        for plane, same in zip(unlocked.all_planes, other.all_planes, strict=True):
            assert_array_equal(plane, same)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_background(background: str, format_: Format, picture: Path) -> None:
    """Read-only planes give what others give, with every background."""
    values = filled_in({"background": background}, picture)
    assert_same_results(values, frames(format_))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("way", WAYS)
def test_every_stage(way: str, format_: Format, picture: Path) -> None:
    """Read-only planes, and a read-only answer of a segmenter, go through every stage."""
    values = filled_in({"background": "picture", **WAYS[way]}, picture)
    assert_same_results(values, frames(format_, green=way == "green screen"))


def test_pictures_in_rgb(portrait: NDArray[np.uint8]) -> None:
    """A read-only RGB picture is processed like another."""
    results = []
    for picture in (portrait.copy(), locked(portrait)):
        with VirtualBackground(background="blur") as engine:
            results.append(engine.process_rgb(picture))
    assert_array_equal(results[0], results[1])


class LockedFrames(Source):
    """A camera whose frames are memory of its own."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.info = source.info

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        for frame in self._source:
            yield Frame(tuple(locked(plane) for plane in frame.planes), frame.layout).at(frame)

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()


def test_live() -> None:
    """A live source may give read-only frames: the person is shown, without a fault."""
    camera = FakeCamera()
    with Rig(open_source=lambda settings: LockedFrames(camera.open(settings))) as rig:
        rig.until_shown()
        rig.until_sent()
