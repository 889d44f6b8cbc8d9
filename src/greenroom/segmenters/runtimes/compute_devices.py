"""Compute devices and the ONNX Runtime execution providers that serve them.

ONNX Runtime falls back to the CPU silently when a provider cannot be used. Here a device is
accepted only after a session reports it and has run the model once.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.errors import ModelError, SettingsError
from greenroom.segmenters.runtimes.native_stderr import CapturedText, captured_stderr
from greenroom.segmenters.runtimes.tensorrt import PACKAGE
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Provider = tuple[str, dict[str, str]]
    CreateSession = Callable[[list[Provider]], Any]

__all__ = [
    "AUTO_ORDER",
    "DEVICES",
    "DOCTOR_HINT",
    "cpu_only",
    "missing_provider",
    "open_session",
]

logger = logging.getLogger(__name__)


class _DeviceSpec(NamedTuple):
    """ONNX Runtime's provider for a device.

    Attributes
    ----------
    provider : str
        Execution provider.
    package : str
        How to install this provider.
    before_cpu : tuple of str
        Providers for operations that it does not support.
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
        "TensorrtExecutionProvider", f"{_GPU_PACKAGE}, and pip install '{PACKAGE}'", (_CUDA,)
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

# End of a reason that a command mends.
DOCTOR_HINT: Final = "; greenroom doctor says how to get it"

# Fastest first. TensorRT is left out: it compiles for minutes before the first frame.
AUTO_ORDER: Final = (Device.CUDA, Device.DIRECTML, Device.COREML, Device.OPENVINO, Device.CPU)


class _DeviceUnusableError(Exception):
    """A device cannot run the model; the message gives the reason."""


def cpu_only(device: Device, library: str, model: str) -> None:
    """Raise `SettingsError` unless the device is the CPU or automatic."""
    if device not in (Device.AUTO, Device.CPU):
        message = (
            f"device '{device}' cannot run model '{model}': {library} runs on the CPU here. Leave "
            f"the device at auto, or choose a model for ONNX Runtime."
        )
        raise SettingsError(message, "device")


def open_session(
    device: Device,
    *,
    available: Sequence[str],
    create: CreateSession,
    try_out: Callable[[Any], None],
    errors: tuple[type[Exception], ...],
    path: Path,
) -> tuple[Any, str]:
    """Open a model on a device, and verify that it runs there.

    Parameters
    ----------
    device : Device
        ``AUTO`` takes the first of `AUTO_ORDER` on which the model runs.
    available : sequence of str
        Providers of this build of ONNX Runtime.
    create : callable
        Creates a session from providers in order of preference.
    try_out : callable
        Runs a session once.
    errors : tuple of exception classes
        Exceptions raised by these two.
    path : Path
        The model file, for messages.

    Returns
    -------
    session
        The session from ``create``.
    device : str
        The device in use.

    Raises
    ------
    ModelError
        If the requested device cannot run it, or none can.
    """
    named = device is not Device.AUTO
    candidates = (device,) if named else AUTO_ORDER
    reasons = {}
    for candidate in candidates:
        if not named and DEVICES[candidate].provider not in available:
            continue
        try:
            return _open_verified(candidate, available, create, try_out, errors), str(candidate)
        except _DeviceUnusableError as error:
            reasons[candidate] = str(error)
            if not named and candidate is not Device.CPU:
                logger.info("device '%s' is not used: %s", candidate, error)
    why = "; ".join(f"device '{name}' cannot run it: {reason}" for name, reason in reasons.items())
    hint = " Use --device cpu or auto." if named and device is not Device.CPU else ""
    message = f"model '{path.name}' cannot be run: {why or 'no provider for any device'}.{hint}"
    raise ModelError(message, path)


def _open_verified(
    device: Device,
    available: Sequence[str],
    create: CreateSession,
    try_out: Callable[[Any], None],
    errors: tuple[type[Exception], ...],
) -> Any:
    spec = DEVICES[device]
    if reason := missing_provider(device, available):
        raise _DeviceUnusableError(reason)
    names = [spec.provider, *(name for name in spec.before_cpu if name in available)]
    if device is not Device.CPU:
        names.append(_CPU)
    said = io.StringIO()
    notes = CapturedText()
    try:
        with contextlib.redirect_stdout(said), captured_stderr() as notes:
            session = create([(name, {}) for name in names])
            used = session.get_providers()
            if spec.provider in used:
                session.disable_fallback()
                try_out(session)
    except errors as error:
        reason = _missing_library(notes.text) or _single_line(str(error))
        raise _DeviceUnusableError(reason) from error
    if spec.provider not in used:
        reason = _missing_library(notes.text) or _single_line(said.getvalue() + notes.text)
        reason = reason or "it does not say why"
        message = f"ONNX Runtime did not take {spec.provider}, but {', '.join(used)}: {reason}"
        raise _DeviceUnusableError(message)
    return session


def missing_provider(device: Device, available: Sequence[str]) -> str:
    """Return why a build with these providers cannot use a device; empty if it can."""
    spec = DEVICES[device]
    if spec.provider in available:
        return ""
    return (
        f"this build of ONNX Runtime has no {spec.provider}, only {', '.join(available)}; what "
        f"brings it is {spec.package}"
    )


def _missing_library(text: str) -> str:
    """Return which shared library could not be found, or an empty string."""
    found = re.search(r"(lib[\w.+-]+): cannot open shared object file", text)
    return f"{found[1]} is not installed{DOCTOR_HINT}" if found else ""


def _single_line(text: str) -> str:
    """Return a library's output as one line without colour codes."""
    plain = text.replace("\x1b[m", "").replace("\x1b[0m", "")
    return " ".join(plain.split()).rstrip(". ")[-600:]
