"""Translation of the operators that see a neighbourhood: convolutions, pooling, resizing, padding.

TFLite's pictures are NHWC and its weights OHWI; ONNX has NCHW and OIHW. ``SAME`` padding depends
on the size of the input, which is known, and becomes numbers.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.segmenters.conversion.activations import with_activation
from greenroom.segmenters.conversion.onnx_graph import CHANNELS_FIRST, natural

if TYPE_CHECKING:
    from greenroom.segmenters.conversion.onnx_graph import OnnxGraph
    from greenroom.segmenters.conversion.tflite_model import Operator, Tensor

__all__ = ["LAYERS"]

_SAME: Final = 0  # the schema's Padding
_CUSTOM_SAME: Final = 1  # that of TensorFlow Lite's C structs, which custom options hold


@dataclass(frozen=True, slots=True)
class _Window:
    """What moves over a picture: its rows and columns, its steps, and whether past the edges."""

    kernel: tuple[int, ...]
    strides: tuple[int, int]
    is_padded: bool

    def pads(self, lengths: tuple[int, ...]) -> list[int]:
        """Return the rows and columns that are added before, then those after."""
        if not self.is_padded:
            return [0, 0, 0, 0]
        totals = [
            max((math.ceil(length / stride) - 1) * stride + extent - length, 0)
            for length, stride, extent in zip(lengths, self.strides, self.kernel, strict=True)
        ]
        return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def _convolution(graph: OnnxGraph, operator: Operator) -> None:
    picture, weights = operator.given(0), operator.given(1)
    _convolve(graph, operator, (0, 3, 1, 2), picture.shape[3] // weights.shape[3])


def _depthwise_convolution(graph: OnnxGraph, operator: Operator) -> None:
    # Its weights are 1HWO.
    _convolve(graph, operator, (3, 0, 1, 2), operator.given(0).shape[3])


def _convolve(
    graph: OnnxGraph, operator: Operator, weights_order: tuple[int, ...], groups: int
) -> None:
    picture, weights = operator.given(0), operator.given(1)
    options = operator.options
    dilations = (options["dilationHFactor"], options["dilationWFactor"])
    kernel = weights.shape[1:3]
    reach = tuple((kernel[axis] - 1) * dilations[axis] + 1 for axis in (0, 1))
    window = _window(operator, reach)
    value = graph.node(
        "Conv",
        graph.get(picture, CHANNELS_FIRST),
        graph.constant(operator.constant(1).transpose(weights_order)),
        *_bias(graph, operator, 2),
        kernel_shape=kernel,
        strides=window.strides,
        dilations=dilations,
        pads=window.pads(picture.shape[1:3]),
        group=groups,
    )
    _put(graph, operator, value)


def _transposed_convolution(graph: OnnxGraph, operator: Operator) -> None:
    window = _window(operator, operator.given(1).shape[1:3])
    _convolve_transposed(graph, operator, operator.given(2), _bias(graph, operator, 3), window)


def _mediapipe_transposed_convolution(graph: OnnxGraph, operator: Operator) -> None:
    # MediaPipe's operator has the options of TensorFlow Lite's C struct: padding, width, height.
    padding, columns, rows = struct.unpack_from("<3i", operator.custom)
    kernel = operator.given(1).shape[1:3]
    window = _Window(kernel, (rows, columns), is_padded=padding == _CUSTOM_SAME)
    _convolve_transposed(graph, operator, operator.given(0), _bias(graph, operator, 2), window)


def _convolve_transposed(
    graph: OnnxGraph, operator: Operator, picture: Tensor, bias: list[str], window: _Window
) -> None:
    # It is padded as the convolution whose gradient it is, from its output to its input.
    sizes = operator.outputs[0].shape[1:3]
    pads = window.pads(sizes)
    padding = [
        wanted - ((length - 1) * stride + extent - pads[axis] - pads[axis + 2])
        for axis, (wanted, length, stride, extent) in enumerate(
            zip(sizes, picture.shape[1:3], window.strides, window.kernel, strict=True)
        )
    ]
    value = graph.node(
        "ConvTranspose",
        graph.get(picture, CHANNELS_FIRST),
        graph.constant(operator.constant(1).transpose(3, 0, 1, 2)),
        *bias,
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=pads,
        output_padding=padding,
    )
    _put(graph, operator, value)


def _average_pool(graph: OnnxGraph, operator: Operator) -> None:
    picture, options = operator.given(0), operator.options
    whole = (options["filterHeight"], options["filterWidth"]) == picture.shape[1:3]
    if whole and operator.outputs[0].shape[1:3] == (1, 1):
        value = graph.node("GlobalAveragePool", graph.get(picture, CHANNELS_FIRST))
        _put(graph, operator, value)
    else:
        _pool(graph, operator, "AveragePool")


def _max_pool(graph: OnnxGraph, operator: Operator) -> None:
    _pool(graph, operator, "MaxPool")


def _pool(graph: OnnxGraph, operator: Operator, kind: str) -> None:
    picture, options = operator.given(0), operator.options
    window = _window(operator, (options["filterHeight"], options["filterWidth"]))
    value = graph.node(
        kind,
        graph.get(picture, CHANNELS_FIRST),
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=window.pads(picture.shape[1:3]),
    )
    _put(graph, operator, value)


def _resize_bilinear(graph: OnnxGraph, operator: Operator) -> None:
    _resize(graph, operator, {"mode": "linear"})


def _resize_nearest(graph: OnnxGraph, operator: Operator) -> None:
    # TFLite rounds halves up between aligned corners, and takes the floor of a pixel's centre,
    # which is half a pixel more than ONNX's coordinate.
    options = operator.options
    rounds = options["alignCorners"] or options["halfPixelCenters"]
    how = "round_prefer_ceil" if rounds else "floor"
    _resize(graph, operator, {"mode": "nearest", "nearest_mode": how})


def _resize(graph: OnnxGraph, operator: Operator, attributes: dict[str, Any]) -> None:
    picture, result = operator.given(0), operator.outputs[0]
    coordinates = "asymmetric"
    if operator.options["alignCorners"]:
        coordinates = "align_corners"
    elif operator.options["halfPixelCenters"]:
        coordinates = "half_pixel"
    scales = [_scale(picture.shape[axis], result.shape[axis]) for axis in (1, 2)]
    value = graph.node(
        "Resize",
        graph.get(picture, CHANNELS_FIRST),
        "",  # a region of interest, which only another mode has
        graph.constant(np.array([1, 1, *scales], np.float32)),
        coordinate_transformation_mode=coordinates,
        **attributes,
    )
    _put(graph, operator, value)


def _scale(length: int, wanted: int) -> np.float32:
    """Return a factor by which ONNX, which rounds down, comes to the wanted length."""
    scale = np.float32(wanted / length)
    while math.floor(np.float32(length) * scale) < wanted:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale


def _pad(graph: OnnxGraph, operator: Operator) -> None:
    tensor, result = operator.given(0), operator.outputs[0]
    amounts = operator.constant(1)
    graph.bind_batch(unless=not amounts[0].any())
    order = graph.order_of(tensor)
    pads = np.concatenate([amounts[list(order), side] for side in (0, 1)]).astype(np.int64)
    value = graph.node("Pad", graph.get(tensor, order), graph.constant(pads), mode="constant")
    graph.put(result, value, order)


def _bias(graph: OnnxGraph, operator: Operator, place: int) -> list[str]:
    """Return the bias as a list: of nothing if the operator has none."""
    tensor = operator.inputs[place] if place < len(operator.inputs) else None
    return [] if tensor is None else [graph.get(tensor, natural(tensor))]


def _window(operator: Operator, kernel: tuple[int, ...]) -> _Window:
    options = operator.options
    strides = (options["strideH"], options["strideW"])
    return _Window(kernel, strides, is_padded=options["padding"] == _SAME)


def _put(graph: OnnxGraph, operator: Operator, value: str) -> None:
    """Put a picture into the graph, after the operator's activation."""
    graph.put(operator.outputs[0], with_activation(graph, value, operator.options), CHANNELS_FIRST)


LAYERS: Final = {
    "AVERAGE_POOL_2D": _average_pool,
    "CONV_2D": _convolution,
    "Convolution2DTransposeBias": _mediapipe_transposed_convolution,
    "DEPTHWISE_CONV_2D": _depthwise_convolution,
    "MAX_POOL_2D": _max_pool,
    "PAD": _pad,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "TRANSPOSE_CONV": _transposed_convolution,
}
