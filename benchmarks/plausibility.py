"""Measure what the plausibility check lets through, and whom it refuses.

Three tables go to standard output. *Wrong mattes* are put in place of a model's answers, from the
first frame on and from the middle of a clip on: of the model ``selfie``, whose answers are refined,
and of one that makes mattes itself, which is given the true ones. *Empty rooms* are seen after
somebody has left within five frames, and from the start. *False alarms* are pictures of people from
which anything was taken, that were refused, or in which nobody is found.

The folder holds ``clips``, ``webcam``, ``portraits``, ``mixed`` and ``backgrounds``.

    python benchmarks/plausibility.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import cv2
import numpy as np
from quality import table

from greenroom.engine.engine import VirtualBackground
from greenroom.errors import ImplausibleMatteError, ProcessingError
from greenroom.matting import Plausibility
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.segmenters import Segmenter, SegmenterInfo, create_segmenter
from greenroom.settings import Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from greenroom.media.matte import Matte

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Wrong = Callable[[Floats, int, "Past"], Floats]

_CLIPS: Final = ("bbaf2n", "dancer_shot03", "mdn_a")
_MIDDLE: Final = 40
_WRONG_FRAMES: Final = 75
_FROZEN: Final = 30
# A frame shows the room when so large a share of it is room, farther than this from the person.
_SEEN: Final = 0.01
_REACH_PX: Final = 8
# Coverage, 0 to 255, that can be seen, and from which there is somebody.
_VISIBLE: Final = 13
_SOMEBODY: Final = 128
# Somebody stays, goes, and has gone for so many frames; sensor noise in 8-bit levels.
_STAYS, _GOES, _GONE = 40, 5, 70
_EMPTY: Final = 30
_NOISE: Final = 3.0
_COARSE: Final = (144, 256)


class Past:
    """A model's right answers so far, and those to another clip."""

    def __init__(self, others: list[Floats]) -> None:
        self.answers: list[Floats] = []
        self.others = others
        self.random = np.random.default_rng(7)


def _noisy_ones(right: Floats, _: int, past: Past) -> Floats:
    return _cut(1 - abs(past.random.normal(0, 0.1, right.shape)))


def _checkered(right: Floats, *_: object) -> Floats:
    rows, columns = np.indices(right.shape) // 8
    return _cut((rows + columns) % 2)


