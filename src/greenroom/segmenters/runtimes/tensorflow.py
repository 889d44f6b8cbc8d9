"""TensorFlow runtime for frozen graphs, on the CPU."""

from __future__ import annotations

import os
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.errors import ModelError
from greenroom.segmenters.runtimes.archives import read_graph
from greenroom.segmenters.runtimes.native_stderr import captured_stderr
from greenroom.segmenters.runtimes.operations import forbidden
from greenroom.segmenters.runtimes.runtime import (
    Runtime,
    TensorInfo,
    check_file,
    load_error,
    missing_extra_error,
    run_error,
)
from greenroom.segmenters.runtimes.states import HostStates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.segmenters.runtimes.runtime import Fill
    from greenroom.segmenters.runtimes.states import States

__all__ = ["TensorFlowRuntime"]

_LIBRARY: Final = "TensorFlow"
_LOG_LEVEL: Final = "TF_CPP_MIN_LOG_LEVEL"
_FATAL_ONLY: Final = "3"
# Types of terminal operations that are no outputs.
_NO_OUTPUTS: Final = ("Assert", "Const", "NoOp", "Placeholder")


class TensorFlowRuntime(Runtime):
    """Runtime for frozen graphs, in a ``.pb`` file or an archive.

    Parameters and errors: see `load_runtime`. Outputs are tensors, such as
    ``SemanticPredictions:0``; by default all without consumers in the graph. Only graphs of allowed
    operations (`operations`) are accepted. They run in a session of TensorFlow 1's interface.

    State: the buffer of the input.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        outputs: Sequence[str] = (),
        states: Mapping[str, str] = MappingProxyType({}),
        member: str | None = None,
    ) -> None:
        check_file(path)
        tensorflow = _import()
        v1 = tensorflow.compat.v1
        self.path = path
        self.threads = threads
        self.states = states
        self.name = f"{_LIBRARY} {tensorflow.__version__}"
        self.device = "cpu"
        self._errors = (tensorflow.errors.OpError, ValueError, TypeError)
        definition = _parse(v1, path, read_graph(path, member))
        graph = tensorflow.Graph()
        try:
            with captured_stderr(), graph.as_default():
                v1.import_graph_def(definition, name="")
                self._session: Any = v1.Session(graph=graph, config=_config(v1, threads))
        except (*self._errors, KeyError) as error:
            raise load_error(path, _LIBRARY, error) from error
        self.inputs = tuple(_info(op.outputs[0]) for op in _placeholders(graph))
        self._fetched = _tensors(path, graph, outputs)
        self.outputs = tuple(map(_info, self._fetched))
        self._types = {info.name: info.dtype for info in self.inputs}
        self._callable: tuple[tuple[str, ...], Callable[..., list[NDArray[Any]]]] | None = None
        self._buffer: NDArray[Any] = np.empty(0)

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
    ) -> dict[str, NDArray[Any]]:
        """See `Runtime.run`; the outputs are new arrays here."""
        if self._buffer.shape != shape:
            self._buffer = np.zeros(shape, self._types[picture])
        fill(self._buffer)
        kept = HostStates.checked(states)
        feeds = {picture: self._buffer, **others, **({} if kept is None else kept.values)}
        names = tuple(feeds)
        try:
            if self._callable is None or self._callable[0] != names:
                tensors = [self._session.graph.get_tensor_by_name(name) for name in names]
                made = self._session.make_callable(list(self._fetched), tensors)
                self._callable = names, made
            results = self._callable[1](*feeds.values())
        except self._errors as error:
            reason = error.message if isinstance(error, self._errors[0]) else error
            raise run_error(self.path, reason) from error
        named = {info.name: values for info, values in zip(self.outputs, results, strict=True)}
        if kept is not None:
            kept.take(named)
        return named

    def close(self) -> None:
        """See `Runtime.close`."""
        self._callable = None
        self._session.close()


def _import() -> Any:
    try:
        with _quiet(), captured_stderr():
            import tensorflow as tf  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra_error(_LIBRARY, "tensorflow", error) from error
    return tf


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress TensorFlow's log unless the user has set a level."""
    before = os.environ.get(_LOG_LEVEL)
    os.environ.setdefault(_LOG_LEVEL, _FATAL_ONLY)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LOG_LEVEL]


def _parse(v1: Any, path: Path, data: bytes) -> Any:
    """Parse a graph; raise for forbidden operations."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with TensorFlow

    definition = v1.GraphDef()
    try:
        definition.ParseFromString(data)
    except (DecodeError, RecursionError) as error:
        raise load_error(path, _LIBRARY, f"not a frozen graph ({error})") from error
    if not definition.node:
        raise load_error(path, _LIBRARY, "the graph is empty")
    if names := forbidden(definition):
        message = (
            f"model file '{path}' is not run: its graph uses {', '.join(names[:5])}, and only "
            f"operations that compute are allowed. Export a frozen graph for inference."
        )
        raise ModelError(message, path)
    return definition


def _config(v1: Any, threads: int) -> Any:
    return v1.ConfigProto(
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=1,
        device_count={"GPU": 0},
    )


def _placeholders(graph: Any) -> list[Any]:
    return [op for op in graph.get_operations() if op.type == "Placeholder"]


def _tensors(path: Path, graph: Any, names: Sequence[str]) -> list[Any]:
    """Return the tensors with the given names, or those without consumers."""
    ends = [
        op.outputs[0]
        for op in graph.get_operations()
        if op.outputs and op.type not in _NO_OUTPUTS
        if not any(output.consumers() for output in op.outputs)
    ]
    if not names:
        return ends
    found = []
    for name in names:
        try:
            found.append(graph.get_tensor_by_name(name))
        except (KeyError, ValueError) as error:
            message = (
                f"model file '{path}' has no tensor '{name}': it ends in "
                f"{', '.join(end.name for end in ends) or 'nothing'}. Is it the file that the card "
                f"describes?"
            )
            raise ModelError(message, path) from error
    return found


def _info(tensor: Any) -> TensorInfo:
    rank = tensor.shape.rank
    shape = () if rank is None else tuple(tensor.shape.as_list())
    return TensorInfo(tensor.name, shape, np.dtype(tensor.dtype.as_numpy_dtype))
