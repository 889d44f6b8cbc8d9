"""Decoding of network outputs to coverage, and selection of classes."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import numpy as np

from greenroom.cuda import DeviceArray, calls
from greenroom.errors import ModelError, ModelOutputError, SettingsError
from greenroom.segmenters.card import Reading, TensorLayout
from greenroom.segmenters.tensor_kernels import margin

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.cuda import Array
    from greenroom.segmenters.card import Card, OutputSpec

    Floats = NDArray[np.float32]

__all__ = ["CoverageReader", "picture_axes", "selectable_classes", "selected_classes"]

AnyArray = TypeVar("AnyArray", "NDArray[Any]", DeviceArray)

# Class that can never be foreground.
_BACKGROUND: Final = "background"
# Added to excluded logits; below all real ones.
_EXCLUDED: Final = -1e30
_HALF: Final = 0.5


def selectable_classes(card: Card) -> tuple[str, ...]:
    """Return the classes that may be foreground; none for models without classes."""
    if not card.output.reading.has_classes:
        return ()
    return tuple(name for name in card.output.classes if name != _BACKGROUND)


def selected_classes(card: Card, keep: str | None) -> tuple[str, ...]:
    """Return the classes of the foreground.

    Parameters
    ----------
    card : Card
        Lists the model's classes and the default selection.
    keep : str or None
        Comma-separated names of classes, in place of the card's.

    Raises
    ------
    SettingsError
        If the model has no classes, or lacks one of the names.
    ModelError
        If the card selects no class.
    """
    known = selectable_classes(card)
    if keep is None:
        kept = tuple(name for name in card.output.keep if name in known)
        if known and not kept:
            message = f"the card of model '{card.name}' keeps none of {', '.join(known)}."
            raise ModelError(message)
        return kept
    if not known:
        message = f"model '{card.name}' has no classes to keep: leave the setting 'keep' away."
        raise SettingsError(message, "keep")
    names = [name.strip() for name in keep.split(",") if name.strip()]
    if not names:
        message = f"setting 'keep': expected names of classes, not {keep!r}: {', '.join(known)}."
        raise SettingsError(message, "keep")
    by_lower = {name.lower(): name for name in known}
    for name in names:
        if name.lower() not in by_lower:
            near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
            hint = f"did you mean '{by_lower[near[0]]}'? It" if near else "it"
            message = f"model '{card.name}' has no class '{name}': {hint} knows {', '.join(known)}."
            raise SettingsError(message, "keep")
    return tuple(dict.fromkeys(by_lower[name.lower()] for name in names))


class CoverageReader:
    """Decoder of a network's output to coverage.

    Parameters
    ----------
    card : Card
        Describes the output.
    keep : str or None
        See `selected_classes`.

    Raises
    ------
    SettingsError, ModelError
        See `selected_classes`.
    """

    def __init__(self, card: Card, keep: str | None = None) -> None:
        self._spec: OutputSpec = card.output
        self._model = card.name
        self._channels = len(card.output.classes) if card.output.reading.has_classes else 1
        names = selected_classes(card, keep)
        self._kept = [index for index, name in enumerate(card.output.classes) if name in names]
        # Not np.isin: its first call imports masked arrays, for a tenth of a whole start.
        kept = np.array([name in names for name in card.output.classes], bool)
        self._exclusions = np.where([kept, ~kept], 0, _EXCLUDED).astype(np.float32)
        self._read: Callable[[NDArray[Any]], Floats] = {
            Reading.COVERAGE: _coverage,
            Reading.LOGIT: _logit,
            Reading.PROBABILITIES: self._probabilities,
            Reading.LOGITS: self._logits,
            Reading.LABELS: self._labels,
        }[self._spec.reading]

    def read_there(self, output: DeviceArray) -> DeviceArray | None:
        """View an output on a device as coverage (h, w), of any strides.

        None if it has to be computed: then `read` downloads what it needs.
        """
        spec = self._spec
        if spec.reading is not Reading.COVERAGE or spec.threshold != _HALF:
            return None
        picture = self._check(output)
        return picture[:, :, 0] if picture.dtype == np.float32 else None

    def read(self, output: Array) -> Floats:
        """Decode an output to coverage.

        Parameters
        ----------
        output : array
            The runtime's array, NumPy's or a device's, with a batch of 1. Read only, and not kept.

        Returns
        -------
        (h, w) float32
            In new memory; 0 to 1 for valid outputs.

        Raises
        ------
        ModelOutputError
            If its shape or type does not match the card.
        """
        if self._spec.reading is not Reading.LOGITS or output.dtype != np.float32:
            (output,) = calls.on_host(output)  # of logits a device computes the margin
        if self._spec.reading is Reading.LABELS:
            return self._read(self._labels_of(np.asarray(output)))
        coverage = self._read(self._check(cast("NDArray[Any]", output)))
        return (
            coverage if self._spec.threshold == _HALF else _centre(coverage, self._spec.threshold)
        )

    def check(self, shape: tuple[int | None, ...], path: object) -> None:
        """Raise `ModelError` if outputs of a shape cannot be decoded; None is any length."""
        if self._spec.reading is Reading.LABELS or len(shape) != 4:
            return
        channels = shape[3 if self._spec.layout is TensorLayout.NHWC else 1]
        if channels not in (None, self._channels):
            message = (
                f"model file '{path}' answers with {channels} channels, but the card of "
                f"'{self._model}' describes {self._channels}: is it the right file?"
            )
            raise ModelError(message, path)

    def _check(self, output: AnyArray) -> AnyArray:
        """View an output as (h, w, channels)."""
        if output.dtype not in (np.float32, np.float16, np.float64):
            raise self._wrong(output, "real numbers")
        picture = picture_axes(output, self._spec.layout, self._channels)
        if picture is None:
            raise self._wrong(output, f"a picture of {self._channels} channel(s)")
        return picture

    def _labels_of(self, output: NDArray[Any]) -> NDArray[Any]:
        if output.dtype.kind not in "iu" and not _is_whole(output):
            raise self._wrong(output, "whole numbers")
        picture = picture_axes(output, self._spec.layout, 1)
        if picture is None:
            raise self._wrong(output, "a picture of labels")
        return picture[..., 0]

    def _wrong(self, output: Array, expected: str) -> ModelOutputError:
        return ModelOutputError(
            f"the answer of model '{self._model}' is not what its card says: expected {expected}, "
            f"not {output.dtype} of shape {output.shape}"
        )

    def _probabilities(self, picture: NDArray[Any]) -> Floats:
        total = picture[..., self._kept[0]].astype(np.float32)
        for index in self._kept[1:]:
            total += picture[..., index]
        # The sum may exceed 1 by rounding.
        return np.minimum(total, np.float32(1), out=total) if len(self._kept) > 1 else total

    def _logits(self, picture: Any) -> Floats:
        out: Any = calls.empty(picture.shape[:2], picture, np.float32)
        if not calls.on_device(picture):
            picture = picture.astype(np.float32, copy=False)
        margin(picture, self._exclusions, out)
        (best,) = calls.on_host(out)
        return _sigmoid(best, self._spec.gain)

    def _labels(self, labels: NDArray[Any]) -> Floats:
        if len(self._kept) == 1:
            return np.array(labels == self._kept[0], np.float32)
        return np.array(np.isin(labels, self._kept), np.float32)


def picture_axes(output: AnyArray, layout: TensorLayout, channels: int) -> AnyArray | None:
    """View an output, with or without batch, as (h, w, channels); None if it does not fit."""
    if output.ndim == 4 and output.shape[0] == 1:
        output = output[0]
        if layout is TensorLayout.NCHW:
            output = output.transpose(1, 2, 0)
    elif channels == 1 and output.ndim in (2, 3):
        output = output[0] if output.ndim == 3 and output.shape[0] == 1 else output
        output = output.reshape(*output.shape, 1) if output.ndim == 2 else output
    if output.ndim != 3 or output.shape[2] != channels or output.size == 0:
        return None
    return output


def _coverage(picture: NDArray[Any]) -> Floats:
    return np.array(picture[..., 0], np.float32)


def _logit(picture: NDArray[Any]) -> Floats:
    return _sigmoid(np.array(picture[..., 0], np.float32))


def _sigmoid(values: Floats, gain: float = 1.0) -> Floats:
    """Apply the sigmoid in place, through tanh, which does not overflow."""
    values *= np.float32(0.5 * gain)
    np.tanh(values, out=values)
    values *= np.float32(0.5)
    values += np.float32(0.5)
    return values


def _centre(coverage: Floats, threshold: float) -> Floats:
    """Map a threshold to one half, linearly on both sides; NaN stays NaN."""
    below = coverage * np.float32(_HALF / threshold)
    above = 1 - (1 - coverage) * np.float32(_HALF / (1 - threshold))
    return np.where(coverage < threshold, below, above).astype(np.float32)


def _is_whole(output: NDArray[Any]) -> bool:
    """Whether floating-point values are integers, as labels in some exports are."""
    return bool((np.isfinite(output) & (output == np.rint(output))).all())
