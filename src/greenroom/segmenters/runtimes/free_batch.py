"""Rewriting of ONNX models, in memory, so that they take any number of pictures at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["with_free_batch"]

_ROWS: Final = "rows"


def with_free_batch(path: Path, names: Collection[str]) -> bytes:
    """Return a model in which the first length of inputs is free, as are those of all outputs.

    Nodes that are told the length 1 take that of their input instead. Whether a model then answers
    each row as if it were alone is to be tried: others may mix them, or fail.

    Parameters
    ----------
    path : Path
        The model file.
    names : collection of str
        The inputs.

    Raises
    ------
    ImportError
        If the package ``onnx``, of the extra ``cuda``, is not installed.
    ValueError
        If the model cannot be rewritten.
    """
    import onnx  # noqa: PLC0415 - an extra

    try:
        model = onnx.load(path)
        graph = model.graph
        for tensor in [*(each for each in graph.input if each.name in names), *graph.output]:
            lengths = tensor.type.tensor_type.shape.dim
            if lengths:
                lengths[0].dim_param = _ROWS
        del graph.value_info[:]  # they have the length 1, too
        _free_reshapes(onnx, graph)
        serialised: bytes = model.SerializeToString()
    except Exception as error:
        message = f"it cannot be rewritten for batches ({error})"
        raise ValueError(message) from error
    return serialised


def _free_reshapes(onnx: Any, graph: Any) -> None:
    """Have reshapes to one row keep the rows of their input: a 0 stands for these."""
    constants = {each.name: each for each in graph.initializer}
    constants |= {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for number, node in enumerate(graph.node):
        if node.op_type != "Reshape" or node.input[0] in constants:
            continue
        if node.input[1] not in constants:
            continue
        shape = onnx.numpy_helper.to_array(constants[node.input[1]])
        if shape.ndim == 1 and len(shape) > 1 and shape[0] == 1:
            free = np.array([0, *shape[1:]], np.int64)
            name = f"{_ROWS}-{number}"
            graph.initializer.append(onnx.numpy_helper.from_array(free, name))
            node.input[1] = name
