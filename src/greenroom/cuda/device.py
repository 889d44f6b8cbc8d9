"""Contract of a device: memory, transfers and kernels.

An engine has a device of its own, with one stream on which all kernels run in order, and one on
which transfers do, through pinned memory that is used again. Transfers wait for the kernels whose
results they need, and kernels for what is uploaded, on the device; the host waits for downloads.
"""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from greenroom.cuda.program import kernels
from greenroom.cuda.streams import BLOCK
from greenroom.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

    from greenroom.cuda.streams import Event, Stream

    Index = int | slice | tuple[int | slice, ...]

__all__ = ["Array", "Device", "DeviceArray", "Download"]

# Blocks of memory are multiples of this, and arrays in one block begin at such.
_ALIGNMENT: Final = 512
# Tables and matrices that are kept: regions change their size, and have three planes each.
_MAX_CONSTANTS: Final = 128
# Bytes that are kept of memory that nobody uses.
_MAX_KEPT: Final = 1 << 30


Array: TypeAlias = "NDArray[Any] | DeviceArray"
"""An array in the memory of the host or of a device."""


class Memory:
    """A block of a device's memory; it goes back to the device with the last reference.

    Attributes
    ----------
    address : int
        Of its first byte.
    """

    __slots__ = ("__weakref__", "address")

    def __init__(self, address: int) -> None:
        self.address = address


