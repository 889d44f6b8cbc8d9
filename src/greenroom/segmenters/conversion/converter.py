"""Conversion of one TFLite model to ONNX."""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.errors import MissingExtraError, ModelError
from greenroom.segmenters.conversion.arithmetic import ARITHMETIC
from greenroom.segmenters.conversion.layers import LAYERS
from greenroom.segmenters.conversion.onnx_graph import BatchBoundError, OnnxGraph
from greenroom.segmenters.conversion.tflite_model import Tensor, TFLiteModel, read_tflite

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["convert"]

_TRANSLATIONS: Final = {**LAYERS, **ARITHMETIC}
_FLOAT: Final = "FLOAT32"
# Raised by a translation about what no valid file has.
_DAMAGES: Final = (ArithmeticError, AttributeError, LookupError, TypeError, struct.error)


def convert(data: bytes, path: Path) -> bytes:
    """Convert a TFLite model to ONNX.

    Inputs, outputs, their names and shapes stay; the batch becomes free, unless the model mixes
    the pictures of one. Weights of half precision become single.

    Parameters
    ----------
    data : bytes
        Content of the TFLite file.
    path : Path
        The file, for messages.

    Returns
    -------
    bytes
        Content of an ONNX file.

    Raises
    ------
    MissingExtraError
        If the package ``onnx`` is not installed.
    ModelError
        If the file is damaged, quantised, or uses an operator that is not supported.
    """
    try:
        model = _with_single_precision(read_tflite(data))
        _check(model)
        return _translated(model)
    except ImportError as error:
        message = (
            f"to run on a GPU a TFLite model is converted by the package onnx, which is not "
            f"installed ({error}). Install it with pip install 'greenroom[cuda]'."
        )
        raise MissingExtraError(message) from error
    except ValueError as error:
        raise _error(path, str(error)) from error
    except _DAMAGES as error:
        raise _error(path, f"it is damaged ({error!r})") from error


def _error(path: Path, reason: str) -> ModelError:
    message = (
        f"model file '{path}' cannot be converted to run on a GPU: {reason}. Use --device cpu or "
        f"auto."
    )
    return ModelError(message, path)


def _translated(model: TFLiteModel) -> bytes:
    try:
        graph = _graph_of(model, takes_batches=True)
    except BatchBoundError:
        graph = _graph_of(model, takes_batches=False)
    return graph.serialised("greenroom")


def _graph_of(model: TFLiteModel, *, takes_batches: bool) -> OnnxGraph:
    names = [tensor.name for tensor in (*model.inputs, *model.outputs)]
    graph = OnnxGraph(names, takes_batches=takes_batches)
    for tensor in model.inputs:
        graph.add_input(tensor)
    for operator in model.operators:
        _TRANSLATIONS[operator.kind](graph, operator)
    for tensor in model.outputs:
        graph.add_output(tensor)
    return graph


def _with_single_precision(model: TFLiteModel) -> TFLiteModel:
    """Return a model whose weights of half precision are constants of single precision."""
    constants: dict[int, Tensor] = {}
    operators = []
    for operator in model.operators:
        given = operator.inputs[0] if operator.inputs else None
        if operator.kind == "DEQUANTIZE" and given is not None and _is_half(given):
            assert given.data is not None
            values = given.data.astype(np.float32)
            result = operator.outputs[0]
            constants[result.index] = dataclasses.replace(result, data=values)
        else:
            inputs = tuple(each and constants.get(each.index, each) for each in operator.inputs)
            operators.append(dataclasses.replace(operator, inputs=inputs))
    return dataclasses.replace(model, operators=tuple(operators))


def _is_half(tensor: Tensor) -> bool:
    return tensor.kind == "FLOAT16" and tensor.data is not None


def _check(model: TFLiteModel) -> None:
    """Raise `ValueError` for what cannot be converted, whatever the operators do."""
    variable = list(_variable_tensors(model))
    # First, as quantised models have operators of their own.
    for tensor in variable:
        if tensor.kind != _FLOAT:
            message = f"'{tensor.name}' is of type {tensor.kind}, as in quantised models"
            raise ValueError(message)
    kinds = {operator.kind for operator in model.operators}
    if unknown := sorted(kinds - _TRANSLATIONS.keys()):
        message = f"operator {', '.join(unknown)} is not supported"
        raise ValueError(message)
    for tensor in variable:
        if min(tensor.shape, default=1) < 1:
            lengths = "x".join("any" if each < 0 else str(each) for each in tensor.shape)
            message = f"the size of '{tensor.name}' is not fixed ({lengths})"
            raise ValueError(message)
    names = Counter(tensor.name for tensor in (*model.inputs, *model.outputs))
    if "" in names or len(names) < names.total():
        message = "its inputs and outputs do not have a name each"
        raise ValueError(message)


def _variable_tensors(model: TFLiteModel) -> Iterable[Tensor]:
    yield from model.inputs
    yield from model.outputs
    for operator in model.operators:
        yield from operator.outputs
