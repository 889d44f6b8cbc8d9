"""Measure what the cadences cost and what they lose. Results are in docs/governor.md.

A still person is a frame of a clip, frozen under sensor noise, with the times of a camera; the cost
is the CPU time of the whole engine, the compositing included. Quality is that of labelled clips.

    python benchmarks/cadence.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from quality import CLIP_MEASURES, CLIPS, DANCERS, table

from greenroom.engine.engine import VirtualBackground
from greenroom.evaluation.evaluate import MEASURES, evaluate
from greenroom.matting import Cadence, Matting, create_matting
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.matting.matting import Look
    from greenroom.media.matte import Matte
    from greenroom.segmenters import Segmenter

# 8-bit levels, frames a second, and how many frames: of the latter the first are not measured.
_NOISE: Final = 3.0
_RATE: Final = 30
_FRAMES: Final = 400
_FIRST: Final = 100
_NOISES: Final = 32
_SIZE: Final = (1280, 720)


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description="Measure what the cadences cost and lose.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--background", default="color:#204060")
    parser.add_argument("--only", choices=("still", "moving", "clips"))
    options = parser.parse_args()
    clip = min((options.data / CLIPS).glob("lbax*.mp4"))
    if options.only in {None, "still"}:
        print(costs(_frozen(clip), options.background) + "\n", flush=True)
    if options.only in {None, "moving"}:
        print(costs(_played(clip), options.background) + "\n", flush=True)
    if options.only in {None, "clips"}:
        print(clips(options.data), flush=True)


def costs(frames: list[Frame], background: str) -> str:
    """Return a table of CPU time a frame, and of its ratio to looking at every one."""
    rows, every = [], None
    for cadence in Cadence:
        with VirtualBackground(background=background) as engine:
            engine.cadence = cadence
            took_ms = []
            looks = 0
            for number in range(_FRAMES):
                planes = frames[number % len(frames)].planes
                pts = round(number * 1e6 / _RATE)
                frame = Frame(planes, frames[0].layout, pts, Fraction(1, 10**6))
                engine.timings.clear()
                start = time.process_time()
                engine.process(frame)
                took_ms.append(1000 * (time.process_time() - start))
                if number >= _FIRST:
                    looks += engine.timings.summary()["segment"].median_ms > 0
        mean = float(np.mean(took_ms[_FIRST:]))
        every = every or mean
        share = 100 * looks / (_FRAMES - _FIRST)
        rows.append([cadence, f"{mean:.2f}", f"{mean / every:.2f}", f"{share:.0f}"])
    return table(["cadence", "CPU ms a frame", "of every", "looked at %"], rows)


def clips(data: Path) -> str:
    """Return a table of the means over both kinds of clips."""
    rows = []
    for quality in ("balanced", "fast"):
        for cadence in Cadence:
            cases = evaluate(data / CLIPS, matting=_at(cadence), quality=quality).cases
            row = [f"{quality}, {cadence}"]
            for dancers in (False, True):
                scores = [one for case, one in cases.items() if case.startswith(DANCERS) == dancers]
                for measure in CLIP_MEASURES:
                    value = float(np.mean([one[measure] for one in scores]))
                    row.append(f"{value:.{MEASURES[measure].digits}f}")
            rows.append(row)
    labels = [MEASURES[measure].label for measure in CLIP_MEASURES]
    return table(["", *(f"talkers {label}" for label in labels), *labels], rows)


def _frozen(clip: Path) -> list[Frame]:
    """Return one frame under different noise."""
    still = next(iter(create_source(clip, Settings())))
    still = still.converted(Layout(*_SIZE, "yuv420p", Colour(1, 1)))
    noise = np.random.default_rng(1)
    return [
        Frame(
            tuple(
                np.clip(np.rint(plane + noise.normal(0, _NOISE, plane.shape)), 0, 255).astype(
                    np.uint8
                )
                for plane in still.planes
            ),
            still.layout,
        )
        for _ in range(_NOISES)
    ]


def _played(clip: Path) -> list[Frame]:
    """Return the frames of a clip, forth and back."""
    layout = Layout(*_SIZE, "yuv420p", Colour(1, 1))
    frames = [frame.converted(layout) for frame in create_source(clip, Settings())]
    return frames + frames[-2:0:-1]


class _Fixed(Matting):
    """A matting of one cadence, whatever the engine asks for."""

    def __init__(self, matting: Matting, cadence: Cadence) -> None:
        self._matting = matting
        self._always = cadence
        self.cadence = cadence

    def matte(self, frame: Frame, look: Look) -> Matte:
        """See `Matting.matte`."""
        self._matting.cadence = self._always
        return self._matting.matte(frame, look)

    def reset(self) -> None:
        """See `Matting.reset`."""
        self._matting.reset()


def _at(cadence: Cadence) -> Callable[[Settings, Segmenter], Matting]:
    return lambda settings, segmenter: _Fixed(create_matting(settings, segmenter), cadence)


if __name__ == "__main__":
    main()
