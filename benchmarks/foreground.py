"""Measure how much of the old room is left in the colour of soft edges.

The labelled clips hold people over a room that stands still. Where the true coverage of a
sample is 0 in some frames, their median is the room B there, up to the exposure of each frame,
which is fitted. The true composite over another background N then needs nobody's colours: of
what a camera mixed, I = aF + (1 - a)B, it is aF + (1 - a)N = I + (1 - a)(N - B).

The error is the mean absolute difference from that, of RGB in 8-bit levels, where the room is
known and coverage is between 0.02 and 0.98 (with the true matte) or within 8 pixels of the true
edge (with greenroom's own).

    python benchmarks/foreground.py --data ../shared/data [--out FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import cv2
import numpy as np

import greenroom
from greenroom import Frame
from greenroom.compositing import composite
from greenroom.evaluation.metrics import BAND_PX
from greenroom.matting import edge_colours
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Planes = tuple[Floats, ...]

BACKGROUNDS: Final = {"green": (0, 177, 64), "dark": (16, 20, 28), "white": (240, 240, 240)}
METHODS: Final = ("own samples", "clean edges")
# Of every clip so many frames are scored, evenly over its time.
SCORED: Final = 12
# In so many frames a sample has to be clear for the room to be known there.
CLEAR_FRAMES: Final = 5


@dataclass(frozen=True)
class Shot:
    """One frame with what is true of it: coverage, the room's samples, and where it is known."""

    frame: Frame
    truth: Matte
    own: Matte
    room: Planes
    known: NDArray[np.bool_]


def main() -> int:
    """Measure every clip and print two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, help="folder for pictures to look at")
    options = parser.parse_args()
    clips = sorted((options.data / "clips").glob("*.alpha.mkv"))
    if not clips:
        print(f"no clips in {options.data / 'clips'}. Say --data FOLDER.", file=sys.stderr)
        return 2
    names = [clip.name.removesuffix(".alpha.mkv") for clip in clips]
    errors = {
        (kind, background, method): np.full(len(clips), np.nan)
        for kind in ("true", "own")
        for background in BACKGROUNDS
        for method in METHODS
    }
    for number, clip in enumerate(clips):
        results = list(shots(clip))
        for (kind, background, method), row in errors.items():
            row[number] = error(results, kind, background, method)
        if options.out is not None:
            _write_sheet(options.out / f"{names[number]}.png", results[len(results) // 2])
    for kind in ("true", "own"):
        print(f"| {kind} matte, over | colours | {' | '.join(names)} | mean |")
        print("| --- | --- |" + " ---: |" * (len(names) + 1))
        for background in BACKGROUNDS:
            for method in METHODS:
                row = errors[kind, background, method]
                cells = [f"{value:.1f}" for value in (*row, row.mean())]
                print(f"| {background} | {method} | {' | '.join(cells)} |")
        print()
    return 0


def error(results: Sequence[Shot], kind: str, background: str, method: str) -> float:
    """Return the mean error of one way to composite over the frames of a clip."""
    total, count = 0.0, 0
    for shot in results:
        band = shot.known & _band(shot.truth.values, kind)
        matte = shot.truth if kind == "true" else shot.own
        shown = render(shot, matte, background, method)
        behind = Frame.filled(shot.frame.layout, BACKGROUNDS[background])
        differences = []
        for index, (plane, room, new) in enumerate(
            zip(shot.frame.planes, shot.room, behind.planes, strict=True)
        ):
            share = shot.truth.for_plane(plane.shape) / np.float32(255)
            true = plane + (1 - share) * (new.astype(np.float32) - room)
            differences.append(_enlarged(shown.planes[index] - true, band.shape)[band])
        matrix = shot.frame.layout.to_rgb_matrix()[:, :3]
        total += float(np.abs(255 * matrix @ np.stack(differences)).mean(axis=0).sum())
        count += int(band.sum())
    return total / count if count else float("nan")


def render(shot: Shot, matte: Matte, background: str, method: str) -> Frame:
    """Composite a frame over a plain background."""
    behind = Frame.filled(shot.frame.layout, BACKGROUNDS[background])
    if method == METHODS[0]:
        return composite(shot.frame, matte, behind)
    return composite(shot.frame, matte, behind, edge_colours(shot.frame, matte))


def shots(alpha: Path) -> Iterator[Shot]:
    """Yield the frames of a clip that are scored."""
    clip = alpha.with_name(alpha.name.replace(".alpha.mkv", ".mp4"))
    frames, truths, mattes = [], [], []
    with (
        av.open(clip) as pictures,
        av.open(alpha) as coverage,
        greenroom.VirtualBackground(background="color:black") as engine,
    ):
        both = zip(pictures.decode(video=0), coverage.decode(video=0), strict=True)
        for picture, truth in both:
            frame = Frame.from_av(picture)
            engine.process(frame)
            assert engine.matte is not None
            frames.append(frame)
            mattes.append(Matte(engine.matte))
            truths.append(Matte(np.ascontiguousarray(truth.to_ndarray(format="gray"), np.uint8)))
    rooms = [
        room_of(
            np.stack([frame.planes[index] for frame in frames]),
            np.stack([truth.for_plane(frames[0].planes[index].shape) for truth in truths]),
        )
        for index in range(len(frames[0].planes))
    ]
    known = np.logical_and.reduce(
        [_enlarged(where, truths[0].values.shape) for _, where, _ in rooms]
    )
    for number in np.linspace(0, len(frames) - 1, SCORED).astype(int):
        room = tuple(plane * light[number, 0] + light[number, 1] for plane, _, light in rooms)
        yield Shot(frames[number], truths[number], mattes[number], room, known)


def room_of(samples: Plane, coverage: Plane) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Find the room of a clip: its samples, where they are known, each frame's gain and offset."""
    clear = coverage == 0
    known = clear.sum(axis=0) >= CLEAR_FRAMES
    light = np.tile(np.array([1, 0], np.float32), (len(samples), 1))
    room = np.zeros(samples.shape[1:], np.float32)
    for _ in range(2):
        even = (samples - light[:, 1, None, None]) / light[:, 0, None, None]
        even[~clear] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # where nothing is ever clear
            room = np.nan_to_num(np.nanmedian(even, axis=0)).astype(np.float32)
        for number, frame in enumerate(samples):
            seen = clear[number] & known
            light[number] = np.polyfit(room[seen], frame[seen], 1)
    return room, known, light


def _band(truth: Plane, kind: str) -> NDArray[np.bool_]:
    """Return where colours are scored."""
    if kind == "true":
        return (truth > 0.02 * 255) & (truth < 0.98 * 255)
    size = 2 * BAND_PX + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    inside = (truth > 127).astype(np.uint8)
    return np.asarray((cv2.dilate(inside, disk) > 0) & (cv2.erode(inside, disk) == 0))


def _enlarged(plane: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Repeat the samples of 4:2:0 chroma."""
    if plane.shape == shape:
        return plane
    return np.repeat(np.repeat(plane, 2, axis=0), 2, axis=1)[: shape[0], : shape[1]]


def _resized(plane: Floats, shape: tuple[int, ...]) -> Floats:
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _write_sheet(path: Path, shot: Shot) -> None:
    """Write the frame and every composite of it, with both mattes."""
    rows = []
    for matte in (shot.truth, shot.own):
        for background in BACKGROUNDS:
            shown = [render(shot, matte, background, method).to_rgb() for method in METHODS]
            rows.append(np.hstack([shot.frame.to_rgb(), *shown]))
    cv2.imwrite(str(path), np.vstack(rows)[:, :, ::-1])


if __name__ == "__main__":
    sys.exit(main())
