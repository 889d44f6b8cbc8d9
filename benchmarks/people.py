"""Measure ``people = main``: someone in front, a passer-by behind, of labelled clips.

The passer-by is a dancer, made smaller, who is put between the person in front and their room:
walks across, stays behind their shoulder, or is not there. What the engine shows of everybody and
what with ``main`` is compared with the truth, at the working size.

    python benchmarks/people.py --data ../shared/data [--out FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import cv2
import numpy as np

import greenroom
from greenroom import Colour, Frame, Layout
from greenroom.evaluation import metrics
from greenroom.settings import People

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]

RATE: Final = Fraction(25)
FRAMES: Final = 150
SCENES: Final = ("crosses", "stays", "nobody")
# How high the passer-by is, as a share of the frame's height.
HEIGHT: Final = 0.8
# Samples so near the edge of the person in front are nobody's fault.
MARGIN: Final = 3
# Frames of a sheet, and how wide each is.
SHOWN, SHOWN_WIDTH = 24, 320


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of a scene with what is true of it."""

    frame: Frame
    main: Plane
    passer_by: Plane


def main() -> int:
    """Measure every person in front in every scene and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="selfie")
    parser.add_argument("--out", type=Path, help="folder for sheets to look at")
    options = parser.parse_args()
    clips = sorted((options.data / "clips").glob("*.alpha.mkv"))
    if not clips:
        print(f"no clips in {options.data / 'clips'}. Say --data FOLDER.", file=sys.stderr)
        return 2
    dancers = [clip for clip in clips if clip.name.startswith("dancer")]
    talkers = [clip for clip in clips if clip not in dancers]
    print(
        "| passer-by | person in front | found % | seen % | worst frame % | IoU all | IoU main "
        "| worst loss |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for scene in SCENES:
        rows = []
        for number, clip in enumerate(talkers + (dancers if scene == "nobody" else [])):
            shots = compose(scene, clip, dancers[number % len(dancers)])
            name = clip.name.partition(".")[0]
            sheet = None if options.out is None else options.out / f"{scene}-{name}.png"
            rows.append(measure(shots, options.model, sheet))
            print_row(scene, name, rows[-1])
        print_row(scene, "**mean**", tuple(np.mean(rows, axis=0)))
    return 0


def print_row(scene: str, name: str, row: tuple[float, ...]) -> None:
    """Print a row of the table; there is no leak without a passer-by."""
    leaks = " | ".join("" if np.isnan(value) else f"{value:.1f}" for value in row[:3])
    print(
        f"| {scene} | {name} | {leaks} | {' | '.join(f'{value:.3f}' for value in row[3:6])} |",
        flush=True,
    )


def measure(shots: Iterator[Shot], model: str, sheet: Path | None) -> tuple[float, ...]:
    """Measure one scene.

    Returns
    -------
    tuple
        How many percent of the passer-by's samples in sight are found, are shown with
        ``main``, and are at most in one frame; the IoU of the person in front with ``all`` and
        ``main``, the most it loses in one frame.
    """
    rows, pictures = [], []
    settings = greenroom.Settings(model=model, background="color:#808080")
    with (
        greenroom.VirtualBackground(settings) as everybody,
        greenroom.VirtualBackground(settings, people=People.MAIN) as one,
    ):
        for number, shot in enumerate(shots):
            small = shot.frame.small_planes[0].shape
            alpha, kept = (
                reduced(engine.process_matte(shot.frame).planes[0], small)
                for engine in (everybody, one)
            )
            rows.append(
                compare(alpha, kept, reduced(shot.main, small), reduced(shot.passer_by, small))
            )
            if number % (FRAMES // SHOWN) == 0:
                pictures.append(drawn(shot.frame, alpha, kept))
    if sheet is not None:
        write_sheet(sheet, pictures)
    found, shown, visible, all_, main_ = np.array(rows).T
    if visible.any():
        seen = visible > 0.2 * visible.max()
        leaks = [
            100 * found.sum() / visible.sum(),
            100 * shown.sum() / visible.sum(),
            100 * (shown[seen] / visible[seen]).max(),
        ]
    else:
        leaks = 3 * [float("nan")]
    return (
        *leaks,
        float(all_.mean()),
        float(main_.mean()),
        float((all_ - main_).max()),
    )


def compare(alpha: Floats, kept: Floats, main: Floats, passer_by: Floats) -> tuple[float, ...]:
    """Count the passer-by's samples found, shown and in sight; IoU of the main person."""
    near = cv2.dilate(main, np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)) > 0.1
    theirs = (passer_by > 0.5) & ~near
    elsewhere = passer_by < 0.1
    ious = [
        metrics.iou(np.where(elsewhere, one, 0), np.where(elsewhere, main, 0))
        for one in (alpha, kept)
    ]
    return (
        float((theirs & (alpha > 0.5)).sum()),
        float((theirs & (kept > 0.5)).sum()),
        float(theirs.sum()),
        *ious,
    )


