"""A fake of ONNX Runtime with a device whose memory is not the host's, and which can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from greenroom.segmenters.runtimes.acceleration import NO_ACCELERATION
from greenroom.segmenters.runtimes.onnx import OnnxRuntime
from greenroom.segmenters.runtimes.runtime import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.segmenters.runtimes.acceleration import Acceleration
    from greenroom.settings import Device

    Values = dict[str, NDArray[Any]]

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


class Fail(Exception):  # noqa: N818 - the library's name
    """Error of the library."""


class InvalidArgument(Exception):  # noqa: N818 - the library's name
    """Error of the library about inputs."""


@dataclass(eq=False)
class Value:
    """A tensor: on the CPU the caller's memory, elsewhere a copy that only transfers reach."""

    library: FakeOnnxRuntime
    device: str
    memory: NDArray[Any]

    def shape(self) -> list[int]:
        """Return its lengths."""
        return list(self.memory.shape)

    def numpy(self) -> NDArray[Any]:
        """Copy it to the host."""
        self.library.transfers.append(("download", self.device, self.memory.shape))
        return self.memory.copy()

    def data_ptr(self) -> int:
        """Return the address of its memory, as its device knows it."""
        return int(self.memory.ctypes.data)

    def update_inplace(self, values: NDArray[Any]) -> None:
        """Copy new values into it."""
        self.library.transfers.append(("upload", self.device, values.shape))
        self.memory[...] = values


@dataclass
class Binding:
    """The bound tensors of a session."""

    inputs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, Value | str] = field(default_factory=dict)
    computed: list[Value] = field(default_factory=list)

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        """Bind an input."""
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: Value) -> None:
        """Bind an output to a tensor."""
        self.outputs[name] = value

    def bind_output(self, name: str, device: str, _: int) -> None:
        """Bind an output to a tensor that the run makes."""
        self.outputs[name] = device

    def get_outputs(self) -> list[Value]:
        """Return the outputs in the order of their binding."""
        return self.computed


@dataclass
class Session:
    """A loaded model."""

    library: FakeOnnxRuntime
    model: Any
    providers: list[tuple[str, dict[str, str]]]
    graphs: dict[str, tuple[dict[str, Value], dict[str, Any]]] = field(default_factory=dict)

    def get_providers(self) -> list[str]:
        """Return the names of its providers."""
        return [name for name, _ in self.providers]

    def disable_fallback(self) -> None:
        """Do nothing: there is none."""

    def io_binding(self) -> Binding:
        """Return a new binding."""
        return Binding()

    def get_inputs(self) -> list[Any]:
        """Describe the inputs."""
        return [_described(name, shape) for name, shape in self.library.inputs.items()]

    def get_outputs(self) -> list[Any]:
        """Describe the outputs."""
        return [_described(name, shape) for name, shape in self.library.outputs.items()]

    def run_with_iobinding(self, binding: Binding, options: Any = None) -> None:
        """Compute the outputs from the inputs, all of them on the session's device."""
        library = self.library
        first = self.providers[0][0]
        device = "cpu" if first == CPU else "cuda"
        library.runs.append((first, None if options is None else dict(options.entries)))
        assert {value.device for value in binding.inputs.values()} == {device}
        if (error := library.fault(first, len(library.runs))) is not None:
            raise error
        inputs, outputs = dict(binding.inputs), dict(binding.outputs)
        if "enable_cuda_graph" in self.providers[0][1]:
            number = options.entries["gpu_graph_id"]
            if number != "-1":  # a replay works on the tensors of the recording, whatever is bound
                assert not any(isinstance(target, str) for target in outputs.values())
                inputs, outputs = self.graphs.setdefault(number, (inputs, outputs))
        entries = {} if options is None else options.entries
        stream = library.stream_at(int(self.providers[0][1].get("user_compute_stream", 0)))
        if stream is None:
            assert "disable_synchronize_execution_providers" not in entries
            self._compute(binding, inputs, outputs)
            return
        values: list[Value] = []
        self._compute(binding, inputs, dict.fromkeys(outputs, device))  # for the sizes
        for value, target in zip(binding.computed, outputs.values(), strict=True):
            values.append(value if isinstance(target, str) else target)
            values[-1].memory[...] = np.nan  # until it is computed
        bound = dict(zip(outputs, values, strict=True))
        stream.give(lambda: self._compute(Binding(), inputs, bound))
        binding.computed = values
        if "disable_synchronize_execution_providers" not in entries:
            stream.record().wait()

    def run(self, names: list[str], given: Values) -> list[NDArray[Any]]:
        """Compute outputs of NumPy arrays."""
        provider = self.providers[0][0]
        self.library.runs.append((provider, None))
        if (error := self.library.fault(provider, len(self.library.runs))) is not None:
            raise error
        results = self.library.compute(given, self)
        return [results[name].copy() for name in names]

    def _compute(
        self, binding: Binding, inputs: Mapping[str, Value], outputs: Mapping[str, Value | str]
    ) -> None:
        library = self.library
        device = "cpu" if self.providers[0][0] == CPU else "cuda"
        given = {name: each.memory for name, each in inputs.items()}
        results = library.compute(given, self)
        binding.computed = []
        for name, target in outputs.items():
            result = results[name]
            if isinstance(target, str):
                assert target == device
                target = Value(library, device, result.copy())  # noqa: PLW2901
            elif target.memory.shape != result.shape:
                message = "OrtValue shape verification failed"
                raise Fail(message)
            else:
                target.memory[...] = result
            binding.computed.append(target)


