"""A GPU of NVIDIA's, through CuPy."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda.device import Device
from greenroom.cuda.program import OPTIONS, kernels, program
from greenroom.cuda.streams import BLOCK, Event, Stream
from greenroom.errors import DeviceError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from greenroom.cuda.device import DeviceArray
    from greenroom.cuda.program import Kernel

__all__ = ["CupyDevice", "has_cupy", "has_driver", "make_context_current"]

_TO_DEVICE: Final = 1
_TO_HOST: Final = 2
_DRIVER: Final = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

# CU_CTX_SCHED_BLOCKING_SYNC of the driver's interface.
_BLOCKING_SYNC: Final = 4


def has_driver() -> bool:
    """Whether NVIDIA's driver can be loaded, without which there is no need to import CuPy."""
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


def has_cupy() -> bool:
    """Whether CuPy is installed, without which nothing but models works on a GPU."""
    return importlib.util.find_spec("cupy") is not None


def _sleep_while_waiting(index: int) -> None:
    """Have threads sleep while they wait for a GPU: the driver may have them spin.

    FFmpeg asks the same of the process's context, and refuses one that has other flags. It has to
    come before whoever makes the context, and where it fails, waiting costs CPU time.
    """
    with suppress(OSError, AttributeError):
        driver, device = ctypes.CDLL(_DRIVER), ctypes.c_int()
        if driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(device), index) == 0:
            driver.cuDevicePrimaryCtxSetFlags_v2(device, _BLOCKING_SYNC)


class _Gpu:
    """CuPy's calls for one GPU.

    Parameters
    ----------
    cupy : module
    index : int
        Number of the GPU.
    """

    def __init__(self, cupy: Any, index: int) -> None:
        self.cupy = cupy
        self.name = f"CUDA device {index}"
        self._index = index

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Make this GPU the thread's for calls of CuPy, whose errors become `DeviceError`."""
        try:
            with self.cupy.cuda.Device(self._index):
                yield
        # CUDA's errors have no common base, and a library that is missing is found missing here.
        except Exception as error:
            message = f"{self.name} failed: {' '.join(str(error).split())[:300]}"
            raise DeviceError(message) from error


class CupyDevice(Device):
    """One GPU, in the process's primary context.

    Kernels are compiled by NVRTC for this GPU when the first one runs; CuPy keeps the compiled
    program in a folder of the user's (``CUPY_CACHE_DIR``), so that later processes load it.

    Parameters
    ----------
    index : int
        Number of the GPU.

    Raises
    ------
    MissingExtraError
        If CuPy is not installed.
    DeviceError
        If there is no such GPU, or it cannot be used.
    """

    def __init__(self, index: int = 0) -> None:
        self._gpu = _Gpu(_load_cupy(), index)
        _sleep_while_waiting(index)
        self.name = self._gpu.name
        self.place = "cuda", index
        self._blocks: dict[int, Any] = {}
        super().__init__()

    def _allocate(self, count: int) -> int:
        with self._gpu.calls():
            block = self._gpu.cupy.cuda.Memory(count)
        self._blocks[block.ptr] = block
        return int(block.ptr)

    def _free(self, address: int) -> None:
        del self._blocks[address]

    def _pinned(self, count: int) -> NDArray[np.uint8]:
        with self._gpu.calls():
            memory = self._gpu.cupy.cuda.alloc_pinned_memory(count)
        return np.frombuffer(memory, np.uint8, count)

    def _stream(self) -> Stream:
        return _CupyStream(self._gpu)

    def _default_stream(self) -> Stream:
        return _CupyStream(self._gpu, self._gpu.cupy.cuda.Stream.null)

    def exported(self, array: DeviceArray) -> Any:
        """See `Device.exported`."""
        span = sum((length - 1) * stride for length, stride in _pairs(array)) + array.itemsize
        with self._gpu.calls():
            cuda = self._gpu.cupy.cuda
            memory = cuda.UnownedMemory(array.address, span, array.memory, self.place[1])
            start = cuda.MemoryPointer(memory, 0)
            return self._gpu.cupy.ndarray(array.shape, array.dtype, start, array.strides)

    def compile(self) -> None:
        """See `Device.compile`."""
        with self._gpu.calls():
            compiled = _compiled(self._gpu.cupy)
            for kernel in kernels().values():
                compiled.get_function(kernel.symbol)


def _pairs(array: DeviceArray) -> Iterator[tuple[int, int]]:
    """Return the length and the stride of each dimension."""
    return zip(array.shape, array.strides, strict=True)


class _CupyEvent(Event):
    def __init__(self, gpu: _Gpu, event: Any) -> None:
        self._gpu = gpu
        self.event = event

    @property
    def is_done(self) -> bool:
        with self._gpu.calls():
            return bool(self.event.done)

    def wait(self) -> None:
        with self._gpu.calls():
            self.event.synchronize()


class _CupyStream(Stream):
    def __init__(self, gpu: _Gpu, stream: Any = None) -> None:
        self._gpu = gpu
        with gpu.calls():
            self._stream = gpu.cupy.cuda.Stream(non_blocking=True) if stream is None else stream
        self.address = int(self._stream.ptr)

    def record(self) -> Event:
        with self._gpu.calls():
            event = self._gpu.cupy.cuda.Event(block=True, disable_timing=True)
            event.record(self._stream)
            return _CupyEvent(self._gpu, event)

    def wait_for(self, event: Event) -> None:
        assert isinstance(event, _CupyEvent)
        with self._gpu.calls():
            self._stream.wait_event(event.event)

    def copy_in(self, address: int, pinned: NDArray[np.uint8]) -> None:
        self._copy(address, pinned.ctypes.data, pinned.nbytes, _TO_DEVICE)

    def copy_out(self, pinned: NDArray[np.uint8], address: int) -> None:
        self._copy(pinned.ctypes.data, address, pinned.nbytes, _TO_HOST)

    def _copy(self, target: int, source: int, count: int, direction: int) -> None:
        with self._gpu.calls():
            runtime = self._gpu.cupy.cuda.runtime
            runtime.memcpyAsync(target, source, count, direction, self._stream.ptr)

    def launch(self, kernel: Kernel, blocks: tuple[int, int, int], arguments: list[Any]) -> None:
        with self._gpu.calls(), self._stream:
            function = _compiled(self._gpu.cupy).get_function(kernel.symbol)
            function(blocks, (*BLOCK, 1), tuple(arguments))


def make_context_current(index: int = 0) -> None:
    """Make the primary context of a GPU the calling thread's, for libraries that ask for that.

    Raises
    ------
    MissingExtraError, DeviceError
        As `CupyDevice`.
    """
    gpu = _Gpu(_load_cupy(), index)
    with gpu.calls():
        gpu.cupy.cuda.Device(index).use()
        gpu.cupy.cuda.runtime.free(0)  # the call makes the context


@lru_cache(maxsize=1)
def _compiled(cupy: Any) -> Any:
    """Return the program as CuPy's module, which compiles it for each GPU when it is used."""
    return cupy.RawModule(code=program(), options=OPTIONS, backend="nvrtc")


def _load_cupy() -> Any:
    try:
        import cupy  # noqa: PLC0415 - an extra, and 0.3 s of start-up
    except ImportError as error:
        message = (
            f"the GPU needs CuPy, which cannot be imported ({error}). Install it with "
            "pip install 'greenroom[cuda]'."
        )
        raise MissingExtraError(message) from error
    return cupy
