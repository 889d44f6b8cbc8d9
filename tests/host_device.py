"""A device that is the host: the same kernels, compiled by the host's compiler.

Its arrays are arrays of a device like any other, so that a transfer which nobody asked for fails
here, too. Memory is surrounded by bytes that have to stay as they are.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import threading
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda import CupyDevice, Device, DeviceArray
from greenroom.cuda.program import kernels, program
from greenroom.cuda.streams import BLOCK, Event, Stream
from greenroom.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.cuda.program import Kernel

__all__ = ["HostDevice", "LazyDevice", "WatchedGpu", "compiler", "placed", "read"]

_PATTERN: Final = 0xA5
_MARGIN: Final = 256
# What a GPU's compiler knows by itself. Threads run one after the other: kernels may not depend
# on their order.
_BEFORE: Final = """
#include <cmath>
#include <tuple>
#define __global__
struct Place { int x, y, z; };
static thread_local Place blockIdx, blockDim, threadIdx;
static inline void atomicMin(int *at, int value) { *at = value < *at ? value : *at; }
static inline void atomicMax(int *at, int value) { *at = value > *at ? value : *at; }
template <typename Type> static inline void atomicAdd(Type *at, Type value) { *at += value; }
"""
_AFTER: Final = """
template <typename... Types, std::size_t... Numbers>
static void call(void (*kernel)(Types...), void **values, std::index_sequence<Numbers...>) {
    kernel(*static_cast<Types *>(values[Numbers])...);
}
template <typename... Types>
static void run(void (*kernel)(Types...), const int *blocks, const int *threads, void **values) {
    blockDim = {threads[0], threads[1], 1};
    for (blockIdx.z = 0; blockIdx.z < blocks[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < blocks[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < blocks[0]; blockIdx.x++)
                for (threadIdx.y = 0; threadIdx.y < threads[1]; threadIdx.y++)
                    for (threadIdx.x = 0; threadIdx.x < threads[0]; threadIdx.x++)
                        call(kernel, values, std::index_sequence_for<Types...>());
}
"""
_RUN: Final = """
extern "C" void run_{name}(const int *blocks, const int *threads, void **values) {{
    run({symbol}, blocks, threads, values);
}}
"""
_TYPES: Final = {
    "p": ctypes.c_uint64,
    "i": ctypes.c_int32,
    "n": ctypes.c_int64,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}


def _address(value: Any) -> int:
    return ctypes.addressof(value)


def compiler() -> str | None:
    """Return the host's compiler of C++; None if there is none."""
    return shutil.which("g++") or shutil.which("clang++")


_COMPILING: Final = threading.Lock()


def _library() -> ctypes.CDLL:
    """Return the compiled program; threads that ask at once wait for one compiler."""
    with _COMPILING:
        return _compiled()


@cache
def _compiled() -> ctypes.CDLL:
    """Compile the program, once for each text of it."""
    runs = "".join(
        _RUN.format(name=kernel.name, symbol=kernel.symbol) for kernel in kernels().values()
    )
    text = _BEFORE + program() + _AFTER + runs
    found = compiler()
    assert found is not None
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
        source.write_text(text)
        options = ["-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-Wall"]
        options += ["-Wextra", "-Werror", "-Wno-unused-function"]
        subprocess.run([found, *options, source, "-o", made], check=True)
        return ctypes.CDLL(str(made))


class WatchedDevice(Device):
    """A device that keeps what it was asked for, and fails on demand.

    Attributes
    ----------
    fails_at : str or None
        A kernel that fails, as on a device that is lost.
    launched : list of str
        The kernels that were run.
    """

    def __init__(self) -> None:
        self.fails_at: str | None = None
        self.launched: list[str] = []
        super().__init__()

    def launch(self, name: str, extent: tuple[int, ...], *arguments: Any) -> None:
        """See `Device.launch`."""
        if name == self.fails_at:
            message = f"kernel '{name}' failed: the device is lost"
            raise DeviceError(message)
        super().launch(name, extent, *arguments)
        self.launched.append(name)

    def check_margins(self) -> None:
        """Check that nothing was written beside the memory that was given, where that is known."""


class WatchedGpu(WatchedDevice, CupyDevice):
    """A GPU, for the tests where there is one."""


class HostDevice(WatchedDevice):
    """See the module.

    Attributes
    ----------
    moved : list of int
        The sizes of all transfers.
    """

    name = "host device"
    place = "cpu", 0

    def __init__(self) -> None:
        if compiler() is not None:
            _library()  # not within the time of the first frame
        self.moved: list[int] = []
        self._blocks: dict[int, NDArray[np.uint8]] = {}
        super().__init__()

    def _allocate(self, count: int) -> int:
        block = np.full(count + 2 * _MARGIN, _PATTERN, np.uint8)
        address = int(block.ctypes.data) + _MARGIN
        self._blocks[address] = block
        return address

    def _free(self, address: int) -> None:
        del self._blocks[address]

    def _pinned(self, count: int) -> NDArray[np.uint8]:
        return np.empty(count, np.uint8)

    def _stream(self) -> Stream:
        return _HostStream(self)

    def _default_stream(self) -> Stream:
        return _HostStream(self)

    def exported(self, array: DeviceArray) -> Any:
        """See `Device.exported`."""
        memory = (ctypes.c_uint8 * _span(array)).from_address(array.address)
        memory.owner = array  # type: ignore[attr-defined]
        return np.ndarray(array.shape, array.dtype, memoryview(memory), 0, array.strides)

    def check_margins(self) -> None:
        """Check that nothing was written beside the memory that was given."""
        for block in self._blocks.values():
            assert (block[:_MARGIN] == _PATTERN).all(), "a kernel wrote before its memory"
            assert (block[-_MARGIN:] == _PATTERN).all(), "a kernel wrote beyond its memory"


class LazyDevice(HostDevice):
    """A host device whose streams work as late as they may, each by itself.

    Its streams have addresses, by which other libraries give them work (`stream_at`).

    Only what is waited for is done, and what that has to wait for: results are wrong if a stream
    does not wait for another one, or memory is used again too early.
    """

    name = "lazy device"

    def __init__(self) -> None:
        self._streams: dict[int, _LazyStream] = {}
        self.default_stream = _LazyStream(self)
        super().__init__()

    def stream_at(self, address: int) -> _LazyStream:
        """Return the stream with an address."""
        return self._streams[address]

    def _stream(self) -> Stream:
        made = _LazyStream(self)
        self._streams[made.address] = made
        return made

    def _default_stream(self) -> Stream:
        return self.default_stream


class _LazyEvent(Event):
    """The end of a stream's first so many pieces of work."""

    def __init__(self, stream: _LazyStream, count: int) -> None:
        self._stream, self._count = stream, count

    @property
    def is_done(self) -> bool:
        return self._stream.done >= self._count

    def wait(self) -> None:
        self._stream.do(self._count)


class _LazyStream(Stream):
    def __init__(self, device: HostDevice) -> None:
        self._eager = _HostStream(device)
        self._work: list[Callable[[], None]] = []
        self.done = 0
        self.address = id(self)

    def give(self, work: Callable[[], None]) -> None:
        """Add a piece of work."""
        self._work.append(work)

    def do(self, count: int) -> None:
        """Do work until so many pieces are done."""
        while self.done < count:
            work = self._work.pop(0)
            work()
            self.done += 1

    def record(self) -> Event:
        return _LazyEvent(self, self.done + len(self._work))

    def wait_for(self, event: Event) -> None:
        self._work.append(event.wait)

    def copy_in(self, address: int, pinned: NDArray[np.uint8]) -> None:
        self._work.append(partial(self._eager.copy_in, address, pinned))

    def copy_out(self, pinned: NDArray[np.uint8], address: int) -> None:
        self._work.append(partial(self._eager.copy_out, pinned, address))

    def launch(self, kernel: Kernel, blocks: tuple[int, int, int], arguments: list[Any]) -> None:
        self._work.append(partial(self._eager.launch, kernel, blocks, arguments))


class _Done(Event):
    @property
    def is_done(self) -> bool:
        return True

    def wait(self) -> None:
        pass


class _HostStream(Stream):
    """Does its work at once."""

    def __init__(self, device: HostDevice) -> None:
        self._device = device

    def record(self) -> Event:
        return _Done()

    def wait_for(self, event: Event) -> None:
        pass

    def copy_in(self, address: int, pinned: NDArray[np.uint8]) -> None:
        self._device.moved.append(pinned.nbytes)
        ctypes.memmove(address, pinned.ctypes.data, pinned.nbytes)

    def copy_out(self, pinned: NDArray[np.uint8], address: int) -> None:
        self._device.moved.append(pinned.nbytes)
        ctypes.memmove(pinned.ctypes.data, address, pinned.nbytes)

    def launch(self, kernel: Kernel, blocks: tuple[int, int, int], arguments: list[Any]) -> None:
        values = [
            _TYPES[kind](value.item()) for kind, value in zip(kernel.kinds, arguments, strict=True)
        ]
        addresses = (ctypes.c_void_p * len(values))(*map(_address, values))
        run = getattr(_library(), f"run_{kernel.name}")
        run((ctypes.c_int * 3)(*blocks), (ctypes.c_int * 2)(*BLOCK), addresses)


def read(array: DeviceArray) -> NDArray[Any]:
    """Return the values of an array of any strides; for checks only."""
    memory = array.device.download(_all_of(array))[0]
    return np.ndarray(array.shape, array.dtype, memory.data, 0, array.strides).copy()


def placed(device: Device, array: NDArray[Any]) -> DeviceArray:
    """Return a copy of an array on a device, with its strides."""
    memory = np.zeros(_span(array), np.uint8)
    np.ndarray(array.shape, array.dtype, memory.data, 0, array.strides)[...] = array
    (there,) = device.upload(memory)
    return replace(there, shape=array.shape, strides=array.strides, dtype=array.dtype)


def _all_of(array: DeviceArray) -> DeviceArray:
    """Return the memory from the first value of an array to the last, as bytes."""
    return replace(array, shape=(_span(array),), strides=(1,), dtype=np.dtype(np.uint8))


def _span(array: NDArray[Any] | DeviceArray) -> int:
    pairs = zip(array.shape, array.strides, strict=True)
    return int(array.itemsize + sum((length - 1) * stride for length, stride in pairs))
