"""The loops that tell what can be believed, against NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from grids import somebody
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom.matting.plausibility_kernels import (
    CHANGED,
    CLAIMED,
    PLAIN,
    ROOM,
    SURELY,
    TEXTURED,
    CellMemory,
    compare,
    look_at,
    remember,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

seeds = st.integers(0, 2**31)
KINDS = st.sampled_from(["some", "nobody", "everybody", "noise"])


def border_of(surely: NDArray[np.bool_]) -> float:
    """Return the share of the outermost cells."""
    around = [surely[0], surely[-1], surely[:, 0], surely[:, -1]]
    return float(np.concatenate(around).mean())


@settings(deadline=None)
@given(st.tuples(st.integers(8, 70), st.integers(8, 70)), st.integers(1, 7), KINDS, seeds)
def test_look_at(shape: tuple[int, int], step: int, kind: str, seed: int) -> None:
    """Shares of what is unsure, of edges and of what is covered, at every so many samples."""
    answer = somebody(shape, seed, kind)
    unsure, edges, surely = look_at(answer, step, 0.1, 0.9)
    some = answer[::step, ::step]
    hard = some >= 0.5
    assert unsure == pytest.approx(((some >= np.float32(0.1)) & (some <= np.float32(0.9))).mean())
    down, across = np.mean(hard[1:] != hard[:-1]), np.mean(hard[:, 1:] != hard[:, :-1])
    assert edges == pytest.approx(max(down, across))
    assert surely == pytest.approx((hard.mean(), border_of(hard), hard[0].mean()))


@pytest.mark.parametrize("step", [0, 8, -1])
def test_steps_lie_within(step: int) -> None:
    """The core is never told to look outside of an answer."""
    with pytest.raises(ValueError, match="in steps of"):
        look_at(np.zeros((8, 9), np.float32), step, 0.1, 0.9)


@settings(deadline=None, max_examples=150)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 90)),
    st.sampled_from([1, 3]),
    KINDS,
    seeds,
)
def test_compare(shape: tuple[int, int], number: int, kind: str, seed: int) -> None:
    """What is claimed is marked by how the room looked there, and the rest is learned."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, 256, (number, *shape), dtype=np.uint8)
    height, width = (shape[0] + 1) // 2, (shape[1] + 1) // 2
    padded = np.pad(planes, ((0, 0), (0, shape[0] % 2), (0, shape[1] % 2)), mode="edge")
    blocks = padded.reshape(number, height, 2, width, 2).astype(int)
    frame = ((blocks.sum(axis=(2, 4)) + 2) // 4).astype(np.uint8)
    near = frame + rng.choice([0, 2, 30], (number, height, width))
    room = (near + rng.random(near.shape)).astype(np.float32)
    held = (frame + rng.choice([0, 30], (number, height, width))).astype(np.float32)
    seen, owned = rng.integers(0, 12, (2, height, width)).astype(np.float32)
    values = (255 * somebody((height, width), seed, kind)).astype(np.uint8)
    cells = np.empty((number, height, width), np.uint8)
    marks = np.empty((height, width), np.uint8)
    new = room.copy(), seen.copy(), held.copy(), owned.copy()
    terms: Any = {"alike": 4.0, "texture": 6.0, "trusted": 8.0, "frames": 9.0}
    found = compare(planes, values, CellMemory(*new, cells, marks), **terms)
    assert_array_equal(cells, frame)
    across, down = np.zeros(room.shape), np.zeros(room.shape)
    across[..., :-1] = np.abs(np.diff(room.astype(float), axis=2))
    down[:, :-1] = np.abs(np.diff(room.astype(float), axis=1))
    steps = (across + down).sum(axis=0)
    of_room = np.abs(frame - room).max(axis=0)
    alike, textured = of_room <= 4, steps >= 6
    expected = np.where(alike, np.where(textured, TEXTURED, PLAIN), np.where(textured, CHANGED, 0))
    expected[(values < CLAIMED) | (seen < 8)] = 0
    sure = np.abs(steps - 6) > 1e-3
    assert_array_equal(marks[sure], expected[sure])
    is_room, is_held = values < ROOM, (owned > 1) & (np.abs(frame - held).max(axis=0) <= 4)
    assert_allclose(new[3], np.where(is_room, np.where(is_held, owned - 1, 0), owned))
    learned = is_room & ~is_held
    times = np.where(alike, np.minimum(seen + 1, 9), 1)
    assert_allclose(new[1], np.where(learned, times, seen))
    averaged = np.where(learned, room + (frame - room) / times, room)
    fits = learned & alike
    averaged[0] += (frame[0] - room[0])[fits].mean() / 2 if fits.any() else 0
    assert_allclose(new[0], averaged, rtol=1e-5, atol=1e-3)
    assert_array_equal(new[2], held)
    surely = values >= SURELY
    assert found.claimed == (values >= CLAIMED).sum()
    assert (found.plain, found.textured) == ((marks == PLAIN).sum(), (marks == TEXTURED).sum())
    assert found.surely == pytest.approx((surely.mean(), border_of(surely), surely[0].mean()))


def test_cells_of_another_size_are_an_error() -> None:
    """A frame is only compared with cells of its own size."""
    memory = CellMemory.empty(3, (4, 5))
    terms: Any = {"alike": 4.0, "texture": 6.0, "trusted": 8.0, "frames": 9.0}
    with pytest.raises(TypeError, match="does not fit"):
        compare(np.zeros((3, 9, 10), np.uint8), np.zeros((5, 5), np.uint8), memory, **terms)


@settings(deadline=None)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), KINDS, st.booleans(), seeds)
def test_remember(shape: tuple[int, int], kind: str, all_right: bool, seed: int) -> None:
    """What is surely somebody's, and not wrong, is what it looks like now."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
    values = (255 * somebody(shape, seed, kind)).astype(np.uint8)
    wrong = rng.integers(0, 2, shape, dtype=np.uint8)
    held, owned = rng.random((3, *shape), np.float32), rng.random(shape, np.float32)
    new_held, new_owned = held.copy(), owned.copy()
    room, seen, marks = np.zeros_like(held), np.zeros_like(owned), np.zeros(shape, np.uint8)
    memory = CellMemory(room, seen, new_held, new_owned, cells, marks)
    share = remember(memory, values, None if all_right else wrong, 250.0)
    mine = (values >= SURELY) & ((wrong == 0) | all_right)
    assert share == pytest.approx(mine.mean())
    assert_array_equal(new_held, np.where(mine, cells, held))
    assert_array_equal(new_owned, np.where(mine, np.float32(250), owned))
