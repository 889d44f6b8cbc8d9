"""An ONNX graph in the making, whose values remember how their axes are stored.

A tensor of a TFLite model has its axes in one order, NHWC for pictures. Its values in the ONNX
graph may be stored in others, NCHW above all: each operator asks for the order that it needs, and
a transposition is added only where nobody has made that order yet. A transposition of the model
itself adds nothing: the same values are then stored in another order of the new tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from greenroom.segmenters.conversion.tflite_model import Tensor

__all__ = ["CHANNELS_FIRST", "BatchBoundError", "OnnxGraph", "Order", "natural"]

Order = tuple[int, ...]
"""How a tensor is stored: entry i is the tensor's axis that comes as the i-th."""

CHANNELS_FIRST: Final[Order] = (0, 3, 1, 2)
# Operator set 17: LayerNormalization apart, what ONNX Runtime 1.20 and TensorRT 10 know well.
_OPSET: Final = 17
_IR_VERSION: Final = 8


class BatchBoundError(Exception):
    """The model mixes the pictures of a batch, so that only one can be converted for."""


class OnnxGraph:
    """An ONNX graph in the making.

    Parameters
    ----------
    reserved : sequence of str
        Names of the inputs and outputs, which nothing else gets.
    takes_batches : bool
        Whether the first axis of all tensors is a batch of any size, for which the model has 1.
        Otherwise it is what the model says.

    State: nodes, constants, and the values of the tensors so far.
    """

    def __init__(self, reserved: Sequence[str], *, takes_batches: bool) -> None:
        import onnx  # noqa: PLC0415 - an extra

        self._onnx = onnx
        self._takes_batches = takes_batches
        self._nodes: list[Any] = []
        self._constants: dict[tuple[Any, ...], Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._stored: dict[int, dict[Order, str]] = {}
        self._taken = set(reserved)

    def bind_batch(self, *, unless: bool) -> None:
        """Say that the model works for one picture only, unless something holds.

        Raises
        ------
        BatchBoundError
            If batches are wanted.
        """
        if self._takes_batches and not unless:
            raise BatchBoundError

    def add_input(self, tensor: Tensor) -> None:
        """Make a tensor an input of the graph."""
        self.bind_batch(unless=len(tensor.shape) > 1 and tensor.shape[0] == 1)
        self._inputs.append(self._described(tensor))
        self.put(tensor, tensor.name, natural(tensor))

    def add_output(self, tensor: Tensor) -> None:
        """Make a tensor an output of the graph."""
        value = self.get(tensor, natural(tensor))
        self._add("Identity", [value], [tensor.name], {})
        self._outputs.append(self._described(tensor))

    def put(self, tensor: Tensor, value: str, order: Order) -> None:
        """Say which value is a tensor's, stored in an order."""
        self._stored.setdefault(tensor.index, {})[order] = value

    def get(self, tensor: Tensor, order: Order) -> str:
        """Return a tensor's value stored in an order; it is transposed where it is not yet."""
        if tensor.data is not None:
            return self.constant(np.transpose(_real(tensor), order))
        orders = self._stored[tensor.index]
        if order not in orders:
            orders[order] = self._transposed(tensor, self.order_of(tensor), order)
        return orders[order]

    def order_of(self, tensor: Tensor) -> Order:
        """Return an order in which a tensor is stored: channels first if there is that."""
        orders = self._stored[tensor.index]
        return CHANNELS_FIRST if CHANNELS_FIRST in orders else next(iter(orders))

    def orders_of(self, tensor: Tensor) -> dict[Order, str]:
        """Return a tensor's values by the orders in which it is stored."""
        return self._stored[tensor.index]

    def lengths(self, tensor: Tensor, order: Order) -> list[int]:
        """Return a tensor's lengths in an order; -1 stands for a free batch."""
        lengths = [tensor.shape[axis] for axis in order]
        if self._takes_batches:
            lengths[order.index(0)] = -1
        return lengths

    def constant(self, values: ArrayLike) -> str:
        """Return the name of a constant; equal ones share it."""
        array: NDArray[Any] = np.ascontiguousarray(values)
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._new_name("constant")
            self._constants[key] = self._onnx.numpy_helper.from_array(array, name)
        return str(self._constants[key].name)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, and return its name."""
        output = self._new_name(kind.lower())
        self._add(kind, list(inputs), [output], attributes)
        return output

    def reshaped(self, value: str, lengths: Sequence[int]) -> str:
        """Add a change of a value's shape; -1 stands for what is left."""
        return self.node("Reshape", value, self.constant(np.array(lengths, np.int64)))

    def serialised(self, producer: str) -> bytes:
        """Return the model as a file's content."""
        helper = self._onnx.helper
        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, "model", self._inputs, self._outputs, constants)
        model = helper.make_model(
            graph,
            producer_name=producer,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        data: bytes = model.SerializeToString()
        return data

    def _transposed(self, tensor: Tensor, stored: Order, wanted: Order) -> str:
        value = self._stored[tensor.index][stored]
        lengths = self.lengths(tensor, natural(tensor))
        # Axes of length 1 may go anywhere without a copy.
        long = [[axis for axis in order if lengths[axis] != 1] for order in (stored, wanted)]
        if long[0] == long[1]:
            return self.reshaped(value, self.lengths(tensor, wanted))
        return self.node("Transpose", value, perm=[stored.index(axis) for axis in wanted])

    def _described(self, tensor: Tensor) -> Any:
        lengths: list[int | str] = list(tensor.shape)
        if self._takes_batches and lengths:
            lengths[0] = "batch" if lengths[0] == 1 else f"batch_{lengths[0]}"
        kind = self._onnx.TensorProto.FLOAT
        return self._onnx.helper.make_tensor_value_info(tensor.name, kind, lengths)

    def _new_name(self, kind: str) -> str:
        name = f"{kind}_{len(self._taken)}"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _add(
        self, kind: str, inputs: list[str], outputs: list[str], attributes: dict[str, Any]
    ) -> None:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(
            self._onnx.helper.make_node(kind, inputs, outputs, name=name, **attributes)
        )


def natural(tensor: Tensor) -> Order:
    """Return the order of a tensor's axes in the TFLite model."""
    return tuple(range(len(tensor.shape)))


def _real(tensor: Tensor) -> NDArray[Any]:
    """Return a constant, half precision as single."""
    assert tensor.data is not None
    is_half = tensor.data.dtype == np.float16
    return tensor.data.astype(np.float32) if is_half else tensor.data
