"""TFLite files, read into plain values."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Operator", "TFLiteModel", "Tensor", "read_tflite"]

_IDENTIFIER: Final = b"TFL3"  # at byte 4
_DTYPES: Final = {"FLOAT32": "<f4", "FLOAT16": "<f2", "INT32": "<i4", "INT64": "<i8"}
# Raised by flatbuffers' readers, which do not verify a file.
_READ_ERRORS: Final = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError),
    struct.error,
)


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A tensor of a TFLite model.

    Attributes
    ----------
    index : int
        Its number in the model.
    name : str
        Its name; may be empty, or that of another tensor too.
    shape : tuple of int
        Lengths, with a batch of 1; -1 where the file leaves one open.
    kind : str
        Type of its values, as the schema calls it: ``FLOAT32``, ``INT8``.
    data : ndarray, optional
        Values of a constant; a view of the file's content.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    kind: str
    data: NDArray[Any] | None


@dataclass(frozen=True, eq=False, slots=True)
class Operator:
    """An operator of a TFLite model.

    Attributes
    ----------
    kind : str
        The schema's name, such as ``CONV_2D``, or the name of a custom operator.
    inputs : tuple of Tensor or None
        None where an optional input is left out.
    outputs : tuple of Tensor
    options : mapping of str to object
        Fields of the operator's options, as the schema's Python calls them: ``strideW``.
    custom : bytes
        Options of a custom operator.
    """

    kind: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Mapping[str, Any]
    custom: bytes

    def given(self, place: int) -> Tensor:
        """Return an input that must be there.

        Raises
        ------
        ValueError
            If it is left out.
        """
        tensor = self.inputs[place] if place < len(self.inputs) else None
        if tensor is None:
            message = f"operator {self.kind} lacks an input"
            raise ValueError(message)
        return tensor

    def constant(self, place: int) -> NDArray[Any]:
        """Return an input that must be a constant.

        Raises
        ------
        ValueError
            If it is not.
        """
        data = self.given(place).data
        if data is None:
            message = f"operator {self.kind} is supported with a constant as input {place + 1} only"
            raise ValueError(message)
        return data


@dataclass(frozen=True, slots=True)
class TFLiteModel:
    """The main graph of a TFLite file; operators are in the order in which they run."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]


def read_tflite(data: bytes) -> TFLiteModel:
    """Read a TFLite file.

    Parameters
    ----------
    data : bytes
        Content of the file. The constants of the model are views of it.

    Raises
    ------
    ValueError
        If it is not a TFLite file, or damaged.
    """
    # 0.1 s of generated code, for conversions only.
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    if data[4:8] != _IDENTIFIER:
        message = "it is not a TFLite file"
        raise ValueError(message)
    try:
        return _model(schema, schema.ModelT.InitFromPackedBuf(data, 0))
    except _READ_ERRORS as error:
        message = f"it is damaged ({error!r})"
        raise ValueError(message) from error


def _model(schema: Any, packed: Any) -> TFLiteModel:
    graph = packed.subgraphs[0]
    kinds = _names(schema.TensorType)
    tensors = [
        _tensor(number, each, kinds[each.type], packed.buffers[each.buffer].data)
        for number, each in enumerate(graph.tensors)
    ]
    return TFLiteModel(
        tuple(tensors[at] for at in graph.inputs),
        tuple(tensors[at] for at in graph.outputs),
        tuple(
            _operator(each, _kind(schema, packed.operatorCodes[each.opcodeIndex]), tensors)
            for each in graph.operators
        ),
    )


def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _kind(schema: Any, code: Any) -> str:
    if code.customCode is not None:
        return str(code.customCode.decode())
    # Older files have the number in the first field only, newer ones 127 there if it is larger.
    return _names(schema.BuiltinOperator)[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _tensor(number: int, packed: Any, kind: str, data: Any) -> Tensor:
    shape = _lengths(packed.shape)
    signature = _lengths(packed.shapeSignature)
    values = None
    if data is not None and len(data) and kind in _DTYPES:
        values = np.frombuffer(data, _DTYPES[kind]).reshape(shape)
    elif data is not None and len(data):
        values = np.frombuffer(data, np.uint8)  # of no use, but a constant
    # A batch that is left open has 1 in the shape, for which all others are.
    is_open = len(signature) == len(shape) and -1 in signature[1:]
    name = (packed.name or b"").decode()
    return Tensor(number, name, signature if is_open else shape, kind, values)


def _lengths(packed: Any) -> tuple[int, ...]:
    return () if packed is None else tuple(map(int, packed))


def _operator(packed: Any, kind: str, tensors: list[Tensor]) -> Operator:
    options = {} if packed.builtinOptions is None else vars(packed.builtinOptions)
    custom = b"" if packed.customOptions is None else bytes(packed.customOptions)
    return Operator(
        kind,
        tuple(None if at < 0 else tensors[at] for at in packed.inputs),
        tuple(tensors[at] for at in packed.outputs),
        options,
        custom,
    )