def compose(scene: str, front: Path, behind: Path) -> Iterator[Shot]:
    """Put the passer-by between the person in front and their room; clips go to and fro."""
    clip, passers = read(front), read(behind)
    height, width = clip[0][1].shape
    height, width = height // 2 * 2, width // 2 * 2
    top, bottom, left, right = box([alpha for _, alpha in passers])
    scale = HEIGHT * height / (bottom - top)
    size = round(scale * (right - left)), round(scale * (bottom - top))
    for number in range(FRAMES):
        rgb, main_ = (part[:height, :width] for part in clip[to_and_fro(number, len(clip))])
        own, cover = passers[to_and_fro(number, len(passers))]
        x = place(scene, number / FRAMES, width, size[0])
        move = np.array([[1, 0, x], [0, 1, height - size[1]]], np.float64)
        own, cover = (
            cv2.warpAffine(
                cv2.resize(part[top:bottom, left:right], size, interpolation=cv2.INTER_AREA),
                move,
                (width, height),
            ).astype(np.uint8)
            for part in (own, cover)
        )
        if scene == "nobody":
            cover[:] = 0
        a, b = main_[..., None] / 255, cover[..., None] / 255
        mixed = a * rgb + (1 - a) * (b * own + (1 - b) * rgb)
        picture = Frame.from_rgb(np.asarray(mixed + 0.5, np.uint8))
        frame = picture.converted(Layout(width, height, "yuv420p", Colour(1, 1)))
        shown = np.asarray((1 - a[..., 0]) * cover + 0.5, np.uint8)
        yield Shot(frame.shown_at(number, 1 / RATE), main_, shown)


def place(scene: str, share: float, width: int, own: int) -> float:
    """Say where the passer-by's left side is at a share of the time."""
    if scene == "crosses":  # from the left in, behind, and out at the right, in 4 of 6 seconds
        return -own + (width + own) * (share - 0.1) / 0.67
    arrived = width * 0.7 - own / 2
    return max(arrived, width - (width - arrived) * (share - 0.1) / 0.3)


def read(alpha: Path) -> list[tuple[Plane, Plane]]:
    """Read a clip and its true matte."""
    clip = alpha.with_name(alpha.name.replace(".alpha.mkv", ".mp4"))
    with av.open(clip) as pictures, av.open(alpha) as mattes:
        both = zip(pictures.decode(video=0), mattes.decode(video=0), strict=True)
        return [
            (
                np.asarray(picture.to_ndarray(format="rgb24"), np.uint8),
                np.asarray(matte.to_ndarray(format="gray"), np.uint8),
            )
            for picture, matte in both
        ]


def to_and_fro(number: int, count: int) -> int:
    """Return the number of a frame of a clip that is played forwards and backwards."""
    number %= 2 * count - 2
    return number if number < count else 2 * count - 2 - number


def box(mattes: list[Plane]) -> tuple[int, int, int, int]:
    """Return the rows and columns that somebody is ever in."""
    ever = np.maximum.reduce(mattes) > 127
    rows, columns = np.flatnonzero(ever.any(axis=1)), np.flatnonzero(ever.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def reduced(plane: Plane, shape: tuple[int, ...]) -> Floats:
    """Return a matte at the working size, 0 to 1."""
    small = cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def drawn(frame: Frame, alpha: Floats, kept: Floats) -> Plane:
    """Draw what is kept as it is, what is taken away red, the rest gray."""
    rgb = cv2.resize(frame.to_rgb(), alpha.shape[::-1], interpolation=cv2.INTER_AREA)
    gray = np.full_like(rgb, 128)
    red = np.asarray(rgb // 3 + np.array([150, 0, 0], np.uint8), np.uint8)
    gone = (alpha - kept)[..., None]
    picture = kept[..., None] * rgb + gone * red + (1 - alpha[..., None]) * gray
    size = SHOWN_WIDTH, SHOWN_WIDTH * alpha.shape[0] // alpha.shape[1]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def write_sheet(path: Path, pictures: list[Plane]) -> None:
    """Write pictures in rows of six."""
    rows = [np.hstack(pictures[start : start + 6]) for start in range(0, SHOWN, 6)]
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.vstack(rows)[:, :, ::-1])


if __name__ == "__main__":
    sys.exit(main())
