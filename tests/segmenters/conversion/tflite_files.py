"""TFLite files of a few operators, made for tests with the schema of LiteRT's package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Enumerations and classes of options that a plain replacement does not give.
_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "HARD_SWISH": "HardSwishOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "SUM": "ReducerOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
}

_VERSIONS = {"DEQUANTIZE": 3, "RESIZE_BILINEAR": 3, "RESIZE_NEAREST_NEIGHBOR": 3}


@dataclass
class TFLiteFile:
    """A TFLite model in the making: tensors are added and then used by their number."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    codes: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)

    def tensor(self, shape: Sequence[int], kind: str = "FLOAT32", name: str = "") -> int:
        """Add a tensor that is computed, or an input."""
        made = schema.TensorT()
        made.shape = np.array(shape, np.int32)
        made.type = getattr(schema.TensorType, kind)
        made.name = name or f"tensor {len(self.tensors)}"
        made.buffer = 0
        self.tensors.append(made)
        return len(self.tensors) - 1

    def constant(self, values: NDArray[Any], kind: str | None = None) -> int:
        """Add a constant."""
        made = self.tensor(values.shape, kind or values.dtype.name.upper())
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.tensors[made].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return made

    def add(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        custom: bytes = b"",
        **options: Any,
    ) -> None:
        """Add an operator: one of the schema's, or a custom one if it has options of its own."""
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.version = _VERSIONS.get(kind, 1)
        if custom:
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
            code.customCode = kind
            made.customOptions = np.frombuffer(custom, np.uint8)
        else:
            number = getattr(schema.BuiltinOperator, kind)
            code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        if options:
            name = _OPTIONS.get(kind) or f"{kind.title().replace('_', '')}Options"
            made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            made.builtinOptions = getattr(schema, f"{name}T")()
            for option, value in options.items():
                assert hasattr(made.builtinOptions, option), option
                setattr(made.builtinOptions, option, value)
        made.opcodeIndex = len(self.codes)
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        self.codes.append(code)
        self.operators.append(made)

    def content(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Return the file."""
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        model.version = 3
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [graph], self.buffers
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
