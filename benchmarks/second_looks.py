"""Measure what looks of the larger model now and then bring, and what they cost.

For quality ``balanced`` with looks at every so many frames: the metrics of labelled clips, where
each answer comes some frames late, and CPU milliseconds a frame at 1280x720, in real time with the
model on a thread of its own. The weights of ``selfie-multiclass`` have to be there.

    python benchmarks/second_looks.py --data ../shared/data [--models ../shared/models]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from quality import CLIP_MEASURES, CLIPS, DANCERS, table

from greenroom import Settings, VirtualBackground
from greenroom.evaluation.evaluate import MEASURES, evaluate
from greenroom.matting import Cadence, RefinedMatting, Steps
from greenroom.segmenters import create_segmenter
from greenroom.segmenters.best import BEST_MODEL
from greenroom.segmenters.fused import FusedSegmenter
from greenroom.segmenters.second_model import SecondModel
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.segmenters import Segmenter

    Floats = NDArray[np.float32]

# Frames from one look to the next; 0 for none.
EVERY: Final = (0, 240, 60, 20, 5, 1)
# Frames that an answer is late: 160 ms at 30 frames a second; none where all are looked at.
LATE: Final = 5
# Real time that is measured for each row, after a warm-up, in seconds.
MEASURED_S: Final = 16.0
WARM_UP_S: Final = 3.0
RATE: Final = 30.0


class LateModel(SecondModel):
    """The larger member of a fused model, whose answers come a number of frames late.

    The first of a clip comes at once, as in a call that has begun before.
    """

    def __init__(self, fused: FusedSegmenter, every: int) -> None:
        self._fused = fused
        self.every = every
        self._answer: Floats | None = None
        self._waits = 0

    @property
    def is_free(self) -> bool:
        """See `SecondModel.is_free`."""
        return self._answer is None

    def look(self, part: Frame) -> None:
        """See `SecondModel.look`."""
        self._answer = np.array(self._fused.members[1].segment(part))

    def answer(self) -> Floats | None:
        """See `SecondModel.answer`."""
        if self._answer is None:
            return None
        self._waits -= 1
        if self._waits > 0:
            return None
        self._waits = min(LATE, self.every - 1) + 1
        answer, self._answer = self._answer, None
        return answer

    def fused(self, first: Floats, second: Floats) -> Floats:
        """See `SecondModel.fused`."""
        return self._fused.second.fused(first, second)


class CorrectedMatting(RefinedMatting):
    """That of ``balanced``, with a second model that the engine does not exchange."""

    def __init__(self, settings: Settings, model: SecondModel) -> None:
        super().__init__(settings, Steps(cadence=Cadence.FOURTH))
        self._correction.model = model

    @property
    def second(self) -> SecondModel | None:
        """See `Matting.second`."""
        return self._correction.model

    @second.setter
    def second(self, model: SecondModel | None) -> None:
        """Keep the one that there is."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure looks of a second model now and then.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=None)
    options = parser.parse_args()
    settings = Settings(model=BEST_MODEL, models_dir=options.models, background="color:black")
    rows = [row(options.data / CLIPS, settings, every) for every in EVERY]
    labels = [MEASURES[measure].label for measure in CLIP_MEASURES]
    heads = [*(f"talkers {label}" for label in labels), *(f"dancers {label}" for label in labels)]
    print(table(["every", *heads, "CPU ms"], rows))


def row(clips: Path, settings: Settings, every: int) -> list[str]:
    """Return a line of the table."""
    fused = create_segmenter(settings)
    assert isinstance(fused, FusedSegmenter)

    def make(values: Settings, _: Segmenter) -> CorrectedMatting:
        return CorrectedMatting(values, LateModel(fused, every))

    cases = evaluate(clips, matting=make).cases
    fused.close()
    line = [str(every) if every else "none"]
    for dancers in (False, True):
        scores = [one for case, one in cases.items() if case.startswith(DANCERS) == dancers]
        for measure in CLIP_MEASURES:
            value = float(np.mean([one[measure] for one in scores]))
            line.append(f"{value:.{MEASURES[measure].digits}f}")
    clip = next(path for path in sorted(clips.glob("*.mp4")) if not path.name.startswith(DANCERS))
    return [*line, f"{cpu_ms(settings, clip, every):.1f}" if every != 1 else "-"]


def cpu_ms(settings: Settings, clip: Path, every: int) -> float:
    """Return CPU milliseconds a frame of the whole process, in real time."""
    frames = [_enlarged(frame) for frame in islice(create_source(clip, Settings()), 60)]
    cv2.setNumThreads(1)  # as a live session does
    numbered = enumerate(cycle([*frames, *frames[::-1]]))
    with VirtualBackground(settings) as engine:
        engine.second_every = every
        _play(engine, numbered, WARM_UP_S)
        begun_s = time.process_time()
        count = _play(engine, numbered, MEASURED_S)
        return 1000 * (time.process_time() - begun_s) / count


def _enlarged(frame: Frame) -> Frame:
    layout = frame.layout
    return frame.converted(replace(layout, width=1280, height=720, colour=layout.colour))


def _play(engine: VirtualBackground, numbered: Iterator[tuple[int, Frame]], seconds: float) -> int:
    """Process frames in real time; return their number."""
    count = round(seconds * RATE)
    begun_s = time.monotonic()
    for done in range(count):
        number, frame = next(numbered)
        # In new memory: nothing that was made of the frame before is used again.
        engine.process(frame.copy().shown_at(number, Fraction(1, round(RATE))))
        time.sleep(max(0.0, begun_s + (done + 1) / RATE - time.monotonic()))
    return count


if __name__ == "__main__":
    main()
