"""Conversion of ONNX models to half precision, in memory."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["in_half_precision"]


def in_half_precision(source: Path | bytes) -> bytes:
    """Return a model, of a file or serialised, that computes in float16.

    Its inputs and outputs keep their types.

    Raises
    ------
    ImportError
        If the package ``onnx``, of the extra ``cuda``, is not installed.
    ValueError
        If the model cannot be converted.
    """
    import onnx  # noqa: PLC0415 - an extra
    from onnxruntime.transformers.float16 import (  # noqa: PLC0415 - imports onnx
        convert_float_to_float16,
    )

    try:
        model = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(source)
        _prepare(model.graph)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about constants beyond float16's range
            converted = convert_float_to_float16(model, keep_io_types=True)
        _name_nodes(converted.graph)
        serialised: bytes = converted.SerializeToString()
    except Exception as error:
        message = f"it cannot be converted to half precision ({error})"
        raise ValueError(message) from error
    return serialised


def _prepare(graph: Any) -> None:
    """Rewrite what the converter cannot handle, to the same effect.

    It takes a constant that is also listed as an input for a picture, and gives the casts of a
    constant to float, which `Resize` needs, the same name each time.
    """
    constants = {each.name: each for each in graph.initializer}
    for given in [each for each in graph.input if each.name in constants]:
        graph.input.remove(given)
    for number, node in enumerate(graph.node):
        for place, name in enumerate(node.input):
            if node.op_type == "Resize" and name in constants:
                own = graph.initializer.add()
                own.CopyFrom(constants[name])
                own.name = node.input[place] = f"{name}-{number}-{place}"
    _name_nodes(graph)


def _name_nodes(graph: Any) -> None:
    """Give each node a name of its own."""
    for number, node in enumerate(graph.node):
        node.name = f"node-{number}"
