"""Evaluation of a model's quality and speed on a dataset.

The layout of datasets is described in `greenroom.evaluation.dataset`.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.engine.engine import VirtualBackground
from greenroom.evaluation import metrics
from greenroom.evaluation.dataset import LabelledMedia, evaluation_error, find_cases
from greenroom.matting import Matting, create_matting
from greenroom.media.image_files import decode_picture
from greenroom.media.limits import MAX_PHOTO_SIDE_PX
from greenroom.settings import Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.segmenters import Segmenter, SegmenterInfo

    Plane = NDArray[np.uint8]

__all__ = [
    "MEASURES",
    "Evaluation",
    "Measure",
    "Sample",
    "Scores",
    "evaluate",
    "find_cases",
]

# Number of worst frames that are kept for the contact sheet.
_WORST_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class Measure:
    """Formatting of one metric in tables.

    Attributes
    ----------
    label : str
        Its name, with the factor it is multiplied by.
    factor : float
        Multiplies the value from `greenroom.evaluation.metrics`.
    digits : int
        Number of decimals printed.
    is_error : bool
        Whether lower is better.
    """

    label: str
    factor: float = 1.0
    digits: int = 3
    is_error: bool = True


MEASURES: Final = {
    "iou": Measure("IoU", is_error=False),
    "band_iou": Measure("band IoU", is_error=False),
    "mad": Measure("MAD x1000", 1000, 1),
    "mse": Measure("MSE x1000", 1000, 1),
    "sad": Measure("SAD", 1, 2),
    "grad": Measure("Grad", 1, 2),
    "conn": Measure("Conn", 1, 2),
    "dtssd": Measure("dtSSD x100", 100, 2),
    "leak": Measure("leak %", 1, 2),
}
"""By the names of `Scores`."""

Scores = dict[str, float]
"""Values by the names of `MEASURES`, times their factors."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame with its true and its predicted matte.

    Attributes
    ----------
    name : str
        The case, and the frame's number if it is a clip.
    iou : float
        IoU of the predicted matte.
    picture : (H, W, 3) uint8
        RGB.
    truth, found : (H, W) uint8
        The mattes.
    """

    name: str
    iou: float
    picture: Plane
    truth: Plane
    found: Plane


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of one model on a dataset.

    Attributes
    ----------
    model : str
        As it was named.
    segmenter : SegmenterInfo
        Model, file, runtime and device that ran last.
    cases : dict of str to Scores
        The scores of each picture or clip, by its name.
    mean : Scores
        Their means; NaN values are left out.
    worst_tenth : Scores
        The 10th percentile of scores and the 90th of errors.
    frame_ms : float
        Median time from a frame to its matte, in milliseconds.
    segment_ms : float
        Of that, the time to the model's coarse matte.
    worst : tuple of Sample
        The frames with the lowest IoU, at most one of each clip.
    """

    model: str
    segmenter: SegmenterInfo
    cases: dict[str, Scores]
    mean: Scores
    worst_tenth: Scores
    frame_ms: float
    segment_ms: float
    worst: tuple[Sample, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the samples as plain values, for JSON; NaN becomes None."""
        return {
            "model": self.model,
            "segmenter": asdict(self.segmenter),
            "frame_ms": self.frame_ms,
            "segment_ms": self.segment_ms,
            "mean": _without_nan(self.mean),
            "worst_tenth": _without_nan(self.worst_tenth),
            "cases": {name: _without_nan(scores) for name, scores in self.cases.items()},
        }


def evaluate(
    dataset: str | Path,
    settings: Settings | None = None,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    matting: Callable[[Settings, Segmenter], Matting] = create_matting,
    **values: Any,
) -> Evaluation:
    """Measure a model on a dataset.

    Parameters
    ----------
    dataset : path
        See `greenroom.evaluation.dataset`.
    settings : Settings, optional
        The model, and how its matte is made.
    progress : callable, optional
        Called with the number of cases done and their total.
    matting : callable
        See `VirtualBackground`.
    **values
        Single settings by name; they take precedence.

    Raises
    ------
    SourceError
        If the folder is not a dataset, or a picture and its matte differ in size or length.
    SettingsError, ModelError, ProcessingError
        If the model cannot be used, or fails.
    """
    settings = (settings or Settings()).changed(**values, background="color:black")
    cases = find_cases(Path(dataset))
    scores: dict[str, Scores] = {}
    worst: list[Sample] = []
    with VirtualBackground(settings, matting=matting) as engine:
        for done, case in enumerate(cases, 1):
            engine.reset()
            found = _samples(engine, case, settings)
            scores[case.name], sample = (_score_clip if case.is_clip else _score_picture)(found)
            worst = sorted([*worst, sample], key=lambda one: one.iou)[:_WORST_KEPT]
            if progress is not None:
                progress(done, len(cases))
        stages = engine.timings.summary()
        return Evaluation(
            model=settings.model,
            segmenter=engine.info,
            cases=scores,
            mean=_summary(scores.values(), lambda values, _: float(np.mean(values))),
            worst_tenth=_summary(scores.values(), _worst_tenth),
            frame_ms=stages["segment"].median_ms + stages["matte"].median_ms,
            segment_ms=stages["segment"].median_ms,
            worst=tuple(worst),
        )


def _samples(
    engine: VirtualBackground, case: LabelledMedia, settings: Settings
) -> Iterator[Sample]:
    """Yield every frame of a case with both mattes."""
    for number, (frame, truth) in enumerate(_pairs(case, settings)):
        if truth.shape != frame.size[::-1]:
            height, width = truth.shape
            reason = (
                f"it has {width}x{height} pixels, and '{case.path.name}' has "
                f"{frame.size[0]}x{frame.size[1]}"
            )
            raise evaluation_error(case.truth, reason)
        found = engine.process_matte(frame).planes[0]
        name = f"{case.name} {number}" if case.is_clip else case.name
        yield Sample(name, metrics.iou(found, truth), frame.to_rgb(), truth, found)


def _pairs(case: LabelledMedia, settings: Settings) -> Iterator[tuple[Frame, Plane]]:
    """Yield the frames of a case with their true mattes."""
    if not case.is_clip:
        try:
            frames = [decode_picture(path, MAX_PHOTO_SIDE_PX) for path in (case.path, case.truth)]
        except ValueError as error:
            raise evaluation_error(case.path, str(error)) from error
        yield frames[0], _gray(frames[1])
        return
    pictures, truths = (create_source(path, settings) for path in (case.path, case.truth))
    try:
        for frame, truth in itertools.zip_longest(pictures, truths):
            if frame is None or truth is None:
                reason = f"it and '{case.path.name}' have different numbers of frames"
                raise evaluation_error(case.truth, reason)
            yield frame, _gray(truth)
    finally:
        pictures.close()
        truths.close()


def _gray(frame: Frame) -> Plane:
    """Return a true matte's coverage: the green channel, equal to luma in gray pictures."""
    return np.ascontiguousarray(frame.to_rgb()[:, :, 1])


def _score_picture(samples: Iterable[Sample]) -> tuple[Scores, Sample]:
    (sample,) = samples
    pair = sample.found, sample.truth
    return _scaled(
        {
            **_frame_scores(sample),
            "sad": metrics.sad(*pair),
            "grad": metrics.gradient_error(*pair),
            "conn": metrics.connectivity_error(*pair),
        }
    ), sample


def _score_clip(samples: Iterable[Sample]) -> tuple[Scores, Sample]:
    meter = metrics.DtssdMeter()
    rows: list[Scores] = []
    worst: Sample | None = None
    for sample in samples:
        meter.add(sample.found, sample.truth)
        rows.append(_frame_scores(sample) | {"leak": metrics.leak(sample.found, sample.truth)})
        worst = sample if worst is None or sample.iou < worst.iou else worst
    assert worst is not None
    means = _summary(rows, lambda values, _: float(np.mean(values)))
    return _scaled(means | {"dtssd": meter.value}), worst


def _frame_scores(sample: Sample) -> Scores:
    pair = sample.found, sample.truth
    return {
        "iou": sample.iou,
        "band_iou": metrics.boundary_iou(*pair),
        "mad": metrics.mad(*pair),
        "mse": metrics.mse(*pair),
    }


def _scaled(scores: Scores) -> Scores:
    return {name: MEASURES[name].factor * value for name, value in scores.items()}


def _summary(
    rows: Iterable[Scores], statistic: Callable[[NDArray[np.float64], Measure], float]
) -> Scores:
    """Summarise each measure over its values that are not NaN."""
    columns: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    result = {}
    for name, column in columns.items():
        values = np.array([value for value in column if not np.isnan(value)])
        result[name] = statistic(values, MEASURES[name]) if len(values) else float("nan")
    return result


def _worst_tenth(values: NDArray[np.float64], measure: Measure) -> float:
    return float(np.percentile(values, 90 if measure.is_error else 10))


def _without_nan(scores: Scores) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in scores.items()}
