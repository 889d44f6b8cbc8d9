"""Arrays and transfers of a device."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from host_device import HostDevice, LazyDevice, read
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.cuda import DeviceArray, calls
from greenroom.errors import DeviceError

if TYPE_CHECKING:
    from host_device import WatchedDevice

shapes = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)
kinds = st.sampled_from(["u1", "f4", "i4", "i2"])


def values(shape: tuple[int, ...], kind: str, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return an array of different values."""
    return np.random.default_rng(seed).integers(0, 100, shape).astype(kind)


@pytest.mark.usefixtures("device")
class TestTransfers:
    """To the device and back."""

    @given(st.lists(st.tuples(shapes, kinds), min_size=1, max_size=4), st.booleans())
    def test_arrays_come_back_as_they_were(
        self, device: WatchedDevice, made: list[tuple[tuple[int, ...], str]], apart: bool
    ) -> None:
        """Several arrays of any types go up and come down together, padded rows too."""
        arrays = [values(shape, kind, seed) for seed, (shape, kind) in enumerate(made)]
        if apart:
            arrays = [np.repeat(array, 2, -1)[..., ::2] for array in arrays]
        uploaded = device.upload(*arrays)
        for array, own in zip(arrays, uploaded, strict=True):
            assert (own.shape, own.dtype) == (array.shape, array.dtype)
            assert own.is_contiguous
        for array, back in zip(arrays, device.download(*uploaded), strict=True):
            assert_array_equal(back, array)

    def test_results_share_no_memory(self, device: WatchedDevice) -> None:
        """A download is not changed by later ones, nor an upload by changes of its array."""
        source = values((4, 5), "u1")
        (first,) = device.upload(source)
        expected = source.copy()
        source[...] = 7
        (one,) = device.download(first)
        (other,) = device.download(*device.upload(source))
        assert_array_equal(one, expected)
        assert_array_equal(other, source)

    def test_a_large_upload_leaves_no_trace_in_a_small_one(self) -> None:
        """Memory that was used for more is used again for less, and only that much is copied."""
        device = HostDevice()
        device.upload(values((300, 300), "u1"))
        before = len(device.moved)
        (small,) = device.upload(values((2, 2), "u1"))
        assert device.moved[before:] == [4]
        assert_array_equal(device.download(small)[0], values((2, 2), "u1"))

    def test_memory_is_used_again(self) -> None:
        """Frames of one size need no new memory, whether they are dropped or replaced."""
        device = HostDevice()
        for _ in range(20):
            uploaded = device.upload(values((50, 60), "u1"))
            device.download(*uploaded)
            del uploaded
            gc.collect()
        assert len(device._blocks) <= 2  # that of a download is released by the next one

    def test_memory_is_not_used_again_while_somebody_has_it(self, device: WatchedDevice) -> None:
        """A view keeps its memory, and a download that goes on that of its arrays."""
        (array,) = device.upload(values((4, 6), "u1"))
        view = array[1:3, 2:]
        download = device.start_download(array)
        del array
        others = [device.upload(np.full((4, 6), 99, np.uint8)) for _ in range(3)]
        assert_array_equal(device.download(calls.copied(view))[0], values((4, 6), "u1")[1:3, 2:])
        assert_array_equal(download.wait()[0], values((4, 6), "u1"))
        assert len(others) == 3

    def test_constants_are_uploaded_once(self) -> None:
        """A table with the same values is not moved again."""
        device = HostDevice()
        first = device.constant(values((9,), "f4"))
        moved = len(device.moved)
        assert device.constant(values((9,), "f4")) is first
        assert len(device.moved) == moved
        assert device.constant(values((9,), "i4")) is not first


