"""Conversion of frames to network inputs: size, axes, channel order, normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda import DeviceArray, calls
from greenroom.errors import ModelError
from greenroom.media.pyramid import halved, halvings_to
from greenroom.media.resizing import fill
from greenroom.segmenters.card import Aspect, TensorLayout
from greenroom.segmenters.tensor_kernels import mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from greenroom.cuda import Array
    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.segmenters.card import Card, InputSpec
    from greenroom.segmenters.runtimes.runtime import TensorInfo

    Floats = NDArray[np.float32]
    Part = tuple[slice, slice]

__all__ = ["PictureInput", "check_further_inputs", "crop_output", "ratio_input"]

_TYPES: Final = ("float32", "float16", "uint8")
# Those that kernels write.
_TYPES_THERE: Final = ("float32", "uint8")


class PictureInput:
    """Writer of frames into a network's picture input.

    Parameters
    ----------
    card : Card
        Describes the input.
    inputs : sequence of TensorInfo
        Inputs of the model.
    path : object
        The model file, for messages.

    Raises
    ------
    ModelError
        If the model has no input as described by the card.

    State: the matrix of the last layout, and a buffer for float16 or padded inputs.
    """

    def __init__(self, card: Card, inputs: Sequence[TensorInfo], path: object) -> None:
        assert card.input is not None
        self._spec = card.input
        self.info = _find_input(self._spec.name, inputs, path)
        self.name = self.info.name
        self._planar = self._spec.layout is TensorLayout.NCHW
        self._matrix: tuple[Layout, Floats] | None = None
        self._scratch: NDArray[Any] = np.empty(0, np.float32)
        self._check(path)
        dtype = self.info.dtype
        self._limits = _channel_limits(self._spec, dtype)
        black = ((0.0 - np.array(self._spec.mean)) / self._spec.std).astype(dtype)
        self._black = black[:, None, None] if self._planar else black

    def size_for(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the input's height and width for a frame of (width, height).

        For a network that downsamples internally the frame is never enlarged.
        """
        spec = self._spec
        if spec.size is not None:
            return spec.size[1], spec.size[0]
        assert spec.longest is not None
        longest = spec.longest
        if spec.ratio is not None:
            longest = min(longest, max(size))
        # Rounded down, as in DeepLab's notebook and MODNet's demo.
        width, height = (
            max(1, length * longest // max(size) // spec.multiple) * spec.multiple
            for length in size
        )
        return height, width

    def shape_of(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Return the tensor's shape for a height and width."""
        return (1, 3, *size) if self._planar else (1, *size, 3)

    def part_for(self, frame_size: tuple[int, int], size: tuple[int, int]) -> Part | None:
        """Return the part of an input (height, width) that a frame (width, height) fills.

        None is all of it.
        """
        if self._spec.aspect is Aspect.STRETCH or self._spec.size is None:
            return None
        height, width = size
        scale = min(width / frame_size[0], height / frame_size[1])
        wide, high = (max(1, round(length * scale)) for length in frame_size)
        top, left = (height - high) // 2, (width - wide) // 2
        return slice(top, top + high), slice(left, left + wide)

    def is_written_there(self, frame: Frame, size: tuple[int, int]) -> bool:
        """Whether `fill` can write a frame on a device into an input there."""
        return self.info.dtype.name in _TYPES_THERE and self.part_for(frame.size, size) is None

    def fill(self, frame: Frame, size: tuple[int, int], tensor: Array) -> None:
        """Write a frame into the tensor of an input (height, width), in place.

        A tensor on a device is written by kernels, for which nothing waits; see
        `is_written_there`.
        """
        target: Any = tensor[0]
        if isinstance(tensor, DeviceArray):
            self._fill_there(frame, size, target)
            return
        if (part := self.part_for(frame.size, size)) is not None:
            target[...] = self._black
            target = target[:, *part] if self._planar else target[part]
        shape = target.shape[1:] if self._planar else target.shape[:2]
        matrix = self._matrix_of(frame.layout)
        if frame.device is not None:
            target[...] = self._downloaded(frame, shape)
            return
        direct = target.dtype != np.float16 and target.flags.c_contiguous
        if direct and target.dtype == np.float32 and not self._planar:
            planes = halved(frame.planes, halvings_to(frame.size, shape[::-1]))
            fill(planes, matrix, self._limits, target)
            return
        samples = target if direct else self._scratch_for(target)
        seen = frame.reduced(shape)
        mix(seen, matrix, self._limits, samples, planar=self._planar)
        if not direct:
            target[...] = samples

    def _downloaded(self, frame: Frame, shape: tuple[int, int]) -> NDArray[Any]:
        """Return the samples of an input (height, width) of a frame on a device."""
        dtype = np.dtype(np.uint8 if self.info.dtype == np.uint8 else np.float32)
        wanted = (3, *shape) if self._planar else (*shape, 3)
        samples: Any = calls.empty(wanted, frame.planes[0], dtype)
        self._fill_there(frame, shape, samples)
        return calls.on_host(samples)[0]  # type: ignore[no-any-return]

    def _fill_there(self, frame: Frame, shape: tuple[int, int], samples: Any) -> None:
        """Write a frame on a device to samples there of an input (height, width)."""
        matrix = self._matrix_of(frame.layout)
        if self.info.dtype == np.float32 and not self._planar:
            planes = halved(frame.planes, halvings_to(frame.size, (shape[1], shape[0])))
            fill(planes, matrix, self._limits, samples)
        else:
            seen = frame.reduced((shape[0], shape[1]))
            mix(seen, matrix, self._limits, samples, planar=self._planar)

    def _scratch_for(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return a buffer for tensors that the kernel cannot write directly."""
        dtype = np.float32 if target.dtype == np.float16 else target.dtype
        if self._scratch.shape != target.shape:
            self._scratch = np.empty(target.shape, dtype)
        return self._scratch

    def _matrix_of(self, layout: Layout) -> Floats:
        """Return the (3, 4) matrix from a layout's samples to the input's channels."""
        if self._matrix is None or (self._matrix[0] is not layout and self._matrix[0] != layout):
            spec = self._spec
            matrix = 255.0 * layout.to_rgb_matrix().astype(np.float64)
            if spec.order == "BGR":
                matrix = matrix[::-1].copy()
            matrix[:, 3] -= spec.mean
            matrix /= np.array(spec.std)[:, None]
            matrix[:, 3] += _rounding_offset(self.info.dtype)
            self._matrix = layout, np.ascontiguousarray(matrix, np.float32)
        return self._matrix[1]

    def _check(self, path: object) -> None:
        """Raise `ModelError` unless the tensor matches the card."""
        info, spec = self.info, self._spec
        if info.dtype.name not in _TYPES:
            message = (
                f"model file '{path}' takes {info.dtype} in '{info.name}': expected one of "
                f"{', '.join(_TYPES)}. Use another export of the model."
            )
            raise ModelError(message, path)
        size = (None, None) if spec.size is None else (spec.size[1], spec.size[0])
        wanted = (1, 3, *size) if self._planar else (1, *size, 3)
        if not info.shape or (
            len(info.shape) == 4 and all(map(_is_compatible, info.shape, wanted))
        ):
            return
        message = (
            f"model file '{path}' takes {_shape_text(info.shape)} in '{info.name}', but its card "
            f"gives {_shape_text(wanted)}. Correct size, layout or name of the card's [input]."
        )
        raise ModelError(message, path)


def crop_output(values: Array, part: Part | None, size: tuple[int, int]) -> Array:
    """Return a view of the output for the part of the input that a frame filled.

    Parameters
    ----------
    values : (h, w, ...)
        The output for the whole input, of any size.
    part : (slice, slice) or None
        Rows and columns of the input; None for all.
    size : (int, int)
        Height and width of the input.
    """
    if part is None:
        return values
    taken = []
    for length, total, within in zip(values.shape, size, part, strict=False):
        start, stop = (round(place * length / total) for place in (within.start, within.stop))
        taken.append(slice(start, max(stop, start + 1)))
    return values[tuple(taken)]


def check_further_inputs(
    card: Card, inputs: Sequence[TensorInfo], picture: str, path: object
) -> None:
    """Raise `ModelError` unless the card describes every other input."""
    assert card.input is not None
    known = {picture, card.input.ratio, *card.input.states}
    names = [info.name for info in inputs]
    unknown = [name for name in names if name not in known]
    if unknown:
        message = (
            f"model file '{path}' also takes '{unknown[0]}', of which its card says nothing: its "
            f"inputs are {', '.join(names)}. Say in the card's [input] which one is the picture "
            f"(name), and which are states or the ratio; others cannot be filled."
        )
        raise ModelError(message, path)
    missing = [name for name in known if name is not None and name not in names]
    if missing:
        message = (
            f"model file '{path}' has no input '{missing[0]}', which its card names: its inputs "
            f"are {', '.join(names)}."
        )
        raise ModelError(message, path)


def ratio_input(
    spec: InputSpec, inputs: Sequence[TensorInfo], size: tuple[int, int]
) -> dict[str, NDArray[Any]]:
    """Return the input with the internal downsampling factor, if the network has one."""
    return {
        info.name: np.full(
            [length or 1 for length in info.shape],
            min(1.0, spec.ratio_longest / max(size)),
            info.dtype,
        )
        for info in inputs
        if info.name == spec.ratio
    }


def _find_input(name: str, inputs: Sequence[TensorInfo], path: object) -> TensorInfo:
    found = [info for info in inputs if name in ("", info.name)]
    if not found:
        message = (
            f"model file '{path}' has no input '{name}': its inputs are "
            f"{', '.join(info.name for info in inputs) or 'none'}. Is it the file that the card "
            f"describes?"
        )
        raise ModelError(message, path)
    return found[0]


def _channel_limits(spec: InputSpec, dtype: np.dtype[Any]) -> Floats:
    """Return the minimum and maximum of each channel, (3, 2)."""
    ends = (np.array([[0.0], [255.0]]) - spec.mean) / spec.std + _rounding_offset(dtype)
    limits = np.sort(ends.T, axis=1)
    if dtype == np.uint8:
        limits = np.clip(limits, 0, 255.5)
    return np.ascontiguousarray(limits, np.float32)


def _rounding_offset(dtype: np.dtype[Any]) -> float:
    """Return the offset that makes truncation round."""
    return 0.5 if dtype == np.uint8 else 0.0


def _is_compatible(length: int | None, wanted: int | None) -> bool:
    return None in (length, wanted) or length == wanted


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if length is None else str(length) for length in shape) or "one number"