class _RunOptions:
    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_run_config_entry(self, name: str, value: str) -> None:
        """Keep an entry."""
        self.entries[name] = value


@dataclass
class FakeOnnxRuntime:
    """The library's module, with one model.

    Attributes
    ----------
    inputs, outputs : dict
        Shapes by name; all are float32.
    compute : callable
        Returns outputs for inputs and a session.
    available : list of str
        Providers of this build.
    fault : callable
        Returns what a run raises, from the provider and the number of the run, or None.
    refusal : callable
        Returns what opening a session raises, from the model and providers, or None.
    stream_at : callable
        Returns the stream with an address, on which a session works; None computes at once.
    transfers, runs, opened : list
        What happened: transfers with device and shape, runs with provider and options, and
        sessions.
    """

    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]
    compute: Callable[[Values, Session], Values]
    available: list[str] = field(default_factory=lambda: [CUDA, CPU])
    fault: Callable[[str, int], Exception | None] = lambda _, __: None
    refusal: Callable[[Any, list[Any]], Exception | None] = lambda _, __: None
    stream_at: Callable[[int], Any] = lambda _: None
    transfers: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list)
    runs: list[tuple[str, dict[str, str] | None]] = field(default_factory=list)
    opened: list[Session] = field(default_factory=list)

    __version__ = "1.99.0"
    capi = SimpleNamespace(
        onnxruntime_pybind11_state=SimpleNamespace(Fail=Fail, InvalidArgument=InvalidArgument)
    )
    RunOptions = _RunOptions

    @property
    def OrtValue(self) -> Any:  # noqa: N802 - the library's name
        """Return the maker of tensors."""

        def make(values: NDArray[Any], device: str, _: int) -> Value:
            if device == "cpu":
                return Value(self, device, values)
            self.transfers.append(("upload", device, values.shape))
            return Value(self, device, values.copy())

        return SimpleNamespace(ortvalue_from_numpy=make)

    @staticmethod
    def SessionOptions() -> Any:  # noqa: N802 - the library's name
        """Return options that are not looked at."""
        return SimpleNamespace(add_session_config_entry=lambda *_: None)

    def get_available_providers(self) -> list[str]:
        """Return the providers of this build."""
        return self.available

    def InferenceSession(  # noqa: N802 - the library's name
        self, model: Any, _: Any, *, providers: list[Any], enable_fallback: int
    ) -> Session:
        """Open a session."""
        assert not enable_fallback
        if (error := self.refusal(model, providers)) is not None:
            raise error
        self.opened.append(Session(self, model, providers))
        return self.opened[-1]


def _described(name: str, shape: list[Any]) -> Any:
    return SimpleNamespace(name=name, shape=shape, type="tensor(float)")


def counting_model() -> FakeOnnxRuntime:
    """Return a recurrent model: ``y`` is ``x`` plus the state, which counts the runs."""

    def compute(given: Values, _: Any) -> Values:
        x, state = given["x"], given["ri"]
        new = np.broadcast_to(state + 1, (1, 3, 4, 2)).astype(np.float32)
        return {"y": (x[..., :1] + state.max()).astype(np.float32), "ro": new}

    return FakeOnnxRuntime(
        {"x": [1, "h", "w", 3], "ri": [1, "a", "b", 2]},
        {"y": [1, "h", "w", 1], "ro": [1, "a", "b", 2]},
        compute,
    )


def opened(
    folder: Path,
    device: Device,
    allowed: Acceleration = NO_ACCELERATION,
    engines: Path | None = None,
    compute: Any = None,
    rows: Sequence[str] = (),
) -> OnnxRuntime:
    """Load the fake's model."""
    path = folder / "model.onnx"
    path.write_bytes(b"a model")
    return OnnxRuntime(
        path,
        device=device,
        outputs=["y", "ro"],
        states={"ri": "ro"},
        example=lambda _: Trial("x", (1, 6, 8, 3), _fill_with_stripes, {}),
        allowed=allowed,
        engines=engines,
        compute=compute,
        rows=rows,
    )


def _fill_with_stripes(tensor: NDArray[Any]) -> None:
    tensor[...] = np.linspace(0, 1, tensor.shape[-1])