@pytest.mark.usefixtures("device")
class TestStreams:
    """Streams that work as late as they may."""

    def test_downloads_wait_for_kernels_and_these_for_uploads(self) -> None:
        """What comes back is what the kernels made of what was sent last."""
        lazy = LazyDevice()
        for seed in range(5):
            plane = values((30, 40), "u1", seed)
            (there,) = lazy.upload(plane)
            copy = calls.copied(there)
            plane[...] = 0
            assert_array_equal(lazy.download(copy)[0], values((30, 40), "u1", seed))
        lazy.check_margins()

    def test_kernels_wait_for_uploads(self) -> None:
        """A kernel that runs before anything else is asked for has what was sent."""
        lazy = LazyDevice()
        (there,) = lazy.upload(values((30, 40), "u1"))
        copy = calls.copied(there)
        lazy._work.record().wait()
        assert_array_equal(read(copy), values((30, 40), "u1"))

    def test_uploads_do_not_overwrite_what_kernels_still_read(self) -> None:
        """Memory of an array that was dropped is written again only when it has been read."""
        lazy = LazyDevice()
        kept = []
        for seed in range(5):
            (there,) = lazy.upload(values((30, 40), "u1", seed))
            kept.append(calls.copied(there))
            del there
        for seed, back in enumerate(lazy.download(*kept)):
            assert_array_equal(back, values((30, 40), "u1", seed))
        assert len(lazy._blocks) < 2 * len(kept) + 1

    def test_a_download_that_nobody_waits_for_keeps_its_array(self) -> None:
        """Its memory is not given to a kernel before the copy has ended."""
        lazy = LazyDevice()
        (there,) = lazy.upload(values((30, 40), "u1"))
        download = lazy.start_download(there)
        del there
        other = lazy.empty((30, 40))
        calls.fill_plane(7, other)
        lazy._work.record().wait()
        assert_array_equal(download.wait()[0], values((30, 40), "u1"))


class TestArrays:
    """Views of arrays, as NumPy's."""

    @given(shapes, st.data())
    def test_views_are_those_of_numpy(
        self, device: WatchedDevice, shape: tuple[int, ...], data: st.DataObject
    ) -> None:
        """Slices and whole numbers give the same part as of a NumPy array."""
        array = values(shape, "i2")
        (own,) = device.upload(array)
        index = tuple(
            data.draw(
                st.integers(0, length - 1)
                | st.builds(slice, st.integers(-3, 9), st.none() | st.integers(-3, 12))
                | st.builds(slice, st.none(), st.none(), st.integers(1, 3))
            )
            for length in shape[: data.draw(st.integers(0, len(shape)))]
        )
        assert_array_equal(read(own[index]), array[index])

    def test_nothing_is_downloaded_by_accident(self, device: WatchedDevice) -> None:
        """NumPy does not read an array of a device."""
        array = device.empty((2, 3))
        with pytest.raises(TypeError, match="download"):
            np.asarray(array)
        with pytest.raises(TypeError):
            np.ones((2, 3)) + array

    def test_reshaping_needs_contiguous_memory(self, device: WatchedDevice) -> None:
        """A view in another shape is one of the same values."""
        (array,) = device.upload(values((4, 6), "u1"))
        assert_array_equal(device.download(array.reshape(8, 3))[0].ravel(), values((24,), "u1"))
        with pytest.raises(TypeError, match="is not"):
            array[:, 1:].reshape(20)
        with pytest.raises(TypeError, match="is not"):
            array.reshape(5, 5)

    def test_memory_of_others_is_taken_as_it_is(self, device: WatchedDevice) -> None:
        """An array in memory of another library reads it, and keeps its owner."""
        (array,) = device.upload(values((3, 4), "f4"))
        adopted = device.adopt(array.address, (4, 3), "f4", array)
        assert adopted.memory is array
        assert_array_equal(device.download(adopted)[0].ravel(), values((12,), "f4"))

    @pytest.mark.parametrize("index", [3, -1, slice(None, None, -1)])
    def test_indices_outside_are_refused(self, device: WatchedDevice, index: int | slice) -> None:
        """What is not a view forwards is an error."""
        with pytest.raises(IndexError):
            device.empty((3, 4))[index]


class TestKernels:
    """How kernels are called."""

    def test_arguments_are_checked(self, device: WatchedDevice) -> None:
        """A wrong number of arguments, or an array of another device, is an error."""
        with pytest.raises(TypeError, match="takes 5 arguments, not 1"):
            device.launch("halve", (1, 1), 3)
        other: Any = object.__new__(type(device))
        array = DeviceArray(other, (2, 2), (2, 1), np.dtype(np.uint8), 0, None)
        with pytest.raises(TypeError, match="expected an array on "):
            device.launch("halve", (1, 1), array, 2, 2, 2, device.empty((1, 1)))

    def test_a_failing_kernel_is_an_error_of_the_device(self, device: WatchedDevice) -> None:
        """What the device raises reaches the caller."""
        device.fails_at = "halve"
        with pytest.raises(DeviceError, match="lost"):
            calls.halve(device.empty((4, 4)), device.empty((2, 2)))


def test_cupy_is_not_imported_without_a_device() -> None:
    """Importing greenroom and its kernels loads no library of a GPU."""
    code = (
        "import sys, greenroom.cuda, greenroom.media.frame, greenroom.engine.engine;"
        "sys.exit(any(name.split('.')[0] in ('cupy', 'cuda', 'nvidia') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