@dataclass(frozen=True, eq=False, slots=True)
class DeviceArray:
    """An array in the memory of a device, as a NumPy array is one in the host's.

    It is made by a `Device`, and only its device reads and writes it. Views by slices share its
    memory and keep it alive. It never becomes a NumPy array by itself: that would be a transfer.

    Attributes
    ----------
    device : Device
        Whose memory it is in.
    shape, strides : tuple of int
        As NumPy's; strides are in bytes and positive.
    dtype : np.dtype
        Type of its values.
    address : int
        Of its first value.
    memory : object
        Kept alive while the array is: a `Memory`, or what another library gave.
    """

    device: Device
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    address: int
    memory: object

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.size * self.itemsize

    @property
    def is_contiguous(self) -> bool:
        """Whether the values follow each other in memory, the last dimension fastest."""
        wanted = _strides_of(self.shape, self.itemsize)
        pairs = zip(self.shape, self.strides, wanted, strict=True)
        return all(length == 1 or stride == own for length, stride, own in pairs)

    def transpose(self, *axes: int) -> DeviceArray:
        """Return a view with its dimensions in another order."""
        shape, strides = (tuple(of[axis] for axis in axes) for of in (self.shape, self.strides))
        return DeviceArray(self.device, shape, strides, self.dtype, self.address, self.memory)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[DeviceArray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Index) -> DeviceArray:
        """Return a view: integers from 0 on, and slices without or with a positive step."""
        indices = index if isinstance(index, tuple) else (index,)
        if len(indices) > self.ndim:
            message = f"an array of {self.ndim} dimensions has no {len(indices)} indices"
            raise IndexError(message)
        address, shape, strides = self.address, [], []
        for place, (length, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            at = indices[place] if place < len(indices) else slice(None)
            if isinstance(at, slice):
                start, stop, step = at.indices(length)
                if step < 1:
                    message = "a view of an array of a device goes forwards"
                    raise IndexError(message)
                address += start * stride if start < stop else 0
                shape.append(max(0, -(-(stop - start) // step)))
                strides.append(stride * step)
            else:
                if not 0 <= at < length:
                    message = f"index {at} is outside of {length} values"
                    raise IndexError(message)
                address += at * stride
        return DeviceArray(
            self.device, tuple(shape), tuple(strides), self.dtype, address, self.memory
        )

    def reshape(self, *shape: int) -> DeviceArray:
        """Return a view of a contiguous array in another shape, of as many values."""
        if not self.is_contiguous or prod(shape) != self.size:
            message = f"an array of shape {self.shape} and strides {self.strides} is not {shape}"
            raise TypeError(message)
        strides = _strides_of(shape, self.itemsize)
        return DeviceArray(self.device, shape, strides, self.dtype, self.address, self.memory)

    def __array__(self, *_: object, **__: object) -> NDArray[Any]:
        """Refuse a transfer that nobody asked for."""
        message = "an array of a device is no NumPy array: download it with its device"
        raise TypeError(message)

    def __repr__(self) -> str:
        return f"<{self.dtype} array of shape {self.shape} on {self.device.name}>"


class Device(ABC):
    """Memory, transfers and kernels of one device, for one engine.

    One thread at a time uses it; arrays may be released on any thread. What it raises for memory
    that is not there, a kernel that fails or a device that is lost is a `DeviceError`: the engine
    covers the frame.

    State: memory and pinned memory that nobody uses, downloads that go on, and memory of others
    that kernels read.

    Attributes
    ----------
    name : str
        For messages.
    place : (str, int)
        Kind and number by which other libraries know its memory, such as ``("cuda", 0)``; the
        kind is empty if none does.
    """

    name: str = "device"
    place: tuple[str, int] = ("", 0)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Appended to without a lock, in the middle of anything: where the last reference goes.
        self._returned: deque[tuple[int, int, Event]] = deque()
        self._kept: dict[int, list[tuple[int, Event]]] = {}
        self._kept_bytes = 0
        self._staging: list[tuple[NDArray[np.uint8], Event | None]] = []
        self._downloads: list[tuple[Event, tuple[Array, ...]]] = []
        self._read_last: deque[tuple[Event, object]] = deque()
        self._constants: OrderedDict[tuple[Any, ...], DeviceArray] = OrderedDict()
        self._work = self._stream()
        self._copies = self._stream()

    @abstractmethod
    def _allocate(self, count: int) -> int:
        """Return the address of a new block of so many bytes."""

    @abstractmethod
    def _free(self, address: int) -> None:
        """Release a block."""

    @abstractmethod
    def _pinned(self, count: int) -> NDArray[np.uint8]:
        """Return new memory of the host that the device copies by itself."""

    @abstractmethod
    def _stream(self) -> Stream:
        """Return a new stream."""

    @abstractmethod
    def _default_stream(self) -> Stream:
        """Return the stream of libraries that have none of their own."""

    @abstractmethod
    def exported(self, array: DeviceArray) -> Any:
        """Return an array as other libraries take it, by DLPack; that keeps its memory.

        They may read it after `finish_kernels`.
        """

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> DeviceArray:
        """Return a contiguous array with undefined values."""
        return self.empties([shape], dtype)[0]

    def empties(
        self, shapes: Sequence[tuple[int, ...]], dtype: DTypeLike = np.uint8
    ) -> tuple[DeviceArray, ...]:
        """Return contiguous arrays with undefined values, in one block of memory."""
        kinds = [np.dtype(dtype)] * len(shapes)
        return self._arrays(shapes, kinds, self._work)

    def upload(self, *arrays: NDArray[Any]) -> tuple[DeviceArray, ...]:
        """Copy arrays to the device. They may be changed at once; kernels wait for the copies."""
        made = self._arrays(
            [array.shape for array in arrays], [array.dtype for array in arrays], self._copies
        )
        places = [array.address - made[0].address for array in made]
        count = places[-1] + made[-1].nbytes
        buffer = self._staged(count)
        for array, place in zip(arrays, places, strict=True):
            part = buffer[place : place + array.nbytes].view(array.dtype)
            part.reshape(array.shape)[...] = array
        self._copies.copy_in(made[0].address, buffer[:count])
        event = self._copies.record()
        self._work.wait_for(event)
        self._give_back(buffer, event)
        return made

    def constant(self, array: NDArray[Any]) -> DeviceArray:
        """Return a small array on the device. One with the same values is uploaded once.

        Read only.
        """
        key = array.dtype.str, array.shape, array.tobytes()
        if key in self._constants:
            self._constants.move_to_end(key)
        else:
            self._constants[key] = self.upload(array)[0]
            if len(self._constants) > _MAX_CONSTANTS:
                self._constants.popitem(last=False)
        return self._constants[key]

    def download(self, *arrays: DeviceArray) -> tuple[NDArray[Any], ...]:
        """Copy arrays to new memory of the host, and wait for that."""
        return self.start_download(*arrays).wait()

    def start_download(self, *arrays: DeviceArray) -> Download:
        """Begin to copy contiguous arrays to the host, after all kernels launched so far."""
        places = np.cumsum([0, *(_rounded(array.nbytes) for array in arrays)]).tolist()
        buffer = self._staged(places[-1])
        self._copies.wait_for(self._work.record())
        for array, place in zip(arrays, places, strict=False):
            if not array.is_contiguous:
                message = f"an array with strides {array.strides} cannot be downloaded: copy it"
                raise TypeError(message)
            self._copies.copy_out(buffer[place : place + array.nbytes], array.address)
        event = self._copies.record()
        with self._lock:  # their memory is not used again before
            going_on = [one for one in self._downloads if not one[0].is_done]
            self._downloads = [*going_on, (event, (*arrays, buffer))]
        parts = [
            buffer[place : place + array.nbytes].view(array.dtype).reshape(array.shape)
            for array, place in zip(arrays, places, strict=False)
        ]
        return Download(event, parts, lambda: self._give_back(buffer, event))

    def launch(self, name: str, extent: tuple[int, ...], *arguments: Any) -> None:
        """Run a kernel after all launched before.

        Parameters
        ----------
        name : str
            See `greenroom.cuda.program.kernels`.
        extent : tuple of int
            Columns, rows and layers of threads; rows and layers are 1 if left out.
        *arguments
            Arrays of this device, None for no address, and numbers.
        """
        kernel = kernels()[name]
        if len(arguments) != len(kernel.kinds):
            message = f"kernel '{name}' takes {len(kernel.kinds)} arguments, not {len(arguments)}"
            raise TypeError(message)
        columns, rows, layers = (*extent, 1, 1)[:3]
        if not (columns and rows and layers):
            return
        blocks = -(-columns // BLOCK[0]), -(-rows // BLOCK[1]), layers
        pairs = zip(kernel.kinds, arguments, strict=True)
        self._work.launch(kernel, blocks, [self._typed(kind, value) for kind, value in pairs])

    def compile(self) -> None:
        """Compile all kernels now, not when the first one runs."""

    def adopt(
        self,
        address: int,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        owner: object,
        strides: tuple[int, ...] | None = None,
    ) -> DeviceArray:
        """Return an array in memory of this device that another library owns.

        It is contiguous unless strides, in bytes, are given.
        """
        kind = np.dtype(dtype)
        strides = _strides_of(shape, kind.itemsize) if strides is None else strides
        return DeviceArray(self, shape, strides, kind, address, owner)

    def wait_for_others(self) -> None:
        """Have kernels wait for what other libraries gave to the default stream so far."""
        self._work.wait_for(self._default_stream().record())

    def keep(self, owner: object) -> None:
        """Keep memory of another library until the kernels launched so far have read it."""
        while self._read_last and self._read_last[0][0].is_done:
            self._read_last.popleft()
        self._read_last.append((self._work.record(), owner))

    @property
    def stream(self) -> int:
        """Address of the stream of kernels, for other libraries that give it work."""
        return self._work.address

    def finish_kernels(self) -> None:
        """Wait for all kernels launched so far, before others read or write what they do."""
        self._work.record().wait()

    def synchronize(self) -> None:
        """Wait for all work given so far."""
        self._work.record().wait()
        self._copies.record().wait()

    def _typed(self, kind: str, value: Any) -> Any:
        """Return an argument as a NumPy number of the type that the kernel takes."""
        if kind != "p":
            return _NUMBERS[kind](value)
        if value is None:
            return np.uint64(0)
        if not isinstance(value, DeviceArray) or value.device is not self:
            message = f"expected an array on {self.name}, not {value!r}"
            raise TypeError(message)
        return np.uint64(value.address)

    def _arrays(
        self,
        shapes: Sequence[tuple[int, ...]],
        kinds: Sequence[np.dtype[Any]],
        stream: Stream,
    ) -> tuple[DeviceArray, ...]:
        sizes = [
            _rounded(prod(shape) * kind.itemsize) for shape, kind in zip(shapes, kinds, strict=True)
        ]
        memory = self._taken(sum(sizes), stream)
        made, address = [], memory.address
        for shape, kind, size in zip(shapes, kinds, sizes, strict=True):
            strides = _strides_of(shape, kind.itemsize)
            made.append(DeviceArray(self, tuple(shape), strides, kind, address, memory))
            address += size
        return tuple(made)

    def _taken(self, count: int, stream: Stream) -> Memory:
        """Return a block for use on a stream, when nothing reads or writes it any more."""
        count = max(_rounded(count), _ALIGNMENT)
        self._sort_returned()
        with self._lock:
            kept = self._kept.get(count)
            address, released = kept.pop() if kept else (0, None)
            self._kept_bytes -= count if released is not None else 0
        if released is None:
            address = self._allocate(count)
        elif stream is not self._work:
            stream.wait_for(released)
        memory = Memory(address)
        weakref.finalize(memory, self._released, address, count).atexit = False
        return memory

    def _released(self, address: int, count: int) -> None:
        """Take back a block that nobody has any more; kernels launched so far may still use it."""
        with suppress(DeviceError):  # a device that is lost takes its memory with it
            self._returned.append((address, count, self._work.record()))

    def _sort_returned(self) -> None:
        """Keep the blocks that were taken back, or free them if too much is kept."""
        while True:
            try:
                address, count, released = self._returned.popleft()
            except IndexError:
                return
            with self._lock:
                is_kept = self._kept_bytes + count <= _MAX_KEPT
                if is_kept:
                    self._kept.setdefault(count, []).append((address, released))
                    self._kept_bytes += count
            if not is_kept:
                released.wait()
                self._free(address)

    def _staged(self, count: int) -> NDArray[np.uint8]:
        """Return pinned memory that no copy uses."""
        with self._lock:
            for index, (buffer, event) in enumerate(self._staging):
                if len(buffer) >= count and (event is None or event.is_done):
                    return self._staging.pop(index)[0]
        return self._pinned(_rounded(max(count, _ALIGNMENT)))

    def _give_back(self, buffer: NDArray[np.uint8], event: Event | None) -> None:
        """Let pinned memory be used again after an event."""
        with self._lock:
            self._staging.append((buffer, event))


class Download:
    """Arrays that are on their way to the host.

    Parameters
    ----------
    event : Event
        End of the copies.
    parts : sequence of arrays
        Pinned memory that they are copied to.
    done : callable
        Called when that was read.
    """

    def __init__(
        self, event: Event, parts: Sequence[NDArray[Any]], done: Callable[[], None]
    ) -> None:
        self._event = event
        self._parts = parts
        self._done = done

    def wait(self) -> tuple[NDArray[Any], ...]:
        """Wait, and return the arrays in new memory. May be called once."""
        self._event.wait()
        copies = tuple([np.array(part) for part in self._parts])
        self._finish()
        return copies

    def into(self, targets: Sequence[NDArray[Any]]) -> None:
        """Wait, and copy to memory of the caller. May be called once."""
        self._event.wait()
        for part, target in zip(self._parts, targets, strict=True):
            target[...] = part
        self._finish()

    def _finish(self) -> None:
        self._parts = ()
        self._done()


_NUMBERS: Final = {"i": np.int32, "n": np.int64, "f": np.float32, "d": np.float64}


def _rounded(count: int) -> int:
    return -(-count // _ALIGNMENT) * _ALIGNMENT


def _strides_of(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the strides of a contiguous array, in bytes."""
    if not shape:
        return ()
    strides = [itemsize]
    for length in shape[:0:-1]:
        strides.append(strides[-1] * length)
    return tuple(strides[::-1])
