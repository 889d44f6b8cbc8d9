"""Arrays that are given to the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom import core

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_only() -> NDArray[np.uint8]:
    """Return an array of memory that nobody may write to."""
    return np.frombuffer(bytes(range(12)), np.uint8).reshape(3, 4)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4), np.float32),
        np.zeros((3, 4), np.uint8)[1:, 2:],
        np.zeros(7)[::-1],
        np.zeros((0, 4), np.float32),
        np.array(3.0),
        read_only(),
        np.zeros((2, 2), np.uint8).view(np.recarray),
    ],
)
def test_address(array: NDArray[Any]) -> None:
    """The address is the one that NumPy tells, of views and of read-only memory as well."""
    assert core.address(array) == array.ctypes.data


def test_what_fits_has_an_address() -> None:
    """Of what is of the type and shape that is expected the address is returned."""
    grid = np.zeros((4, 6), np.float32)
    assert core.contiguous(grid, "f", (4, 6), writable=True) == grid.ctypes.data
    part = grid[1:3, 2:5]
    assert core.plane(part, (2, 3), kind="f", writable=True) == part.ctypes.data
    described = grid.view(np.dtype(np.float32, metadata={"unit": "level"}))
    assert core.contiguous(described, "f", (4, 6)) == grid.ctypes.data
    assert core.plane(described, kind="f") == grid.ctypes.data


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (np.zeros((4, 6), np.float64), {}),
        (np.zeros((4, 6), np.float32), {"shape": (6, 4)}),
        (np.zeros((4, 6), np.float32)[:, 1:], {}),
        (np.zeros((4, 6), np.float32).T, {}),
    ],
)
def test_what_does_not_is_refused(array: NDArray[Any], options: dict[str, Any]) -> None:
    """Another type, another shape and samples that lie elsewhere are a TypeError."""
    with pytest.raises(TypeError, match="the core expected a contiguous array"):
        core.contiguous(array, "f", **options)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 6), np.uint8)[:, ::2],
        np.zeros((4, 6), np.uint8)[::-1],
        np.zeros(6, np.uint8),
        np.zeros((4, 6), np.int8),
    ],
)
def test_planes_have_samples_side_by_side(array: NDArray[Any]) -> None:
    """A plane's rows may be padded, and nothing else."""
    with pytest.raises(TypeError, match="the core expected a plane"):
        core.plane(array)


def test_planes_are_checked_at_once() -> None:
    """Addresses and distances are those of each plane; single columns of any distance count."""
    wide = np.zeros((4, 8), np.uint8)
    given = wide, wide[:, 2:6], wide[1:3, ::8]
    shapes = [array.shape for array in given]
    addresses, distances = core.planes(given, shapes, writable=True)
    assert addresses == tuple(array.ctypes.data for array in given)
    assert distances == (8, 8, 8)
    for wrong in (wide[:, ::2], wide[::-1], wide.view(np.int8), wide[0], read_only()):
        with pytest.raises(TypeError, match="the core expected a plane"):
            core.planes([wrong], [wrong.shape], writable=True)
    with pytest.raises(TypeError, match="the core expected a plane"):
        core.planes([wide], [(4, 7)])


def test_read_only_memory_is_not_written_to() -> None:
    """What the core would write to has to be writable."""
    with pytest.raises(TypeError, match="read only"):
        core.plane(read_only(), writable=True)
    with pytest.raises(TypeError, match="read only"):
        core.contiguous(read_only(), "B", writable=True)
