"""Evaluation reports: a JSON file, a plot, and contact sheets of the worst cases."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.errors import ExistsError, SinkError
from greenroom.media.frame import Frame
from greenroom.sinks.picture_sink import encode_picture
from greenroom.sinks.staging import Staging, writing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.evaluation.evaluate import Evaluation, Sample

    Picture = NDArray[np.uint8]

__all__ = ["Report", "check_report", "contact_sheet", "plot"]

_REPORT: Final = "report.json"
_PLOT: Final = "quality-against-time.png"
_LOSSLESS: Final = 100
_ROW_PX: Final = 240
_LABEL_PX: Final = 28
_GAP_PX: Final = 2
_GAP: Final = 128


def check_report(folder: Path, *, overwrite: bool) -> None:
    """Check that a report can be written to a folder.

    Raises
    ------
    ExistsError
        If there is a report already and it may not be replaced.
    SinkError
        If it is a file, not a folder.
    """
    if folder.exists() and not folder.is_dir():
        message = f"folder '{folder}' cannot be made: there is a file of that name."
        raise SinkError(message, folder)
    if (folder / _REPORT).exists() and not overwrite:
        message = (
            f"output '{folder / _REPORT}' is there already. Give another folder, or allow it "
            f"to be replaced (--overwrite)."
        )
        raise ExistsError(message, folder)


class Report:
    """A folder with the results of models.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    overwrite : bool
        Whether an existing report may be replaced.

    Raises
    ------
    ExistsError
        If there is a report already.
    SinkError
        If the folder cannot be made.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        check_report(folder, overwrite=overwrite)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"folder '{folder}' cannot be made: {str(error.strerror).lower()}."
            raise SinkError(message, folder) from error
        self._folder = folder
        self.has_plot = False

    def write(self, results: Sequence[Evaluation]) -> None:
        """Write everything, or nothing.

        Raises
        ------
        SinkError
            If it cannot be written.
        """
        files = {_REPORT: json.dumps([result.to_dict() for result in results], indent=1).encode()}
        for result in results:
            name = "".join(
                each if each.isalnum() or each in "-._" else "_" for each in result.model
            )
            sheet = Frame.from_rgb(contact_sheet(result.worst))
            file = f"worst-{name}.png"
            files[file] = encode_picture(sheet, self._folder / file, _LOSSLESS)
        drawn = plot(results)
        self.has_plot = drawn is not None
        if drawn is not None:
            files[_PLOT] = drawn
        staging = Staging(overwrite=True)
        try:
            for name, data in files.items():
                temporary = staging.add(self._folder / name)
                with writing(self._folder / name):
                    temporary.write_bytes(data)
            staging.commit()
        except BaseException:
            staging.discard()
            raise


def contact_sheet(samples: Sequence[Sample]) -> Picture:
    """Stack samples as rows of picture, true matte and predicted matte.

    Returns
    -------
    (H, W, 3) uint8
        RGB.
    """
    rows = [_row(sample) for sample in samples]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return np.concatenate(padded)


def _row(sample: Sample) -> Picture:
    parts = [sample.picture, *(np.dstack([one] * 3) for one in (sample.truth, sample.found))]
    height, width = sample.truth.shape
    size = max(1, round(width * _ROW_PX / height)), _ROW_PX
    tiles = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in parts]
    row = np.hstack(
        [np.pad(tile, ((0, 0), (0, _GAP_PX), (0, 0)), constant_values=_GAP) for tile in tiles]
    )
    label = np.zeros((_LABEL_PX, row.shape[1], 3), np.uint8)
    text = f"{sample.name}   IoU {sample.iou:.3f}"
    place, white = (6, _LABEL_PX - 9), (255, 255, 255)
    cv2.putText(label, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, white, 1, cv2.LINE_AA)
    return np.concatenate([label, row.astype(np.uint8)])


def plot(results: Sequence[Evaluation]) -> bytes | None:
    """Draw quality against time as a PNG; None without matplotlib."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    for result in results:
        worst = result.mean["iou"] - result.worst_tenth["iou"]
        axes.errorbar(
            [result.frame_ms],
            [result.mean["iou"]],
            yerr=[[max(0.0, worst)], [0.0]],
            fmt="o",
            capsize=4,
            label=result.model,
        )
    axes.set_xscale("log")
    for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        ticks("{x:g}")
    axes.set_xlabel("milliseconds a frame")
    axes.set_ylabel("mean IoU, down to the worst tenth")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return data.getvalue()
