"""ONNX Runtime, on the devices of the installed build."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.errors import ModelError, ModelOutputError
from greenroom.segmenters.runtimes.acceleration import (
    NO_ACCELERATION,
    Acceleration,
    outputs_agree,
    rows_agree,
    ways_within,
)
from greenroom.segmenters.runtimes.compute_devices import open_session
from greenroom.segmenters.runtimes.free_batch import with_free_batch
from greenroom.segmenters.runtimes.half_precision import in_half_precision
from greenroom.segmenters.runtimes.native_stderr import captured_stderr
from greenroom.segmenters.runtimes.onnx_binding import BoundSession, DeviceStates
from greenroom.segmenters.runtimes.onnx_library import load_onnxruntime
from greenroom.segmenters.runtimes.runtime import (
    Runtime,
    TensorInfo,
    check_file,
    first_states,
    load_error,
    missing_extra_error,
    run_error,
    select_outputs,
)
from greenroom.segmenters.runtimes.tensorrt import load_libraries, provider_options
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.cuda import Array, DeviceArray
    from greenroom.cuda import Device as ComputeDevice
    from greenroom.segmenters.runtimes.compute_devices import Provider
    from greenroom.segmenters.runtimes.runtime import Example, Fill, FillThere, Row, Trial
    from greenroom.segmenters.runtimes.states import States

__all__ = ["OnnxRuntime"]

logger = logging.getLogger(__name__)

_LIBRARY: Final = "ONNX Runtime"
_CUDA_PROVIDER: Final = "CUDAExecutionProvider"
_TENSORRT_PROVIDER: Final = "TensorrtExecutionProvider"
_CUDA_PROVIDERS: Final = (_CUDA_PROVIDER, _TENSORRT_PROVIDER)
_CPU_PROVIDER: Final = "CPUExecutionProvider"
_ERRORS_ONLY: Final = 3
_FATAL_ONLY: Final = 4
# Runs to try a recurrent model on a device, which prepares for each size: from zeros, whose sizes
# differ, and with both sets of tensors.
_TRIALS_OF_STATES: Final = 3
# Runs to compare: each graph is recorded and then replayed with another picture.
_TRIALS_TO_COMPARE: Final = 7
# ONNX Runtime's names of tensor types where NumPy's differ.
_TYPES: Final = {"float": "float32", "double": "float64"}


class _DeviceFaultError(ModelOutputError):
    """A device failed that had run the model."""


class OnnxRuntime(Runtime):
    """Runtime for ``.onnx`` models. Parameters and errors: see `load_runtime`.

    There is one thread pool, and its threads wait without spinning. With the default pools a small
    model at 25 frames a second takes ten times the CPU time, nearly all of it spinning between
    frames (``benchmarks/onnx_threads.py``).

    On the GPU of a ``compute`` device it reads and writes the memory of that device's kernels. It
    works on their stream, unless TensorRT or CUDA graphs are used: then each waits for the other
    on the host.

    State: the tensors on the device (`BoundSession`), and the device that is left.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        device: Device = Device.AUTO,
        outputs: Sequence[str] = (),
        states: Mapping[str, str] = MappingProxyType({}),
        example: Example | None = None,
        allowed: Acceleration = NO_ACCELERATION,
        engines: Path | None = None,
        compute: ComputeDevice | None = None,
        rows: Sequence[str] = (),
    ) -> None:
        try:
            onnxruntime = load_onnxruntime()
        except ImportError as error:
            raise missing_extra_error(_LIBRARY, "onnx", error) from error
        check_file(path)
        self.path = path
        self.threads = threads
        self.name = self._library = f"{_LIBRARY} {onnxruntime.__version__}"
        self._onnxruntime = onnxruntime
        self._errors = _runtime_errors(onnxruntime)
        self._input_errors = onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument
        self._asked = device
        self._failed: BoundSession | None = None
        self.states = states
        self._wanted = outputs
        self._allowed = allowed
        self._engines = engines
        self._way = NO_ACCELERATION
        self._gatherer = compute
        self._compute = None if compute is None or compute.place[0] != "cuda" else compute
        if example is None:
            session, self.device = self._open([(_CPU_PROVIDER, {})]), str(Device.CPU)
            self._bound = self._bind(session)
        else:
            self._bound, self.device = self._open_on(device, example)
        self.inputs, self.outputs = self._bound.inputs, self._bound.outputs
        self._of_rows: str | bytes | None = None
        if rows and example is not None:
            self._free_rows(rows, example(self.inputs))

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
    ) -> dict[str, NDArray[Any]]:
        """See `Runtime.run`; outputs that feed states are not returned.

        If a device chosen by ``auto`` fails, the CPU takes over, with first states.
        """
        return self._either(picture, shape, fill, others, states, there=None)

    def run_on(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: FillThere,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
        *,
        device: ComputeDevice | None,
    ) -> dict[str, Array]:
        """See `Runtime.run_on` and `run`."""
        return self._either(picture, shape, fill, others, states, there=device)

    def _either(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Callable[[Any], None],
        others: Mapping[str, NDArray[Any]],
        states: States | None,
        *,
        there: ComputeDevice | None,
    ) -> dict[str, Any]:
        """Run on a device's memory or on NumPy's; go on on the CPU where that is asked for."""
        kept = DeviceStates.checked(states)
        try:
            return self._run(picture, shape, fill, others, kept, there=there)
        except _DeviceFaultError as error:
            if self._asked is not Device.AUTO:
                raise
            logger.warning("%s; it runs on the CPU from now on", error)
        self._take_over()
        return self._run(picture, shape, fill, others, kept, there=there)

    def run_rows(
        self, picture: str, rows: Sequence[Row], others: Mapping[str, NDArray[Any]]
    ) -> list[dict[str, NDArray[Any]]]:
        """See `Runtime.run_rows`; if a device chosen by ``auto`` fails, the CPU takes over."""
        if not self.takes_rows:
            return super().run_rows(picture, rows, others)
        given = {picture: _stacked([row.picture for row in rows]), **others}
        for name in self.states:
            given[name] = _stacked([row.values[name] for row in rows])
        try:
            with self._model_faults():
                outputs = self._bound.run_arrays(given)
        except _DeviceFaultError as error:
            if self._asked is not Device.AUTO:
                raise
            logger.warning("%s; it runs on the CPU from now on", error)
            self._take_over()
            with self._model_faults():
                outputs = self._bound.run_arrays(given)
        return self._split(outputs, len(rows))

    @property
    def gathers_on(self) -> ComputeDevice | None:  # type: ignore[override]
        """See `Runtime`."""
        device = self._gatherer
        is_there = device is not None and device.place == self._bound.place
        return device if is_there and self.takes_rows else None

    def run_gathered(
        self,
        given: Mapping[str, Sequence[DeviceArray]],
        others: Mapping[str, NDArray[Any]],
    ) -> dict[str, DeviceArray]:
        """See `Runtime.run_gathered`.

        If a device chosen by ``auto`` fails, this fails, and the CPU takes over for later calls.
        """
        assert self.gathers_on is not None
        try:
            with self._model_faults():
                outputs = self._bound.run_gathered(self.gathers_on, given, others)
        except _DeviceFaultError as error:
            if self._asked is Device.AUTO:
                logger.warning("%s; it runs on the CPU from now on", error)
                self._take_over()
            raise
        counts = {len(rows) for rows in given.values()}
        for name, values in outputs.items():
            if not values.ndim or {len(values)} != counts:
                raise self._unclear(name, values.shape, max(counts))
        return outputs

    def _unclear(self, name: str, shape: tuple[int, ...], count: int) -> ModelOutputError:
        message = (
            f"model '{self.path.name}' answers {count} pictures with an output '{name}' of shape "
            f"{shape}"
        )
        return ModelOutputError(message, self.path)

    def _split(
        self, outputs: Mapping[str, NDArray[Any]], count: int
    ) -> list[dict[str, NDArray[Any]]]:
        """Return the outputs of each row, or raise if it is not clear which are whose."""
        for name, values in outputs.items():
            if not values.ndim or len(values) != count:
                raise self._unclear(name, values.shape, count)
        if count == 1:
            return [dict(outputs)]
        return [
            {name: values[number : number + 1].copy() for name, values in outputs.items()}
            for number in range(count)
        ]

    def new_states(self) -> DeviceStates:
        """See `Runtime.new_states`."""
        return DeviceStates(self._bound)

    def close(self) -> None:
        """See `Runtime.close`."""
        self._bound.leave_device()
        del self._bound, self._failed

    def _run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Callable[[Any], None],
        others: Mapping[str, NDArray[Any]],
        states: DeviceStates | None,
        *,
        there: ComputeDevice | None,
    ) -> dict[str, Any]:
        with self._model_faults():
            memory = self._bound.picture_on(there, picture, shape)
        fill(memory)
        with self._model_faults():
            return self._bound.run(picture, others, states)

    @contextlib.contextmanager
    def _model_faults(self) -> Iterator[None]:
        """Raise the library's errors as `ModelOutputError`."""
        try:
            yield
        except self._errors as error:
            fault = run_error(self.path, error)
            if self.device == Device.CPU or isinstance(error, self._input_errors):
                raise fault from error
            # Out of memory, lost, or whatever else: it ran the model before.
            message = f"{fault} (device '{self.device}')"
            raise _DeviceFaultError(message, self.path) from error

    def _take_over(self) -> None:
        """Go on on the CPU."""
        session = self._open([(_CPU_PROVIDER, {})], self._of_rows)
        # Freed with the runtime: to free what a lost device holds can end the process.
        self._failed = self._bound
        self._bound = self._bind(session)
        self.device = str(Device.CPU)
        self.name = self._library

    def _open_on(self, device: Device, example: Example) -> tuple[BoundSession, str]:
        tried: list[BoundSession] = []

        def try_out(session: Any) -> None:
            bound = self._bind(session)
            tried[:] = [bound]
            trial = example(bound.inputs)
            is_cpu = session.get_providers()[0] == _CPU_PROVIDER
            count = 1 if is_cpu or not self.states else _TRIALS_OF_STATES
            for _ in self._trial_runs(bound, trial, count):
                pass

        _, used = open_session(
            device,
            available=self._onnxruntime.get_available_providers(),
            create=self._open,
            try_out=try_out,
            errors=self._errors,
            path=self.path,
        )
        bound = tried[0]
        if used == Device.CUDA:
            bound = self._accelerated(bound, example(bound.inputs))
        elif used == Device.TENSORRT and self._allowed.half:
            if not self._agrees_with_cpu(bound, example(bound.inputs)):
                logger.info("model '%s' is compiled without half precision", self.path.name)
                self._allowed = NO_ACCELERATION
                return self._open_on(device, example)
            self.name += ", half precision"
        return bound, used

    def _agrees_with_cpu(self, bound: BoundSession, trial: Trial) -> bool:
        try:
            cpu = self._bind(self._open([(_CPU_PROVIDER, {})]))
            expected = self._trial_outputs(cpu, trial)
            return outputs_agree(self._trial_outputs(bound, trial), expected)
        except self._errors as error:
            logger.info("model '%s' cannot be compared: %s", self.path.name, error)
            return False

    def _accelerated(self, plain: BoundSession, trial: Trial) -> BoundSession:
        """Return a faster session if the card allows one and its answers agree."""
        expected: list[dict[str, NDArray[Any]]] = []
        faults: tuple[type[Exception], ...] = (*self._errors, ImportError)
        for way in ways_within(self._allowed):
            try:
                expected = expected or self._trial_outputs(plain, trial)
                with contextlib.redirect_stdout(io.StringIO()), captured_stderr():
                    bound = self._bind(self._open_way(way), graphs=way.graph)
                    found = self._trial_outputs(bound, trial)
            except faults as error:
                reason = str(error)
            else:
                if outputs_agree(found, expected):
                    self.name = f"{self.name}, {way}"
                    self._way = way
                    return bound
                reason = "its answers differ"
            logger.info("model '%s' is not run with %s: %s", self.path.name, way, reason)
        return plain

    def _free_rows(self, rows: Sequence[str], trial: Trial) -> None:
        """Take batches from now on, if the model answers each row as if it were alone."""
        is_cpu = self.device == Device.CPU
        if not is_cpu and self.device != Device.CUDA:
            return
        faults: tuple[type[Exception], ...] = (*self._errors, ImportError, ModelOutputError)
        plain = self._bound
        try:
            rows = [name or self.inputs[0].name for name in rows]
            free = all(info.shape[:1] == (None,) for info in self.inputs if info.name in rows)
            source = str(self.path) if free else with_free_batch(self.path, rows)
            model: str | bytes = source
            if self._way.half:
                model = in_half_precision(self.path if free else source)  # type: ignore[arg-type]
            providers: list[Provider] = [(_CPU_PROVIDER, {})]
            if not is_cpu:
                providers.insert(0, (_CUDA_PROVIDER, {}))
            with contextlib.redirect_stdout(io.StringIO()), captured_stderr():
                bound = self._bind(self._open(providers, model))
                self._try_rows(bound, plain, trial)
        except faults as error:
            logger.info("model '%s' takes one picture at a time: %s", self.path.name, error)
        else:
            self._bound, self._of_rows, self.takes_rows = bound, source, True

    def _try_rows(self, bound: BoundSession, plain: BoundSession, trial: Trial) -> None:
        """Raise unless a row of a batch is answered the same whatever the others are.

        That is as in a batch of that row alone, repeated, and as by the plain model. The pictures
        differ, change places from run to run, and have states where the model has.
        """
        picture = np.array(plain.picture(trial.picture, trial.shape))
        trial.fill(picture)
        pictures = [picture, picture[..., ::-1].copy(), np.flip(picture, 2).copy()]
        of_plain = [DeviceStates(plain) if self.states else None for _ in pictures]
        values = [first_states(self.states, self.inputs) for _ in pictures]
        for _ in range(_TRIALS_OF_STATES):
            given = [
                {trial.picture: each, **own} for each, own in zip(pictures, values, strict=True)
            ]
            together = self._rows_of(bound, given, trial)
            for number, own in enumerate(given):
                row = together[number]
                repeated = self._rows_of(bound, [own] * len(given), trial)[number]
                plain.picture(trial.picture, trial.shape)[...] = own[trial.picture]
                expected = plain.run(trial.picture, trial.others, of_plain[number])
                if not (rows_agree(row, repeated) and outputs_agree([row], [expected])):
                    message = "its answers depend on the other pictures"
                    raise ModelOutputError(message, self.path)
            values = [
                {name: row[output] for name, output in self.states.items()} for row in together
            ]
            pictures.append(pictures.pop(0))

    def _rows_of(
        self, bound: BoundSession, given: Sequence[Mapping[str, NDArray[Any]]], trial: Trial
    ) -> list[dict[str, NDArray[Any]]]:
        stacked = {name: _stacked([one[name] for one in given]) for name in given[0]}
        return self._split(bound.run_arrays({**trial.others, **stacked}), len(given))

    def _open_way(self, way: Acceleration) -> Any:
        options = {"enable_cuda_graph": "1"} if way.graph else self._stream_options
        model = in_half_precision(self.path) if way.half else str(self.path)
        session = self._open([(_CUDA_PROVIDER, options), (_CPU_PROVIDER, {})], model)
        if session.get_providers()[0] != _CUDA_PROVIDER:
            message = f"ONNX Runtime did not take {_CUDA_PROVIDER}"
            raise RuntimeError(message)
        return session

    def _trial_outputs(self, bound: BoundSession, trial: Trial) -> list[dict[str, NDArray[Any]]]:
        """Return copies of the outputs of runs to compare."""
        return [
            {name: np.array(values) for name, values in outputs.items()}
            for outputs in self._trial_runs(bound, trial, _TRIALS_TO_COMPARE)
        ]

    def _trial_runs(
        self, bound: BoundSession, trial: Trial, count: int
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Run a trial's picture, every third time mirrored; yield the outputs."""
        states = DeviceStates(bound) if self.states else None
        for number in range(count):
            picture = bound.picture(trial.picture, trial.shape)
            trial.fill(picture)
            if number % 3 == 1:  # a graph is replayed with a picture that it was not recorded with
                picture[...] = picture[..., ::-1].copy()
            yield bound.run(trial.picture, trial.others, states)

    @property
    def _index(self) -> int:
        """Number of the GPU that runs the model if one does."""
        return 0 if self._compute is None else self._compute.place[1]

    @property
    def _stream_options(self) -> dict[str, str]:
        """Options of CUDA's provider that have it work on the stream of the device's kernels.

        Not together with CUDA graphs: what other threads give to a stream while a graph is
        recorded from it would become part of the graph, and not be done.
        """
        if self._compute is None:
            return {}
        return {"user_compute_stream": str(self._compute.stream)}

    def _bind(self, session: Any, *, graphs: bool = False) -> BoundSession:
        outputs = _infos(self.path, session.get_outputs())
        provider = session.get_providers()[0]
        place = ("cuda", self._index) if provider in _CUDA_PROVIDERS else ("cpu", 0)
        shared = provider == _CUDA_PROVIDER and not graphs
        return BoundSession(
            self._onnxruntime,
            session,
            place=place,
            stream_of=self._compute if shared else None,
            inputs=_infos(self.path, session.get_inputs()),
            outputs=select_outputs(self.path, outputs, self._wanted),
            carried=self.states,
            errors=self._errors,
            graphs=graphs,
        )

    def _open(self, providers: list[Provider], model: str | bytes | None = None) -> Any:
        """Open a session for the file, or for a model made of it."""
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = _ERRORS_ONLY  # warnings about the file would hide others
        first = providers[0][0]
        if first == _CPU_PROVIDER:
            options.log_severity_level = _FATAL_ONLY  # errors are also raised
        elif first == "DmlExecutionProvider":
            options.enable_mem_pattern = False  # required by DirectML
        elif first in _CUDA_PROVIDERS and hasattr(self._onnxruntime, "preload_dlls"):
            self._onnxruntime.preload_dlls()  # finds CUDA libraries installed by pip
        if first == _CUDA_PROVIDER and not providers[0][1]:
            providers = [(first, self._stream_options), *providers[1:]]
        if first == _TENSORRT_PROVIDER:
            load_libraries()
            tuned = provider_options(self.path, self._engines, half=self._allowed.half)
            providers = [(first, tuned), *providers[1:]]
        if self._index:
            providers = [
                (name, {**more, "device_id": str(self._index)} if name in _CUDA_PROVIDERS else more)
                for name, more in providers
            ]
        try:
            return self._onnxruntime.InferenceSession(
                model or str(self.path), options, providers=providers, enable_fallback=0
            )
        except self._errors as error:
            if first != _CPU_PROVIDER:
                raise
            raise load_error(self.path, _LIBRARY, error) from error


def _stacked(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays one after the other along the first dimension."""
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _infos(path: Path, tensors: Sequence[Any]) -> tuple[TensorInfo, ...]:
    infos = []
    for tensor in tensors:
        found = re.fullmatch(r"tensor\((\w+)\)", tensor.type)
        if found is None:
            message = f"model file '{path}': '{tensor.name}' is a {tensor.type}, not a tensor."
            raise ModelError(message, path)
        shape = tuple(n if isinstance(n, int) and n > 0 else None for n in tensor.shape)
        name = _TYPES.get(found[1], found[1])
        try:
            infos.append(TensorInfo(tensor.name, shape, np.dtype(name)))
        except TypeError as error:
            message = f"model file '{path}': type {name} of '{tensor.name}' is not supported."
            raise ModelError(message, path) from error
    return tuple(infos)


def _runtime_errors(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """Return ONNX Runtime's exception classes, which have no common base of their own."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    own = [each for each in vars(state).values() if isinstance(each, type)]
    return (RuntimeError, ValueError, *(each for each in own if issubclass(each, Exception)))
