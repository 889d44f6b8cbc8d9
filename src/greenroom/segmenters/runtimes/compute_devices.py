"""Where a model runs: devices by the names that people know, and ONNX Runtime's providers.

ONNX Runtime falls back to the CPU in silence when a provider cannot be used. Here a device
counts only once a session says that it uses it and has run the model.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.errors import ModelError, SettingsError
from greenroom.segmenters.runtimes.native_stderr import captured_stderr
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Provider = tuple[str, dict[str, str]]
    CreateSession = Callable[[list[Provider]], Any]

__all__ = ["AUTO_ORDER", "DEVICES", "cpu_only", "open_session"]

logger = logging.getLogger(__name__)


class _DeviceSpec(NamedTuple):
    """What a device is to ONNX Runtime.

    Attributes
    ----------
    provider : str
        Its execution provider.
    package : str
        What brings this provider.
    before_cpu : tuple of str
        Providers for the parts of a model that it does not know.
    """

    provider: str
    package: str
    before_cpu: tuple[str, ...] = ()


_CPU: Final = "CPUExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_GPU_PACKAGE: Final = "pip install 'greenroom[cuda]', after pip uninstall onnxruntime"

DEVICES: Final = {
    Device.CUDA: _DeviceSpec(_CUDA, _GPU_PACKAGE),
    Device.TENSORRT: _DeviceSpec(
        "TensorrtExecutionProvider", f"{_GPU_PACKAGE}, and TensorRT itself", (_CUDA,)
    ),
    Device.OPENVINO: _DeviceSpec(
        "OpenVINOExecutionProvider", "pip install onnxruntime-openvino in place of onnxruntime"
    ),
    Device.COREML: _DeviceSpec("CoreMLExecutionProvider", "onnxruntime on a Mac"),
    Device.DIRECTML: _DeviceSpec(
        "DmlExecutionProvider",
        "pip install onnxruntime-directml in place of onnxruntime, on Windows",
    ),
    Device.CPU: _DeviceSpec(_CPU, "every build of onnxruntime"),
}

# Best first. TensorRT is left out: it compiles a model for minutes before the first frame.
AUTO_ORDER: Final = (Device.CUDA, Device.DIRECTML, Device.COREML, Device.OPENVINO, Device.CPU)


class _UnusableError(Exception):
    """A device cannot run the model; the message says why."""


def cpu_only(device: Device, library: str, model: str) -> None:
    """Raise `SettingsError` unless a device is one that a library for the CPU serves."""
    if device not in (Device.AUTO, Device.CPU):
        message = (
            f"device '{device}' cannot run model '{model}': {library} runs on the CPU here. Leave "
            f"the device at auto, or choose a model for ONNX Runtime."
        )
        raise SettingsError(message, "device")


def open_session(  # noqa: PLR0913 - the arguments are what differs in tests
    device: Device,
    *,
    available: Sequence[str],
    create: CreateSession,
    try_out: Callable[[Any], None],
    errors: tuple[type[Exception], ...],
    path: Path,
) -> tuple[Any, str]:
    """Open a model on a device, and see that it runs there.

    Parameters
    ----------
    device : Device
        ``AUTO`` takes the first of `AUTO_ORDER` on which the model runs.
    available : sequence of str
        The providers that this build of ONNX Runtime has.
    create : callable
        Makes a session of providers, most wanted first.
    try_out : callable
        Runs a session once.
    errors : tuple of exception classes
        What these two raise.
    path : Path
        The model file, for messages.

    Returns
    -------
    session
        What ``create`` returned.
    device : str
        Where it runs.

    Raises
    ------
    ModelError
        If the device that was named cannot run it, or none can.
    """
    named = device is not Device.AUTO
    candidates = (device,) if named else AUTO_ORDER
    reasons = {}
    for candidate in candidates:
        if not named and DEVICES[candidate].provider not in available:
            continue
        try:
            return _opened(candidate, available, create, try_out, errors), str(candidate)
        except _UnusableError as error:
            reasons[candidate] = str(error)
            if not named and candidate is not Device.CPU:
                logger.info("device '%s' is not used: %s", candidate, error)
    why = "; ".join(f"device '{name}' cannot run it: {reason}" for name, reason in reasons.items())
    hint = " Use --device cpu or auto." if named and device is not Device.CPU else ""
    message = f"model '{path.name}' cannot be run: {why or 'no provider for any device'}.{hint}"
    raise ModelError(message, path)


def _opened(
    device: Device,
    available: Sequence[str],
    create: CreateSession,
    try_out: Callable[[Any], None],
    errors: tuple[type[Exception], ...],
) -> Any:
    spec = DEVICES[device]
    if spec.provider not in available:
        message = (
            f"this build of ONNX Runtime has no {spec.provider}, only {', '.join(available)}; "
            f"what brings it is {spec.package}"
        )
        raise _UnusableError(message)
    names = [spec.provider, *(name for name in spec.before_cpu if name in available)]
    if device is not Device.CPU:
        names.append(_CPU)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), captured_stderr() as notes:
            session = create([(name, {}) for name in names])
            used = session.get_providers()
            if spec.provider in used:
                session.disable_fallback()
                try_out(session)
    except errors as error:
        raise _UnusableError(_words(str(error))) from error
    if spec.provider not in used:
        reason = _words(said.getvalue() + notes.text) or "it does not say why"
        message = f"ONNX Runtime did not take {spec.provider}, but {', '.join(used)}: {reason}"
        raise _UnusableError(message)
    return session


def _words(text: str) -> str:
    """Make one line of what a library said, without colours."""
    plain = text.replace("\x1b[m", "").replace("\x1b[0m", "")
    return " ".join(plain.split()).rstrip(". ")[-600:]
