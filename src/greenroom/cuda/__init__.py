"""Arrays, transfers and kernels of a GPU.

The kernels (``kernels/``) are CUDA C over the headers of the core: what happens to a sample is
written once for both. `Device` is the contract; `CupyDevice` is NVIDIA's, and only making one
imports CuPy. Kernels are called by functions of the same names and arguments as those of the core
(`greenroom.cuda.calls`), which the wrappers of the core call for arrays of a device.
"""

from __future__ import annotations

from greenroom.cuda.cupy_device import CupyDevice, has_cupy, has_driver, make_context_current
from greenroom.cuda.device import Array, Device, DeviceArray

__all__ = [
    "Array",
    "CupyDevice",
    "Device",
    "DeviceArray",
    "has_cupy",
    "has_driver",
    "make_context_current",
]
