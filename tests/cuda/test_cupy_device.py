"""A GPU through CuPy, as far as it can be seen without one: what is missing is said."""

from __future__ import annotations

import importlib.util
import sys

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