def _half(right: Floats, *_: object) -> Floats:
    wrong = np.zeros_like(right)
    wrong[:, : right.shape[1] // 2] = 1
    return wrong


def _dilated(right: Floats, *_: object) -> Floats:
    reach = round(60 / 360 * len(right))
    return _cut(cv2.dilate(right, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))


def _object(right: Floats, *_: object) -> Floats:
    wrong, (height, width) = right.copy(), right.shape
    wrong[height // 10 : height // 3, width // 20 : width // 4] = 1
    return wrong


def _growing(right: Floats, number: int, _: Past) -> Floats:
    reach = number * max(right.shape) // 50
    return _cut(cv2.dilate(right, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))


def _shifted(right: Floats, *_: object) -> Floats:
    return np.roll(right, right.shape[1] // 3, axis=1)


def _alternating(right: Floats, number: int, _: Past) -> Floats:
    return np.ones_like(right) if number % 2 else right


WRONG: Final[dict[str, Wrong]] = {
    "all ones": lambda right, *_: np.ones_like(right),
    "1x1 of ones": lambda *_: np.ones((1, 1), np.float32),
    "constant 0.3": lambda right, *_: np.full_like(right, 0.3),
    "constant 0.5": lambda right, *_: np.full_like(right, 0.5),
    "constant 0.7": lambda right, *_: np.full_like(right, 0.7),
    "constant 0.9": lambda right, *_: np.full_like(right, 0.9),
    "ones with noise": _noisy_ones,
    "random noise": lambda right, _, past: _cut(past.random.random(right.shape)),
    "checkerboard": _checkered,
    "inverted": lambda right, *_: 1 - right,
    "every other frame ones": _alternating,
    "growing to ones in 1 s": _growing,
    "left half ones": _half,
    "dilated by 60 px of 360": _dilated,
    "an object of the room besides": _object,
    "of another clip": lambda right, number, past: _fitted(
        past.others[number % len(past.others)], right.shape
    ),
    "shifted by a third": _shifted,
    "flipped top to bottom": lambda right, *_: np.ascontiguousarray(right[::-1]),
    "transposed": lambda right, *_: _fitted(np.ascontiguousarray(right.T), right.shape),
    "frozen since 30 frames": lambda _, number, past: past.answers[
        max(0, len(past.answers) - 1 - min(number, _FROZEN))
    ],
}


class _Wrong(Segmenter):
    """A segmenter whose answers are wrong from a frame on."""

    def __init__(self, model: Segmenter | None, wrong: Wrong, first: int, past: Past) -> None:
        self._model, self._wrong, self._first, self._past = model, wrong, first, past
        self.number = -1
        self.truth: Floats = np.zeros(_COARSE, np.float32)
        self.info = SegmenterInfo("wrong", "", "NumPy", "cpu", 1)
        self.makes_mattes = model is None

    def segment(self, frame: Frame) -> Floats:
        """See `Segmenter.segment`."""
        right = self.truth.copy() if self._model is None else self._model.segment(frame)
        self._past.answers.append(right)
        if self.number < self._first:
            return right
        return self._wrong(right, self.number - self._first, self._past)


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description="Measure the plausibility check.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=("wrong", "empty", "alarms"))
    options = parser.parse_args()
    tables = {"wrong": wrong_mattes, "empty": empty_rooms, "alarms": false_alarms}
    for name, make in tables.items():
        if options.only in {None, name}:
            print(make(options.data) + "\n", flush=True)


def wrong_mattes(data: Path) -> str:
    """Return a table of the % of frames that show the room, for every wrong matte."""
    clips = {name: _clip(data, name) for name in _CLIPS}
    rows = []
    with contextlib.closing(create_segmenter(Settings(background="color:black"))) as selfie:
        for name, wrong in WRONG.items():
            row = [name]
            for model, first in itertools.product((selfie, None), (0, _MIDDLE)):
                shown = [
                    share > _SEEN
                    for clip in _CLIPS
                    for share in _shares(clips, clip, model, wrong, first)
                ]
                row.append(f"{100 * np.mean(shown):.0f}")
            rows.append(row)
    head = ["", *("refined, from the start", "mid-stream", "mattes, from the start", "mid-stream")]
    return table(head, rows)


def _shares(
    clips: dict[str, list[tuple[Frame, Bytes]]],
    clip: str,
    model: Segmenter | None,
    wrong: Wrong,
    first: int,
) -> Iterator[float]:
    """Yield the share of the room in each frame since the answers are wrong."""
    other = clips[_CLIPS[(_CLIPS.index(clip) + 1) % len(_CLIPS)]]
    past = Past([_coarse(alpha) for _, alpha in other])
    segmenter = _Wrong(model, wrong, first, past)
    frames = (clips[clip] + clips[clip][::-1])[: first + _WRONG_FRAMES]
    with VirtualBackground(background="color:black", segmenter=segmenter) as engine:
        for number, (frame, alpha) in enumerate(frames):
            segmenter.number, segmenter.truth = number, _coarse(alpha)
            share = _room(engine, frame.shown_at(number, Fraction(1, 25), 1), alpha)
            if number >= first:
                yield share


def _room(engine: VirtualBackground, frame: Frame, alpha: Bytes) -> float:
    """Return how large a share of a frame is room that is shown: none if it is refused."""
    try:
        values = engine.process_matte(frame).planes[0]
    except ProcessingError:
        return 0.0
    reach = 2 * _REACH_PX + 1
    circle = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    near = cv2.dilate((alpha >= _VISIBLE).view(np.uint8), circle) > 0
    return float(np.mean((values >= _VISIBLE) & ~near))


def empty_rooms(data: Path) -> str:
    """Return a table of what is shown of rooms without anybody."""
    rows = []
    for clip, dark in itertools.product(_CLIPS[::2], (False, True)):
        people = [(frame.to_rgb(), alpha) for frame, alpha in _clip(data, clip)[:_STAYS]]
        if dark:
            people = [(_in_dark(rgb, alpha), alpha) for rgb, alpha in people]
        for room, picture in _rooms(data, people[0][1].shape).items():
            left = _scene(_leaving(people, picture), picture)[_STAYS + _GOES :]
            rows.append([f"{clip}{', dark clothes' if dark else ''}, {room}", *_told(left)])
    for room, picture in _rooms(data, (360, 640)).items():
        empty = itertools.repeat((picture, np.zeros((360, 640), np.uint8)), _EMPTY)
        rows.append([f"nobody, {room}", *_told(_scene(empty, picture))])
    return table(["empty room", "frames", "of these seen", "most % of a frame"], rows)


def _told(shares: list[float]) -> list[str]:
    seen = sum(share > 0 for share in shares)
    return [str(len(shares)), str(seen), f"{100 * max(shares):.2f}"]


def _scene(pictures: Iterator[tuple[Bytes, Bytes]], room: Bytes) -> list[float]:
    """Return the share of the room in each frame of a scene, to which noise is added."""
    noise = np.random.default_rng(3)
    layout = Layout(room.shape[1], room.shape[0], "yuv420p", Colour(1, 1))
    shares = []
    with VirtualBackground(background="color:black") as engine:
        for number, (rgb, alpha) in enumerate(pictures):
            values = np.clip(np.rint(rgb + noise.normal(0, _NOISE, rgb.shape)), 0, 255)
            frame = Frame.from_rgb(values.astype(np.uint8)).converted(layout)
            shares.append(_room(engine, frame.shown_at(number, Fraction(1, 25), 1), alpha))
    return shares


def _leaving(people: list[tuple[Bytes, Bytes]], room: Bytes) -> Iterator[tuple[Bytes, Bytes]]:
    """Yield pictures of somebody in front of a room who leaves fast, with the true coverage."""
    width = room.shape[1]
    for number in range(_STAYS + _GOES + _GONE):
        rgb, alpha = people[min(number, len(people) - 1)]
        aside = max(0, number - _STAYS + 1) / _GOES * width
        where = np.array([[1, 0, aside], [0, 1, 0]], np.float32)
        rgb, alpha = (
            np.asarray(cv2.warpAffine(one, where, (width, len(room))), np.uint8)
            for one in (rgb, alpha)
        )
        if number >= _STAYS + _GOES:
            alpha = np.zeros(room.shape[:2], np.uint8)
        share = np.asarray(alpha, np.float32)[..., None] / 255
        yield np.asarray(rgb * share + room * (1 - share)).astype(np.uint8), alpha


def _in_dark(rgb: Bytes, alpha: Bytes) -> Bytes:
    """Dress somebody as dark as the carpet, below the face."""
    rows = np.flatnonzero((alpha >= _VISIBLE).any(axis=1))
    chin = rows[0] + 0.42 * (len(alpha) - rows[0])
    below = np.clip((np.arange(len(alpha)) - chin) / 8, 0, 1)[:, None, None]
    dark = 12 + 0.21 * rgb.mean(axis=2, keepdims=True)
    return np.asarray(rgb * (1 - below) + dark * below).astype(np.uint8)


def _rooms(data: Path, shape: tuple[int, int]) -> dict[str, Bytes]:
    """Return the pictures of rooms, and one with a dark carpet, at a size."""
    rooms = {
        path.stem: _covering(cv2.imread(str(path)), shape)
        for path in sorted((data / "backgrounds").glob("*.jpg"))
    }
    carpet = rooms["room"].astype(np.float32)
    grain = np.asarray(cv2.GaussianBlur(np.random.default_rng(5).normal(0, 1, shape), (0, 0), 4))
    top = round(0.6 * shape[0])
    shade = np.linspace(0.7, 1.25, shape[0] - top)[:, None, None]
    carpet[top:] = ((38, 34, 36) + 7 * grain[top:, :, None] / grain.std()) * shade
    return {**rooms, "dark carpet": np.clip(carpet, 0, 255).astype(np.uint8)}


def _covering(
    bgr: Any,
    shape: tuple[int, int],
) -> Bytes:
    """Scale a picture so that it fills a shape, and cut it to it."""
    scale = max(shape[0] / bgr.shape[0], shape[1] / bgr.shape[1])
    scaled = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = ((long - short) // 2 for long, short in zip(scaled.shape, shape, strict=False))
    cut = scaled[top : top + shape[0], left : left + shape[1]]
    return np.asarray(cv2.cvtColor(cut, cv2.COLOR_BGR2RGB), np.uint8)


def false_alarms(data: Path) -> str:
    """Return a table of pictures of people in which something was not believed."""
    rows = []
    for folder in ("clips", "webcam"):
        paths = [path for path in sorted((data / folder).iterdir()) if ".alpha." not in path.name]
        rows += [[f"{folder}/{path.name}", *_alarms([path])] for path in paths]
    rows += [
        [folder, *_alarms(sorted((data / folder / "image").iterdir()))]
        for folder in ("portraits", "mixed")
    ]
    return table(["", "frames", "refused", "less of the matte", "nobody found"], rows)


def _alarms(paths: list[Path]) -> list[str]:
    """Return how many frames there are, and how many were refused, lost a part or have nobody."""
    count = refused = taken = nobody = 0
    believed = Plausibility.believed

    def watched(self: Plausibility, frame: Frame, matte: Matte, exempt: Floats | None) -> Matte:
        nonlocal taken
        result = believed(self, frame, matte, exempt)
        taken += result is not matte and bool(result.values.any())
        return result

    def refusing(self: Plausibility, frame: Frame, error: ImplausibleMatteError) -> Matte:
        nonlocal refused
        refused += 1
        return original(self, frame, error)

    original = Plausibility.refused
    with (
        mock.patch.object(Plausibility, "believed", watched),
        mock.patch.object(Plausibility, "refused", refusing),
        VirtualBackground(background="color:black", on_failure="cover") as engine,
    ):
        for path in paths:
            for frame in create_source(path, Settings()):
                values = engine.process_matte(frame).planes[0]
                nobody += not np.any(values >= _SOMEBODY)
                count += 1
            engine.reset()
    return [str(number) for number in (count, refused, taken, nobody)]


def _clip(data: Path, name: str) -> list[tuple[Frame, Bytes]]:
    path = data / "clips" / name
    pair = (create_source(path.with_suffix(end), Settings()) for end in (".mp4", ".alpha.mkv"))
    return [(frame, true.to_rgb()[:, :, 1]) for frame, true in zip(*pair, strict=True)]


def _coarse(alpha: Bytes) -> Floats:
    return _fitted(_cut(alpha / 255), _COARSE)


def _fitted(values: Floats, shape: tuple[int, ...]) -> Floats:
    return _cut(cv2.resize(values, shape[::-1], interpolation=cv2.INTER_AREA))


def _cut(values: Any) -> Floats:
    return np.asarray(np.clip(values, 0, 1), np.float32)


if __name__ == "__main__":
    main()
