"""Measure what can be read through `blur` and `pixelate`, by two attackers (tests/attackers.py).

Walls with random letters are filmed with a camera's noise through the engine, by a still camera and
by one that moves, which the attackers know. Printed is the rate of letters that they get right, of
26; a blind guess gets 4 %. A plain Gaussian blur of 18 pixels shows that they can read.

    PYTHONPATH=tests python benchmarks/lettering.py [--frames 200] [--walls 16]
"""

from __future__ import annotations

import argparse
from typing import Final

import cv2
import numpy as np
from attackers import lettered_wall, read_by_deconvolution, read_by_training, seen_through

# Deviation and block of each effect, in pixels of 720.
EFFECTS: Final = {
    "18": (18.0, 0.0),
    "blur:0.4": (43.2, 0.0),
    "blur": (54.0, 0.0),
    "blur:1": (108.0, 0.0),
    "pixelate:0.4": (43.2, 57.6),
    "pixelate": (54.0, 72.0),
    "pixelate:1": (108.0, 144.0),
}
HEIGHTS_PX: Final = (22, 40, 60, 90)
CONTRASTS: Final = {"black on white": (235.0, 20.0), "grey on grey": (150.0, 100.0)}
# Frames that a trained attacker averages of every wall.
AVERAGED: Final = 8


def main() -> None:
    """Print a table for every contrast."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=200, help="averaged before deconvolution")
    parser.add_argument("--walls", type=int, default=16, help="seen by the trained attacker")
    parser.add_argument("--heights", type=int, nargs="+", default=HEIGHTS_PX, help="in px of 720")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    for contrast, levels in CONTRASTS.items():
        print(f"\n{contrast}: letters right in %, deconvolved still / moving, trained")
        print(f"{'':14}" + "".join(f"{height:>12} px" for height in chosen.heights))
        for spec, kernel in EFFECTS.items():
            name = f"plain {spec} px" if spec.isdigit() else spec
            cells = [
                measured(spec, kernel, height, levels, chosen.frames, chosen.walls)
                for height in chosen.heights
            ]
            print(f"{name:14}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def measured(  # noqa: PLR0917 - one cell of the table
    spec: str,
    kernel: tuple[float, float],
    height: int,
    levels: tuple[float, float],
    frames: int,
    walls: int,
) -> str:
    """Measure one cell, at half the size: an effect is relative to the frame's."""
    rng = np.random.default_rng(height)
    half = str(int(spec) // 2) if spec.isdigit() else spec
    sigma, block = (length / 2 for length in kernel)
    seen = [lettered_wall(height // 2, rng, (640, 360), levels) for _ in range(walls)]
    rates = []
    for move_px in (0, 24):
        shown = seen_through(half, seen[0], rng, frames=frames, move_px=move_px)
        rates.append(read_by_deconvolution(shown, seen[0], sigma, block))
    several = [seen_through(half, wall, rng, frames=AVERAGED) for wall in seen]
    rates.append(read_by_training(several, seen, sigma))
    return " / ".join(f"{100 * rate:.0f}" for rate in rates)


if __name__ == "__main__":
    main()
