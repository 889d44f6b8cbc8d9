"""Choice of where an engine computes, from the setting ``device``.

A GPU is used only after a proof that it computes what the processor does (`device_proof`). The
proof holds for the process, until the GPU fails: then the next engine wants another one.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from greenroom.cuda import CupyDevice, has_cupy, has_driver
from greenroom.engine.compute import HOST, Compute
from greenroom.engine.device_proof import prove
from greenroom.engine.worker import Supervisor
from greenroom.errors import DeviceError, MissingExtraError, ModelTimeoutError
from greenroom.settings import Device

if TYPE_CHECKING:
    from greenroom import cuda

__all__ = ["MISSING_CUPY", "choose", "forget_proof", "reason_against_gpu"]

logger = logging.getLogger(__name__)

MISSING_CUPY: Final = "CuPy is not installed. Install it with pip install 'greenroom[cuda]'"
"""Reason where only a package is missing."""

# Time-out of a proof, for compiling all kernels on a machine that is busy.
_PROOF_TIMEOUT_S: Final = 60.0
_DRIVER: Final = (
    "NVIDIA's driver is not installed, or no GPU is given to this process (nvidia-smi lists them)"
)
_CHECK: Final = "greenroom doctor says more; --device cpu leaves the GPU alone"


class _Proofs:
    """What is known of the GPU, for the whole process.

    State: why it cannot be used; None before the first proof, and after a failure in use.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: str | None = None

    def reason(self) -> str:
        """Return why the GPU cannot be used, empty if it can; others wait for a proof."""
        with self._lock:
            if self._reason is None:
                self._reason = _proved()
            return self._reason

    def forget(self) -> None:
        """Have the next engine prove it again."""
        with self._lock:
            self._reason = None


_PROOFS: Final = _Proofs()


def choose(device: Device) -> Compute:
    """Return where an engine computes.

    For a GPU that cannot be used this is the processor: with a warning if it was named, in silence
    with ``auto``. The first call in a process may take seconds, to compile the kernels.

    Parameters
    ----------
    device : Device
        As in the settings. Those other than ``auto``, ``cuda`` and ``tensorrt`` have the engine
        on the processor.
    """
    is_named = device.is_nvidia
    if not is_named and device is not Device.AUTO:
        return HOST
    reason = _PROOFS.reason()
    if not reason:
        try:
            return Compute(CupyDevice(), is_replaceable=not is_named)
        except DeviceError as error:  # it has been lost, or has no memory left
            reason = f"{error}. {_CHECK}"
    said = f"The processor does all but the model's work: {reason}."
    logger.log(logging.WARNING if is_named else logging.INFO, "%s", said)
    return Compute(notice=said) if is_named else HOST


def reason_against_gpu() -> str:
    """Return why engines cannot compute on the GPU; empty if they can.

    The first call in a process may take seconds, to compile the kernels.
    """
    return _PROOFS.reason()


def forget_proof() -> None:
    """Have the next engine prove the GPU again: it failed in use."""
    _PROOFS.forget()


def _proved() -> str:
    """Return why the GPU cannot be used; empty if it can."""
    if not has_driver():
        return _DRIVER
    if not has_cupy():
        return MISSING_CUPY
    supervisor: Supervisor[cuda.Device] = Supervisor()
    try:
        device = supervisor.run(_prove, _PROOF_TIMEOUT_S)
    except ModelTimeoutError:
        return f"it did not answer within {_PROOF_TIMEOUT_S:g} s. {_CHECK}"
    except MissingExtraError as error:
        return str(error).rstrip(".")
    except Exception as error:
        logger.debug("the GPU cannot be used", exc_info=error)
        text = str(error).rstrip(".") or type(error).__name__
        return f"{text}. {_CHECK}"
    finally:
        supervisor.close()
    logger.info("%s computes what the processor does", device.name)
    return ""


def _prove() -> cuda.Device:
    device = CupyDevice()
    prove(device)
    return device
