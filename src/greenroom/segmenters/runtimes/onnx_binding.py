"""ONNX Runtime by IO binding: tensors in fixed memory on the device, copied only where needed.

The input is uploaded into one tensor that is used again. Outputs are bound to tensors on the
device, of which only those that the caller reads are downloaded. Recurrent states stay on the
device: two sets of tensors take turns, so that a run reads one and writes the other. On the CPU
input and outputs are NumPy's memory, states the library's, and nothing is copied.

For a picture on the same device (`BoundSession.picture_on`) nothing is copied either: its kernels
write the input, and read the outputs. No run begins before these kernels have ended, and no kernel
before the run: either the library works on their stream, or the host waits for both.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from greenroom.cuda import calls
from greenroom.errors import DeviceError
from greenroom.segmenters.runtimes.runtime import first_states
from greenroom.segmenters.runtimes.states import States

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from greenroom.cuda import Array, Device, DeviceArray
    from greenroom.segmenters.runtimes.runtime import TensorInfo

    Value = Any  # an OrtValue

__all__ = ["BoundSession", "DeviceStates"]

_CPU: Final = "cpu"
_NONE: Final = np.empty(0)
# Runs without a graph, and the most graphs of a session: one stream has three at one size.
_NO_GRAPH: Final = -1
# Most tensors for batches: of each input, for each number of rows and size of picture.
_MAX_GATHERING: Final = 64
# Option of a run that ends when all work is given to the stream, not when that is done.
_NO_WAIT: Final = "disable_synchronize_execution_providers"
_MAX_GRAPHS: Final = 12


class _TensorSet(NamedTuple):
    """Tensors of all states by input, and what their sizes depend on."""

    fits: Hashable
    values: Mapping[str, Value]


class DeviceStates(States):
    """States of one stream as tensors on the device.

    Parameters
    ----------
    session : BoundSession
        Runs the model.

    State: two sets of tensors, and which of them holds the states.
    """

    def __init__(self, session: BoundSession) -> None:
        self.begin_on(session)

    def begin_on(self, session: BoundSession) -> None:
        """Move to a session, with the first states."""
        self.session = session
        self._first: Mapping[str, Value] = session.first_tensors()
        self._sets = [_TensorSet(None, {}), _TensorSet(None, {})]
        self._last: int | None = None

    @property
    def values(self) -> Mapping[str, Value]:
        """The states now, by input."""
        return self._first if self._last is None else self._sets[self._last].values

    def targets(self, fits: Hashable) -> Mapping[str, Value]:
        """Return tensors for the next states; none if there are none of these sizes."""
        target = self._sets[self._next]
        return target.values if target.fits == fits else {}

    def take(self, values: Mapping[str, Value], fits: Hashable) -> None:
        """Make tensors the states."""
        self._sets[self._next] = _TensorSet(fits, values)
        self._last = self._next

    def reset(self) -> None:
        """See `States.reset`; the tensors are used again."""
        self._last = None

    @property
    def _next(self) -> int:
        return 0 if self._last is None else 1 - self._last


class BoundSession:
    """A session with its tensors bound. One thread at a time.

    Parameters
    ----------
    onnxruntime : module
        The library.
    session : InferenceSession
        The loaded model.
    place : (str, int)
        Where its tensors are: ``cpu`` or ``cuda``, and the number of the GPU.
    stream_of : Device, optional
        The device on whose stream of kernels the session works.
    inputs, outputs : tuple of TensorInfo
        Inputs of the model, and the outputs to compute.
    carried : mapping of str to str
        Each state's input, and the output that feeds it in the next run.
    errors : tuple of exception classes
        Exceptions of the library.
    graphs : bool
        Whether the session can record runs as CUDA graphs (``enable_cuda_graph``).

    State: the tensors, and the graphs recorded for them.
    """

    def __init__(
        self,
        onnxruntime: Any,
        session: Any,
        *,
        place: tuple[str, int],
        stream_of: Device | None = None,
        inputs: tuple[TensorInfo, ...],
        outputs: tuple[TensorInfo, ...],
        carried: Mapping[str, str],
        errors: tuple[type[Exception], ...],
        graphs: bool = False,
    ) -> None:
        self._onnxruntime = onnxruntime
        self._values = onnxruntime.OrtValue
        self._has_graphs = graphs
        self._graphs: dict[tuple[int, ...], list[Value]] = {}
        self._session = session
        self.place = place
        self._memory = place[0]
        self._stream_of = stream_of
        self._there: Device | None = None  # whose memory the picture is in
        self._is_running = False  # on the stream, without having been waited for
        self.inputs = inputs
        self.outputs = outputs
        self._types = {info.name: info.dtype for info in inputs}
        self._first = first_states(carried, inputs)
        self._feeds = {output: name for name, output in carried.items()}
        self._names = [info.name for info in outputs]
        self._output_types = {info.name: info.dtype for info in outputs}
        self._errors = errors
        self._buffer: NDArray[Any] = np.empty(0)
        self._input: Value = None
        self._constants: dict[str, tuple[NDArray[Any], Value]] = {}
        self._fits: Hashable = None
        self._outputs: dict[str, tuple[NDArray[Any], Value]] = {}
        self._sizes_vary = False
        self._gathering: dict[tuple[str, tuple[int, ...]], Value] = {}

    def first_tensors(self) -> dict[str, Value]:
        """Upload first states for a stream."""
        return {name: self._uploaded(values) for name, values in self._first.items()}

    def picture(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the memory from which the picture of the next run is taken."""
        self._turn_to(None)
        self._make_input(name, shape)
        return self._buffer

    def picture_on(self, device: Device | None, name: str, shape: tuple[int, ...]) -> Array:
        """Return the same as an array of a device if its memory is the session's."""
        if device is None or device.place != self.place:
            return self.picture(name, shape)
        self._turn_to(device)
        self._make_input(name, shape)
        return device.adopt(self._input.data_ptr(), shape, self._types[name], self._input)

    def leave_device(self) -> None:
        """Wait for what goes on, as far as the device still can: of a lost one nothing does."""
        with suppress(DeviceError):
            self._finish()
        self._is_running = False

    def _turn_to(self, device: Device | None) -> None:
        """Take pictures from a device's memory, or from NumPy's."""
        if device is not self._there:
            self.leave_device()
            self._there = device

    def _finish(self) -> None:
        """Wait for the kernels and runs so far, before memory is freed or changes its user."""
        if self._there is not None:
            self._there.finish_kernels()
        if self._is_running and self._stream_of is not None:
            self._stream_of.finish_kernels()
        self._is_running = False

    def _make_input(self, name: str, shape: tuple[int, ...]) -> None:
        if self._input is None or self._buffer.shape != shape:
            self._finish()
            self._buffer = np.zeros(shape, self._types[name])
            self._input = self._uploaded(self._buffer)

    def run(
        self,
        picture: str,
        others: Mapping[str, NDArray[Any]],
        states: DeviceStates | None = None,
    ) -> dict[str, Any]:
        """Run the model on what was written into `picture`.

        The outputs that feed ``states`` are left out; see `Runtime.run`. They are arrays of the
        device that the picture is on.
        """
        if self._there is not None:
            if self._there is not self._stream_of:
                self._there.finish_kernels()
        elif self._memory != _CPU:
            self._input.update_inplace(self._buffer)
        self._note_sizes(others)
        given = {picture: self._input}
        given.update((name, self._constant(name, values)) for name, values in others.items())
        if states is None:
            return self._read(self._computed(given, self._known()))
        if states.session is not self:
            states.begin_on(self)
        given.update(states.values)
        # Not on the CPU: the library's memory, freed a moment ago, is in its caches (2 % of RVM).
        targets = {} if self._memory == _CPU else states.targets(self._fits)
        fed = {output: targets[name] for output, name in self._feeds.items() if name in targets}
        computed = self._computed(given, {**self._known(), **fed})
        states.take(
            {name: computed.pop(output) for output, name in self._feeds.items()}, self._fits
        )
        return self._read(computed)

    def run_arrays(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model on NumPy arrays; its outputs, states included, are in new memory."""
        outputs = self._session.run(self._names, dict(given))
        return dict(zip(self._names, outputs, strict=True))

    def run_gathered(
        self,
        device: Device,
        given: Mapping[str, Sequence[DeviceArray]],
        others: Mapping[str, NDArray[Any]],
    ) -> dict[str, DeviceArray]:
        """Run the model on rows that are anywhere in its memory, one after the other as a batch.

        ``device`` copies them; its kernels, and others that wrote the rows, are waited for. All
        outputs are in new memory, which no later run uses, as arrays of ``device``.
        """
        values = {name: self._gathered(device, rows, name) for name, rows in given.items()}
        values.update((name, self._constant(name, each)) for name, each in others.items())
        if device is not self._stream_of:
            device.finish_kernels()
        return self._adopted(device, self._run(values, {}, _NO_GRAPH))

    def _gathered(self, device: Device, rows: Sequence[DeviceArray], name: str) -> Value:
        """Return a tensor with copies of the rows. The library has ended all runs on it."""
        shape = (len(rows), *rows[0].shape[1:])
        if (name, shape) not in self._gathering:
            if len(self._gathering) >= _MAX_GATHERING:
                self._gathering.clear()
            self._gathering[name, shape] = self._uploaded(np.zeros(shape, self._types[name]))
        value = self._gathering[name, shape]
        target = device.adopt(value.data_ptr(), shape, self._types[name], value)
        for number, row in enumerate(rows):
            calls.copy_bytes(row, target[number : number + 1])
        return value

    def _adopted(self, device: Device, computed: Mapping[str, Value]) -> dict[str, DeviceArray]:
        return {
            name: device.adopt(
                value.data_ptr(), tuple(value.shape()), self._output_types[name], value
            )
            for name, value in computed.items()
        }

    def _note_sizes(self, others: Mapping[str, NDArray[Any]]) -> None:
        """Release the outputs' tensors if their sizes may be others now."""
        more = ((name, values.shape, values.tobytes()) for name, values in others.items())
        fits = (self._buffer.shape, None if self._there is None else id(self._there), *more)
        if fits != self._fits:
            self._finish()
            self._fits = fits
            self._outputs.clear()

    def _known(self) -> dict[str, Value]:
        """Return the outputs' tensors of the last run."""
        return {name: value for name, (_, value) in self._outputs.items()}

    def _computed(self, given: Mapping[str, Value], known: Mapping[str, Value]) -> dict[str, Value]:
        """Run the model; return its outputs, in the known tensors where there are some."""
        if self._sizes_vary or not known:
            return self._run(given, {}, _NO_GRAPH)
        try:
            return self._run(given, known, self._graph_of(given, known))
        except self._errors:
            # Perhaps they do not fit: the sizes of some models' outputs depend on the content.
            computed = self._run(given, {}, _NO_GRAPH)
            self._sizes_vary = True
            return computed

    def _run(
        self, given: Mapping[str, Value], known: Mapping[str, Value], graph: int
    ) -> dict[str, Value]:
        # A new one each time, for some microseconds: to clear one corrupts it (1.20).
        binding = self._session.io_binding()
        for name, value in given.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._names:
            if name in known:
                binding.bind_ortvalue_output(name, known[name])
            else:
                binding.bind_output(name, *self.place)
        entries = {"gpu_graph_id": str(graph)} if self._has_graphs else {}
        if self._there is not None and self._there is self._stream_of:
            entries[_NO_WAIT] = "1"
            self._is_running = True
        options = None
        if entries:
            options = self._onnxruntime.RunOptions()
            for name, value in entries.items():
                options.add_run_config_entry(name, value)
        self._session.run_with_iobinding(binding, options)
        return dict(zip(self._names, binding.get_outputs(), strict=True))

    def _graph_of(self, given: Mapping[str, Value], known: Mapping[str, Value]) -> int:
        """Return the number of the graph for these tensors, whose addresses it holds."""
        if not self._has_graphs or len(known) < len(self._names):
            return _NO_GRAPH
        bound = [*given.values(), *known.values()]
        key = tuple(map(id, bound))
        if key not in self._graphs:
            if len(self._graphs) >= _MAX_GRAPHS:  # the library never frees one
                return _NO_GRAPH
            self._graphs[key] = bound  # alive, so that no other tensor has its identity
        return 1 + list(self._graphs).index(key)

    def _read(self, computed: Mapping[str, Value]) -> dict[str, Any]:
        """Return outputs as arrays, and keep their tensors for the next run."""
        if self._there is not None:
            self._outputs = {name: (_NONE, value) for name, value in computed.items()}
            return self._adopted(self._there, computed)
        if self._memory != _CPU:
            self._outputs = {name: (_NONE, value) for name, value in computed.items()}
            return {name: value.numpy() for name, value in computed.items()}
        for name, value in computed.items():
            if name not in self._outputs or self._sizes_vary:
                array = np.ascontiguousarray(value.numpy()).reshape(value.shape())
                self._outputs[name] = _read_only(array), self._uploaded(array)
        return {name: array for name, (array, _) in self._outputs.items()}

    def _constant(self, name: str, values: NDArray[Any]) -> Value:
        """Return the tensor of an input that seldom changes."""
        kept = self._constants.get(name)
        if kept is None or not np.array_equal(kept[0], values):
            self._finish()
            own = values.copy()
            kept = self._constants[name] = own, self._uploaded(own)
        return kept[1]

    def _uploaded(self, values: NDArray[Any]) -> Value:
        """Return a tensor with these values; on the CPU it is their memory."""
        return self._values.ortvalue_from_numpy(values, *self.place)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
