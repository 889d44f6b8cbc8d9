"""Measure the chroma key: people of labelled clips in front of screens that are drawn.

The light of the screen falls off by a third toward the corners, the camera's noise has a
standard deviation of 3 levels, and the screen shines on the person's edges.

    python benchmarks/chroma.py --data ../shared/data [--out FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import cv2
import numpy as np

import greenroom
from greenroom import Colour, Frame, Layout
from greenroom.evaluation import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float64]

SCREENS: Final = {"green": (0, 177, 64), "blue": (0, 71, 187), "badly lit green": (60, 120, 60)}
LAYOUTS: Final = {
    "yuv420p": Colour(1, 1),
    "yuv444p": Colour(6, 2),
    "gbrp": Colour(0, 2),
}
NOISE: Final = 3.0
SPILL: Final = 0.15
# Every fourth frame, up to twenty.
STEP, MOST = 4, 20


def main() -> int:
    """Measure every clip in front of every screen and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, help="folder for pictures to look at")
    options = parser.parse_args()
    clips = sorted((options.data / "clips").glob("*.alpha.mkv"))
    if not clips:
        print(f"no clips in {options.data / 'clips'}. Say --data FOLDER.", file=sys.stderr)
        return 2
    print("| screen | format | MAD x1000 | MSE x1000 | IoU | band IoU | segment ms |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for screen in SCREENS:
        for format_ in LAYOUTS:
            rows = [measure(clip, screen, format_, options.out) for clip in clips]
            mad, mse, iou, band, ms = (
                statistics.mean(column) for column in zip(*rows, strict=True)
            )
            figures = f"{mad:.1f} | {mse:.2f} | {iou:.3f} | {band:.3f} | {ms:.1f}"
            print(f"| {screen} | {format_} | {figures} |")
    return 0


def measure(alpha: Path, screen: str, format_: str, out: Path | None) -> tuple[float, ...]:
    """Measure one clip: MAD, MSE, IoU, band IoU, milliseconds."""
    rows = []
    with greenroom.VirtualBackground(
        model="chroma", background="color:#808080", smoothing=0
    ) as engine:
        for frame, truth in shots(alpha, SCREENS[screen], format_):
            shown = engine.process(frame)
            assert engine.matte is not None
            rows.append(
                (
                    1000 * metrics.mad(engine.matte, truth),
                    1000 * metrics.mse(engine.matte, truth),
                    metrics.iou(engine.matte, truth),
                    metrics.boundary_iou(engine.matte, truth),
                )
            )
        if out is not None:
            matte = cv2.cvtColor(engine.matte, cv2.COLOR_GRAY2RGB)  # type: ignore[arg-type]
            sheet = np.hstack([frame.to_rgb(), matte, shown.to_rgb()])
            name = f"{alpha.name.partition('.')[0]}-{screen.replace(' ', '-')}-{format_}.png"
            cv2.imwrite(str(out / name), sheet[:, :, ::-1])
        ms = engine.timings.summary()["segment"].median_ms
    return *np.nanmean(rows, axis=0).tolist(), ms


def shots(alpha: Path, screen: tuple[int, int, int], format_: str) -> Iterator[tuple[Frame, Plane]]:
    """Yield frames with the person in front of the screen, and the true matte."""
    rng = np.random.default_rng(0)
    clip = alpha.with_name(alpha.name.replace(".alpha.mkv", ".mp4"))
    with av.open(clip) as pictures, av.open(alpha) as mattes:
        both = zip(pictures.decode(video=0), mattes.decode(video=0), strict=True)
        for number, (picture, matte) in enumerate(both):
            if number % STEP or number >= STEP * MOST:
                continue
            truth = np.asarray(matte.to_ndarray(format="gray"), np.uint8)
            coverage = truth[..., None] / 255
            room = lit(screen, truth.shape)
            rgb = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
            person = own_colours(rgb, truth)
            near = cv2.GaussianBlur(1 - coverage, (0, 0), 8)[..., None]
            person = person + SPILL * near * np.array(screen)
            mixed = coverage * person + (1 - coverage) * room + rng.normal(0, NOISE, person.shape)
            rgb = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
            layout = Layout(picture.width, picture.height, format_, LAYOUTS[format_])  # type: ignore[arg-type]
            yield Frame.from_rgb(rgb).converted(layout).shown_at(number, Fraction(1, 25)), truth


def lit(rgb: tuple[int, int, int], shape: tuple[int, ...]) -> Floats:
    """Return a screen whose light falls off toward the corners."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width]
    light = 1.1 - 0.45 * np.hypot(x / width - 0.4, y / height - 0.3)
    return np.asarray(light[..., None] * np.array(rgb))


def own_colours(rgb: NDArray[np.uint8], truth: Plane) -> Floats:
    """Carry the colours of what is surely the person outwards, over those mixed with a room."""
    known = (truth > 250).astype(np.float64)
    colours = rgb * known[..., None]
    result, filled = colours.copy(), known > 0
    for side in (3, 7, 15, 31, 63):
        total, count = cv2.blur(colours, (side, side)), cv2.blur(known, (side, side))
        new = ~filled & (count > 1e-3)
        result[new] = total[new] / count[new][:, None]
        filled |= new
    return np.asarray(result)


if __name__ == "__main__":
    sys.exit(main())
