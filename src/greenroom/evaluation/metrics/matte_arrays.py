"""Arrays of coverage, checked and brought to one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from greenroom.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    MatteArray: TypeAlias = NDArray[np.uint8] | NDArray[np.floating[Any]]
    Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["check_pair", "coverage_of", "error_of", "mask_of"]

# Tolerance for floating-point mattes outside of 0 to 1, as after resampling.
_ROUNDING: Final = 1e-3


def error_of(prediction: MatteArray, truth: MatteArray) -> NDArray[np.float32]:
    """Return prediction minus truth in coverage 0 to 1, always in new memory."""
    check_pair(prediction, truth)
    return np.subtract(coverage_of(prediction), coverage_of(truth))


def coverage_of(matte: MatteArray) -> NDArray[np.float32]:
    """Return the matte as 0.0 to 1.0; may be the matte itself."""
    coverage = np.asarray(matte, dtype=np.float32)
    return coverage / np.float32(255) if matte.dtype == np.uint8 else coverage


def mask_of(matte: MatteArray, threshold: float) -> Mask:
    """Return the mask of pixels whose coverage is above the threshold."""
    full = 255.0 if matte.dtype == np.uint8 else 1.0
    return np.greater(matte, threshold * full)


def check_pair(prediction: MatteArray, truth: MatteArray) -> None:
    """Raise FormatError unless both are mattes and of one shape."""
    _check_matte(prediction, "predicted")
    _check_matte(truth, "true")
    if prediction.shape != truth.shape:
        message = (
            f"expected mattes of one shape, got {prediction.shape} predicted and "
            f"{truth.shape} true. Resize the prediction to the truth."
        )
        raise FormatError(message)


def _check_matte(matte: MatteArray, which: str) -> None:
    """Raise FormatError unless this is a matte: one plane, one of two scales."""
    if matte.ndim != 2 or matte.size == 0:
        message = (
            f"expected a {which} matte of shape (height, width), got {matte.shape}. "
            "Give one channel."
        )
        raise FormatError(message)
    if matte.dtype == np.uint8:
        return
    if not np.issubdtype(matte.dtype, np.floating):
        message = (
            f"expected a {which} matte of uint8 (0 to 255) or floating point (0 to "
            f"1), got {matte.dtype}. Convert it to one of the two."
        )
        raise FormatError(message)
    lowest, highest = float(matte.min()), float(matte.max())
    if not (lowest >= -_ROUNDING and highest <= 1 + _ROUNDING):  # NaN fails both
        message = (
            f"expected a {which} matte of 0.0 to 1.0, got values from {lowest:g} to "
            f"{highest:g}. Divide by 255 or clip it first."
        )
        raise FormatError(message)
