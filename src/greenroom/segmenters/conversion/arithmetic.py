"""Translation of the operators that work in any order of the axes, or change the order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.segmenters.conversion.activations import FUNCTIONS, with_activation
from greenroom.segmenters.conversion.onnx_graph import CHANNELS_FIRST, natural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.segmenters.conversion.onnx_graph import OnnxGraph, Order
    from greenroom.segmenters.conversion.tflite_model import Operator, Tensor

__all__ = ["ARITHMETIC"]

_BINARY: Final = {
    "ADD": "Add", "DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min", "MUL": "Mul", "PRELU": "PRelu",
    "SUB": "Sub",
}  # fmt: skip


def _function(graph: OnnxGraph, operator: Operator) -> None:
    tensor = operator.given(0)
    order = graph.order_of(tensor)
    value = FUNCTIONS[operator.kind](graph, graph.get(tensor, order), operator.options)
    graph.put(operator.outputs[0], value, order)


def _binary(graph: OnnxGraph, operator: Operator) -> None:
    result = operator.outputs[0]
    operands = [operator.given(0), operator.given(1)]
    order = _common_order(graph, operands, len(result.shape))
    values = [_operand(graph, tensor, order, result) for tensor in operands]
    value = graph.node(_BINARY[operator.kind], *values)
    graph.put(result, with_activation(graph, value, operator.options), order)


def _operand(graph: OnnxGraph, tensor: Tensor, order: Order, result: Tensor) -> str:
    """Return an operand in an order of the result's axes, of which it may have fewer."""
    if tensor.data is None:
        graph.bind_batch(unless=tensor.shape[:1] == result.shape[:1] and _same_rank(tensor, result))
        return graph.get(tensor, order if _same_rank(tensor, result) else natural(tensor))
    wide = tensor.data.reshape((1,) * (len(result.shape) - tensor.data.ndim) + tensor.shape)
    graph.bind_batch(unless=wide.shape[:1] == (1,))
    return graph.constant(np.transpose(wide, order).astype(np.float32))


def _common_order(graph: OnnxGraph, operands: Sequence[Tensor], rank: int) -> Order:
    """Return the order that costs least: that of an operand, channels first if one has it."""
    variable = [tensor for tensor in operands if tensor.data is None]
    graph.bind_batch(unless=bool(variable))
    if not variable or any(len(tensor.shape) != rank for tensor in variable):
        return tuple(range(rank))
    orders = [graph.order_of(tensor) for tensor in variable]
    return CHANNELS_FIRST if CHANNELS_FIRST in orders else orders[0]


def _same_rank(tensor: Tensor, other: Tensor) -> bool:
    return len(tensor.shape) == len(other.shape)


def _concatenation(graph: OnnxGraph, operator: Operator) -> None:
    result = operator.outputs[0]
    axis = operator.options["axis"] % len(result.shape)
    parts = [operator.given(place) for place in range(len(operator.inputs))]
    graph.bind_batch(unless=axis != 0 and all(part.data is None for part in parts))
    order = _common_order(graph, parts, len(result.shape))
    values = [graph.get(part, order) for part in parts]
    value = graph.node("Concat", *values, axis=order.index(axis))
    graph.put(result, with_activation(graph, value, operator.options), order)


def _mean(graph: OnnxGraph, operator: Operator) -> None:
    tensor, result = operator.given(0), operator.outputs[0]
    if len(tensor.shape) == 4 and operator.options["keepDims"] and _axes(operator) == [1, 2]:
        value = graph.node("GlobalAveragePool", graph.get(tensor, CHANNELS_FIRST))
        graph.put(result, value, CHANNELS_FIRST)
        return
    order = _reduced_order(graph, operator)
    axes = [order.index(axis) for axis in _axes(operator)]
    keeps = int(operator.options["keepDims"])
    value = graph.node("ReduceMean", graph.get(tensor, order), axes=axes, keepdims=keeps)
    graph.put(result, value, order if keeps else natural(result))


def _sum(graph: OnnxGraph, operator: Operator) -> None:
    order = _reduced_order(graph, operator)
    axes = np.array([order.index(axis) for axis in _axes(operator)], np.int64)
    keeps = int(operator.options["keepDims"])
    value = graph.get(operator.given(0), order)
    value = graph.node("ReduceSum", value, graph.constant(axes), keepdims=keeps)
    result = operator.outputs[0]
    graph.put(result, value, order if keeps else natural(result))


def _axes(operator: Operator) -> list[int]:
    """Return the axes over which an operator reduces."""
    rank = len(operator.given(0).shape)
    return sorted({int(axis) % rank for axis in operator.constant(1).ravel()})


def _reduced_order(graph: OnnxGraph, operator: Operator) -> Order:
    """Return an order in which an operator can reduce: any if it keeps the axes."""
    graph.bind_batch(unless=0 not in _axes(operator))
    tensor = operator.given(0)
    return graph.order_of(tensor) if operator.options["keepDims"] else natural(tensor)


def _softmax(graph: OnnxGraph, operator: Operator) -> None:
    tensor = operator.given(0)
    last = len(tensor.shape) - 1
    graph.bind_batch(unless=last > 0)
    order = graph.order_of(tensor)
    value = graph.get(tensor, order)
    if operator.options["beta"] != 1:
        value = graph.node("Mul", value, graph.constant(np.float32(operator.options["beta"])))
    graph.put(operator.outputs[0], graph.node("Softmax", value, axis=order.index(last)), order)


def _reshape(graph: OnnxGraph, operator: Operator) -> None:
    tensor, result = operator.given(0), operator.outputs[0]
    graph.bind_batch(unless=bool(result.shape))
    lengths = graph.lengths(result, natural(result))
    value = graph.reshaped(graph.get(tensor, natural(tensor)), lengths)
    graph.put(result, value, natural(result))


def _transpose(graph: OnnxGraph, operator: Operator) -> None:
    tensor, result = operator.given(0), operator.outputs[0]
    axes = [int(axis) for axis in operator.constant(1)]
    graph.bind_batch(unless=axes[0] == 0)
    for order, value in list(graph.orders_of(tensor).items()):
        graph.put(result, value, tuple(axes.index(axis) for axis in order))


ARITHMETIC: Final = {
    **dict.fromkeys(FUNCTIONS, _function),
    **dict.fromkeys(_BINARY, _binary),
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _reshape,
    "MEAN": _mean,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "SUM": _sum,
    "TRANSPOSE": _transpose,
}
