"""A GPU through CuPy, as far as it can be seen without one: what is missing is said."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from greenroom.cuda import CupyDevice
from greenroom.errors import DeviceError, MissingExtraError


def test_without_cupy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CuPy is not installed, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'greenroom\[cuda\]'"):
        CupyDevice()


@pytest.mark.filterwarnings("ignore:CUDA path could not be detected")
def test_without_a_gpu_the_error_is_one_of_the_device() -> None:
    """Where there is no such GPU, the error says what CUDA says."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed: pip install cupy-cuda13x")
    with pytest.raises(DeviceError, match=r"CUDA device 999 failed: cuda\w+"):
        CupyDevice(999)


class Driver:
    """NVIDIA's driver with one GPU, number 7; keeps the flags of the process's context."""

    def __init__(self) -> None:
        self.flags: list[tuple[int, int]] = []

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's name
        """Succeed."""
        return flags

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        """Give a GPU by its number."""
        device._obj.value = index
        return 0 if index == 7 else 101

    def cuDevicePrimaryCtxSetFlags_v2(self, device: ctypes.c_int, flags: int) -> int:  # noqa: N802
        """Keep the flags."""
        self.flags.append((device.value, flags))
        return 0


@pytest.mark.parametrize(("index", "flags"), [(7, [(7, 4)]), (0, [])])
def test_threads_sleep_while_they_wait(
    index: int, flags: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process's context blocks while it waits, and is told so before it is made."""
    driver = Driver()
    known: list[list[tuple[int, int]]] = []

    def device(_: int) -> None:
        known.append(list(driver.flags))
        message = "no context here"
        raise RuntimeError(message)

    cupy = ModuleType("cupy")
    monkeypatch.setattr(cupy, "cuda", SimpleNamespace(Device=device), raising=False)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: driver)
    with pytest.raises(DeviceError, match="no context here"):
        CupyDevice(index)
    assert known == [flags]
