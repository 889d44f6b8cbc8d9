"""Wrong mattes in the engine, and rooms without anybody: no pixel of the room leaves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import pytest
import skimage.data

from greenroom import VirtualBackground
from greenroom.errors import ImplausibleMatteError, ProcessingError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.sources import create_source
from greenroom.testing import PersonSegmenter, PersonSource, count_room_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

CLIPS: Final = Path(__file__).parents[3] / "shared/data/clips"
GONE: Final = 40
RANDOM: Final = np.random.default_rng(1)
WRONG: Final[dict[str, Callable[[Floats], Floats]]] = {
    "ones": np.ones_like,
    "one sample": lambda _: np.ones((1, 1), np.float32),
    "0.3": lambda right: np.full_like(right, 0.3),
    "0.5": lambda right: np.full_like(right, 0.5),
    "0.9": lambda right: np.full_like(right, 0.9),
    "noise": lambda right: RANDOM.random(right.shape, np.float32),
    "ones with noise": lambda right: 1 - RANDOM.random(right.shape, np.float32) / np.float32(4),
    "checkerboard": lambda right: (np.indices(right.shape).sum(axis=0) % 2).astype(np.float32),
    "inverted": lambda right: 1 - right,
}

pytestmark = pytest.mark.usefixtures("no_thread_left")


class WrongSegmenter(PersonSegmenter):
    """Finds the synthetic person, and from a frame on something else."""

    def __init__(self, wrong: str, first: int, *, makes_mattes: bool) -> None:
        super().__init__()
        self._wrong, self._first = WRONG[wrong], first
        self.makes_mattes = makes_mattes
        self.number = 0

    def segment(self, frame: Frame) -> Floats:
        """See `Segmenter.segment`."""
        right = super().segment(frame)
        return right if self.number < self._first else self._wrong(right)


@pytest.mark.parametrize("makes_mattes", [True, False], ids=["mattes", "refined"])
@pytest.mark.parametrize("first", [0, 15])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_mattes_show_no_room(wrong: str, first: int, makes_mattes: bool) -> None:
    """Whatever is wrong with well-formed answers, from the start or later, nothing is shown."""
    segmenter = WrongSegmenter(wrong, first, makes_mattes=makes_mattes)
    with VirtualBackground(background="color:teal", segmenter=segmenter) as vb:
        for segmenter.number in range(first + 20):
            result = vb.process(PersonSource().frame(segmenter.number))
            assert segmenter.number < first or count_room_pixels(result) == 0
        assert vb.failures == 0


@pytest.mark.parametrize("policy", ["stop", "cover"])
def test_when_it_lasts(policy: str) -> None:
    """After two seconds it is an error that says why, or the cover."""
    segmenter = WrongSegmenter("ones", 0, makes_mattes=True)
    with VirtualBackground(background="blur", segmenter=segmenter, on_failure=policy) as vb:
        for number in range(50):
            vb.process(PersonSource().frame(number))
        if policy == "cover":
            assert count_room_pixels(vb.process(PersonSource().frame(50))) == 0
            assert vb.failures == 1
            return
        with pytest.raises(ProcessingError, match=r"at 2\.000 s .* everywhere") as caught:
            vb.process(PersonSource().frame(50))
        assert isinstance(caught.value.__cause__, ImplausibleMatteError)


def carpeted(shape: tuple[int, int]) -> Bytes:
    """Draw a room with shelves and a dark carpet, which the model takes for clothes."""
    random = np.random.default_rng(5)
    height, width = shape
    small = random.integers(90, 230, (height // 40 + 1, width // 40 + 1, 3), np.uint8)
    room = np.kron(small, np.ones((40, 40, 1), np.uint8))[:height, :width].astype(np.float32)
    grain = np.asarray(cv2.GaussianBlur(random.normal(0, 1, shape), (0, 0), 4))
    top = round(0.6 * height)
    shade = np.linspace(0.7, 1.25, height - top)[:, None, None]
    room[top:] = ((38, 34, 36) + 7 * grain[top:, :, None] / grain.std()) * shade
    return np.clip(room, 0, 255).astype(np.uint8)


def leaving(rgb: Bytes, alpha: Bytes, room: Bytes, stays: int = 15) -> Iterator[Frame]:
    """Yield frames of somebody who stays, leaves within five frames, and has gone."""
    random = np.random.default_rng(3)
    height, width = alpha.shape
    for number in range(stays + 5 + GONE):
        aside = max(0, number - stays + 1) / 5 * width
        where = np.array([[1, 0, aside], [0, 1, 0]], np.float32)
        share = cv2.warpAffine(alpha, where, (width, height)).astype(np.float32)[..., None] / 255
        shown = cv2.warpAffine(rgb, where, (width, height)) * share + room * (1 - share)
        shown += random.normal(0, 3, shown.shape)
        frame = Frame.from_rgb(np.clip(np.rint(shown), 0, 255).astype(np.uint8))
        yield frame.converted(Layout(width, height, "yuv420p", Colour(1, 1))).shown_at(
            number, Fraction(1, 25), 1
        )


def seen_after(frames: Iterator[Frame], gone: int) -> list[int]:
    """Return how many samples are shown in each frame since everybody has gone."""
    with VirtualBackground(background="color:teal") as vb:
        mattes = [vb.process_matte(frame).planes[0] for frame in frames]
    return [int(np.count_nonzero(values)) for values in mattes[gone:]]


def test_an_astronaut_leaves() -> None:
    """Of a room with a dark carpet nothing is seen once nobody is there."""
    rgb = np.ascontiguousarray(skimage.data.astronaut()[:, 40:400])
    rgb = np.asarray(cv2.copyMakeBorder(rgb, 0, 0, 140, 140, cv2.BORDER_CONSTANT))
    with VirtualBackground(background="color:teal") as vb:
        alpha = vb.process_matte(Frame.from_rgb(rgb)).planes[0]
    room = carpeted(alpha.shape)
    assert (alpha > 127).mean() > 0.2
    assert seen_after(leaving(rgb, alpha, room), 20) == [0] * GONE


def test_nobody_from_the_start() -> None:
    """Of a room in which nobody ever was nothing is seen."""
    room = carpeted((360, 640))
    nobody = np.zeros((360, 640), np.uint8)
    assert seen_after(leaving(room, nobody, room), 0) == [0] * (20 + GONE)


@pytest.mark.parametrize("clip", ["mdn_a", "bbaf2n"])
@pytest.mark.parametrize("kind", ["a dark carpet", "a bed"])
def test_real_people_leave(clip: str, kind: str) -> None:
    """Nor is anything of rooms which the model takes for people."""
    if not CLIPS.is_dir():
        pytest.skip(f"the labelled clips are not in {CLIPS}")
    frame, true = (
        next(iter(create_source(CLIPS / f"{clip}{end}", Settings())))
        for end in (".mp4", ".alpha.mkv")
    )
    alpha = true.to_rgb()[:, :, 1]
    room = carpeted(alpha.shape)
    if kind == "a bed":
        photo = cv2.imread(str(CLIPS.parent / "backgrounds/room.jpg"))
        assert photo is not None
        scale = max(alpha.shape[0] / photo.shape[0], alpha.shape[1] / photo.shape[1])
        scaled = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rows, columns = ((big - one) // 2 for big, one in zip(scaled.shape, alpha.shape))  # noqa: B905
        cut = scaled[rows : rows + alpha.shape[0], columns : columns + alpha.shape[1]]
        room = np.ascontiguousarray(cut[..., ::-1])
    assert seen_after(leaving(frame.to_rgb(), alpha, room), 20) == [0] * GONE
