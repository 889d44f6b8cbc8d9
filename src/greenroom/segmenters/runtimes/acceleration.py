"""Ways to run a model faster on an NVIDIA GPU, each used only if it answers as without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Outputs = Mapping[str, NDArray[Any]]

__all__ = [
    "NO_ACCELERATION",
    "NO_GPU_OPTIONS",
    "Acceleration",
    "GpuOptions",
    "outputs_agree",
    "rows_agree",
    "ways_within",
]

# Largest mean difference of an output, as a share of its range. Half precision differs by 0.001.
_TOLERANCE: Final = 0.005
# Largest difference of a value of one row of a batch from that beside other rows, as a share of the
# output's range. On the processor there is none.
_MOST: Final = 0.001


class Acceleration(NamedTuple):
    """What a model may use, or uses, on an NVIDIA GPU.

    Attributes
    ----------
    half : bool
        Computes in float16.
    graph : bool
        Records a run once as a CUDA graph and replays it.
    """

    half: bool = False
    graph: bool = False

    def __str__(self) -> str:
        """Return the names of the ways in use."""
        names = ("half precision" * self.half, "CUDA graphs" * self.graph)
        return ", ".join(filter(None, names))


NO_ACCELERATION: Final = Acceleration()


class GpuOptions(NamedTuple):
    """What a model may use on an NVIDIA GPU, and folders for what is made of it.

    Attributes
    ----------
    allowed : Acceleration
        Used if the answers agree.
    engines : Path, optional
        Folder in which TensorRT keeps compiled models. Without it each start compiles.
    conversions : Path, optional
        Folder in which a TFLite model is kept as ONNX. Without it such a model is not run there.
    """

    allowed: Acceleration = NO_ACCELERATION
    engines: Path | None = None
    conversions: Path | None = None


NO_GPU_OPTIONS: Final = GpuOptions()


def ways_within(allowed: Acceleration) -> tuple[Acceleration, ...]:
    """Return the ways to try, the fastest first, without that of none."""
    ways = (allowed, Acceleration(half=allowed.half), Acceleration(graph=allowed.graph))
    return tuple(dict.fromkeys(way for way in ways if way != NO_ACCELERATION))


def outputs_agree(found: Sequence[Outputs], expected: Sequence[Outputs]) -> bool:
    """Whether the outputs of several runs are finite, and those expected but for rounding."""
    return all(
        _agrees(outputs[name].astype(np.float64), wanted.astype(np.float64))
        for outputs, other in zip(found, expected, strict=True)
        for name, wanted in other.items()
    )


def rows_agree(row: Outputs, other: Outputs) -> bool:
    """Whether the outputs of a row are, everywhere, those that it has beside other rows."""
    for name, wanted in other.items():
        found = row[name]
        if found.shape != wanted.shape or not np.isfinite(found).all():
            return False
        span = max(1.0, float(np.ptp(wanted))) if wanted.size else 1.0
        if wanted.size and float(np.abs(found.astype(np.float64) - wanted).max()) > _MOST * span:
            return False
    return True


def _agrees(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> bool:
    if found.shape != wanted.shape:
        return False
    if not wanted.size:
        return True
    span = max(1.0, float(np.ptp(wanted)))
    # Written so that NaN, which compares false with everything, does not agree.
    return bool(np.abs(found - wanted).mean() <= _TOLERANCE * span)
