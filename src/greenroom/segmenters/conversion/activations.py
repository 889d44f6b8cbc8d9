"""Translation of functions of one value, and of those that other operators have built in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greenroom.segmenters.conversion.onnx_graph import OnnxGraph

    Function = Callable[[OnnxGraph, str, Mapping[str, Any]], str]

__all__ = ["FUNCTIONS", "with_activation"]


def _clip(low: float, high: float) -> Function:
    def clip(graph: OnnxGraph, value: str, _: Mapping[str, Any]) -> str:
        limits = [graph.constant(np.float32(limit)) for limit in (low, high)]
        return graph.node("Clip", value, *limits)

    return clip


def _plain(kind: str) -> Function:
    return lambda graph, value, _: graph.node(kind, value)


def _hard_swish(graph: OnnxGraph, value: str, _: Mapping[str, Any]) -> str:
    # Not ONNX's own operator, which not every device has.
    return graph.node("Mul", value, graph.node("HardSigmoid", value, alpha=1 / 6, beta=0.5))


def _leaky_relu(graph: OnnxGraph, value: str, options: Mapping[str, Any]) -> str:
    return graph.node("LeakyRelu", value, alpha=options["alpha"])


_RELU: Final = _plain("Relu")
_RELU_6: Final = _clip(0, 6)
_RELU_1: Final = _clip(-1, 1)

FUNCTIONS: Final[dict[str, Function]] = {
    "HARD_SWISH": _hard_swish,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _plain("Sigmoid"),
    "RELU": _RELU,
    "RELU6": _RELU_6,
    "RELU_N1_TO_1": _RELU_1,
    "TANH": _plain("Tanh"),
}
# By the schema's ActivationFunctionType. LiteRT ignores the others.
_BUILT_IN: Final[dict[int, Function]] = {1: _RELU, 2: _RELU_1, 3: _RELU_6}


def with_activation(graph: OnnxGraph, value: str, options: Mapping[str, Any]) -> str:
    """Add the activation that an operator has built in, and return the value after it.

    Raises
    ------
    ValueError
        If it is an unknown one.
    """
    number = options.get("fusedActivationFunction", 0)
    if not number:
        return value
    if number not in _BUILT_IN:
        message = f"activation {number} is not supported"
        raise ValueError(message)
    return _BUILT_IN[number](graph, value, {})
