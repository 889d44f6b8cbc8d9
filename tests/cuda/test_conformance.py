"""Kernels against the core: the same calls, with arrays of a device and of the host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import cv2
import numpy as np
import pytest
from host_device import placed, read

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
import core_cases
from core_fuzz import Draw, name

from greenroom.compositing import tiles
from greenroom.cuda import DeviceArray, calls, grid_calls
from greenroom.cuda.program import kernels
from greenroom.errors import ImplausibleMatteError, ModelOutputError
from greenroom.matting import Plausibility
from greenroom.matting.decontamination import edge_maps
from greenroom.matting.evidence_kernels import BINS, learn, weigh
from greenroom.matting.grid_kernels import halve_part, mask_coverage, settle
from greenroom.matting.plausibility_kernels import (
    CellMemory,
    CellMemoryThere,
    compare,
    remember,
)
from greenroom.media import pyramid, resizing
from greenroom.media.matte import Matte
from greenroom.segmenters.segmenter import check_matte_there

if TYPE_CHECKING:
    from core_fuzz import Case
    from host_device import WatchedDevice

    Shape = tuple[int, int]

ROUNDS = 60
# The core's own cases whose wrappers call kernels for arrays of a device.
CASES: Final = {
    *("upsample", "halve", "shrink", "fill", "mix", "margin", "over_plane", "spill"),
    *("enlarge", "scale_chroma", "tone_rgb"),
}
# Rounding of contracted sums: a level of a byte, or a share of a real number.
LEVELS = 1
TOLERANCE = 2e-5


def check(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    """Check that two results are equal up to rounding."""
    if expected.dtype == np.uint8:
        assert np.abs(found.astype(int) - expected.astype(int)).max(initial=0) <= LEVELS
    else:
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * 255)


def make_meaningful(case: str, arrays: list[Any]) -> None:
    """Change what was drawn for a call to what has a meaning, for results that can be compared."""
    if case == "upsample":  # coverage
        arrays[0] %= 1.0
    if case == "spill":  # a composite is the background where nothing covers it
        _, _, background, matte, out = arrays
        out[matte == 0] = background[matte == 0]


@pytest.mark.parametrize(
    "case", [case for case in core_cases.CASES if name(case) in CASES], ids=name
)
def test_kernel_does_what_the_core_does(case: Case, device: WatchedDevice) -> None:
    """All that a call writes is the same up to rounding, for shapes and strides of every kind."""
    launched = len(device.launched)
    for seed in range(ROUNDS):
        ours, theirs = Draw(seed, tame=True), Draw(seed, tame=True)
        call, other = case(ours), case(theirs)
        for given in (ours.given, theirs.given):
            make_meaningful(name(case), [one.array for one in given])
        copies = {id(given.array): placed(device, given.array) for given in ours.given}
        call.run([copies.get(id(one), one) for one in call.arguments])
        other.run()
        for mine, wanted in zip(ours.given, theirs.given, strict=True):
            if mine.is_written:
                check(read(copies[id(mine.array)]), wanted.array)
    assert len(device.launched) > launched


def test_every_case_is_one_of_the_core() -> None:
    """No case is left out because of its name."""
    assert {name(case) for case in core_cases.CASES} >= CASES
    assert {"halve", "upsample", "blend"} <= kernels().keys()


def random_plane(seed: int, shape: Shape) -> Any:
    """Return a smooth plane with noise, whose rows are padded."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1] + 3]
    smooth = 120 + 70 * np.sin(x / 17 + seed) + 40 * np.cos(y / 11)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)[:, 1:-2]


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 1), (1, 9), (3, 200), (511, 1), (640, 480), (1025, 769), (854, 482)]
)
@pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "gray"])
def test_pyramid_is_equal(size: Shape, kind: str, device: WatchedDevice) -> None:
    """Small planes, halves and glance are those of the core, sample by sample."""
    width, height = size
    shape = height, width
    half = (height + 1) // 2, (width + 1) // 2
    shapes = [shape, *{"yuv420p": [half, half], "yuv444p": [shape, shape], "gray": []}[kind]]
    planes = tuple(random_plane(seed, of) for seed, of in enumerate(shapes))
    expected = pyramid.pyramid(planes)
    found: Any = pyramid.pyramid(tuple(placed(device, plane) for plane in planes))  # type: ignore[misc]
    assert found.halvings == expected.halvings
    for ours, theirs in zip(found.small, expected.small, strict=True):
        np.testing.assert_array_equal(read(ours), theirs)
    np.testing.assert_array_equal(read(found.halves), expected.halves)
    np.testing.assert_array_equal(read(found.glance), expected.glance)


@pytest.mark.parametrize("seed", range(20))
def test_resized_planes(seed: int, device: WatchedDevice) -> None:
    """A plane of any size is resized to any other as by the core."""
    rng = np.random.default_rng(seed)
    shape, wanted = ((int(a), int(b)) for a, b in rng.integers(1, 90, (2, 2)))
    plane: Any = random_plane(seed, shape)
    found: Any = resizing.resized(placed(device, plane), wanted)  # type: ignore[arg-type]
    check(read(found), resizing.resized(plane, wanted))


@pytest.mark.parametrize("seed", range(12))
def test_edge_colours(seed: int, device: WatchedDevice) -> None:
    """The colours beside soft edges are those of the core, also without person or room."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 60, 2))
    count = 1 if seed % 3 == 0 else 3
    planes = np.stack([random_plane(seed + n, (height, width)) for n in range(count)])
    matte = np.clip(rng.normal(128, 200, (height, width)), 0, 255).astype(np.uint8)
    if seed < 4:
        matte[...] = (0, 255, 1, 254)[seed]
    expected = edge_maps(planes, matte)
    found: Any = edge_maps(placed(device, planes), placed(device, matte))  # type: ignore[arg-type]
    np.testing.assert_allclose(read(found), expected, rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("straight", [False, True])
@pytest.mark.parametrize("with_maps", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (17, 33), (40, 95), (64, 128)])
def test_composites(
    shape: Shape, halved: bool, straight: bool, with_maps: bool, device: WatchedDevice
) -> None:
    """A composite of whole planes is that of the tile pass, within a level."""
    rng = np.random.default_rng(shape[0] + 2 * halved)
    small = (shape[0] + 1) // 2, (shape[1] + 1) // 2
    shapes = [shape, *(2 * [small if halved else shape])]
    front, back = ([random_plane(n + k, of) for n, of in enumerate(shapes)] for k in (0, 9))
    matte = np.clip(rng.normal(128, 160, shape), 0, 255).astype(np.uint8)
    maps, cell = None, 4
    if with_maps:
        cells = -(-shape[0] // cell) + 1, -(-shape[1] // cell) + 1
        maps = rng.uniform(10, 240, (3, 3, *cells)).astype(np.float32)
        maps[:, 2] = rng.uniform(0.1, 8, (3, *cells))
    out = [np.empty(of, np.uint8) for of in shapes]
    picture = tiles.Composition(front, back, out, maps, cell, straight=straight)
    tiles.make(shape, matte, picture=picture)
    cover = placed(device, matte)
    covers = [cover, *(2 * [cover])]
    if halved:
        quarter = device.empty(small)
        calls.halve(cover, quarter)
        covers = [cover, quarter, quarter]
    every = None if maps is None else placed(device, maps)
    for index, expected in enumerate(out):
        target = device.empty(expected.shape)
        calls.blend(
            placed(device, front[index]),
            placed(device, back[index]),
            covers[index],
            target,
            maps=None if every is None else every[index],
            side=cell // 2 if halved and index else cell,
            straight=straight,
        )
        check(read(target), expected)


@pytest.mark.parametrize("factor", [1.0, 1.4, 2.0, 3.7])
@pytest.mark.parametrize("shape", [(1, 1), (9, 17), (40, 95), (90, 160)])
def test_guided_mattes(shape: Shape, factor: float, device: WatchedDevice) -> None:
    """A full-size matte from the small grids is that of the tile pass, within a level."""
    rng = np.random.default_rng(shape[1])
    low = max(1, int(shape[0] / factor)), max(1, int(shape[1] / factor))
    half = (low[0] + 1) // 2, (low[1] + 1) // 2
    base, slope, reference = (
        rng.uniform(least, most, low).astype(np.float32)
        for least, most in ((-0.2, 1.2), (0.0, 0.02), (0.0, 255.0))
    )
    kinds = np.sort(rng.integers(0, 3, half, np.uint8), axis=1)
    luma = random_plane(3, shape)
    guide = tiles.Guide(base, slope, reference, kinds, luma, 2.0)
    expected = np.empty(shape, np.uint8)
    tiles.make(shape, guide.sorted_tiles(), guide=guide, whole=expected)
    maps = [placed(device, one) for one in (base, slope, reference)]
    found = calls.guided_matte(maps, placed(device, kinds), placed(device, luma), 2.0)
    check(read(found), expected)
    check(read(calls.coverage_bytes(maps[0])), guide.small())


@pytest.mark.parametrize("seed", range(40))
def test_guided_filter(seed: int, device: WatchedDevice) -> None:
    """Kinds and coverage are those of the core, and maps are wherever they matter."""
    case = next(case for case in core_cases.CASES if name(case) == "guide")
    call = case(Draw(seed, tame=True))
    reference, matte, picture, kinds, maps, coverage = call.arguments
    reference[...] = 255 * (reference % 1)
    matte[...] = np.clip(3 * (matte % 1) - 1, 0, 1)
    picture[...] = np.abs(picture) % (255 * 128)
    copies = [placed(device, array) for array in call.arguments]
    call.run(copies)
    call.run()
    differ = read(copies[3]) != kinds
    assert differ.mean() < 0.02  # at a limit, by rounding
    near = cv2.dilate((kinds == 2).astype(np.uint8), np.ones((3, 3), np.uint8))
    where = np.repeat(np.repeat(near, 2, 0), 2, 1)[: picture.shape[0], : picture.shape[1]] > 0
    where &= ~np.repeat(np.repeat(differ, 2, 0), 2, 1)[: picture.shape[0], : picture.shape[1]]
    scale = np.abs(maps[:, where]).max(axis=1, initial=1.0)[:, None]
    apart = np.abs(read(copies[4])[:, where] - maps[:, where]) / scale
    assert apart.max(initial=0) < 2e-3
    if not differ.any():
        assert np.abs(read(copies[5]).astype(int) - coverage).max(initial=0) <= LEVELS


@pytest.mark.parametrize("seed", range(40))
def test_temporal_filter(seed: int, device: WatchedDevice) -> None:
    """The steadied matte and the picture are those of the core, over several frames."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 70, 2))
    shape = height, width
    half = (height + 1) // 2, (width + 1) // 2
    history = np.zeros(height * width + 3 * half[0] * half[1], np.float32)
    reference = np.zeros(shape, np.int16)
    there, picture = placed(device, history), placed(device, reference)
    for number in range(6):
        luma = random_plane(number // 3, shape)
        half_luma = np.ascontiguousarray(random_plane(number // 3, half))
        coarse = np.clip(random_plane(seed + number, shape) / 90 - 1, 0, 1).astype(np.float32)
        prior = np.full(half, 0.5, np.float32)
        odds = rng.uniform(0.02, 0.98, half).astype(np.float32) if seed % 2 else None
        named: dict[str, Any] = {"surest": 0.997, "still": 3.0, "least": 0.2}
        named["is_nobody"] = seed == 0 and number == 4
        expected = settle(history, reference, coarse, prior, odds, half_luma, luma, **named)
        arrays: list[Any] = [coarse, prior, odds, half_luma, luma]
        copies: list[Any] = [None if one is None else placed(device, one) for one in arrays]
        there_coarse, _, *others = copies
        found = grid_calls.settle(there, picture, there_coarse, *others, **named)
        np.testing.assert_allclose(read(there), history, rtol=1e-3, atol=1e-3)
        assert np.abs(read(picture).astype(int) - reference).max() <= 2
        check_box(found, expected)


def check_box(found: grid_calls.Pending, expected: tuple[int, ...]) -> None:
    """Check a box up to a sample, which may be at the limit by rounding."""
    box = found.wait().tolist()
    assert np.abs(np.subtract(box if box[2] else (0, 0, 0, 0), expected)).max() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_masked_mattes(seed: int, device: WatchedDevice) -> None:
    """A mask takes the same from the steadied matte, and the same box is left."""
    rng = np.random.default_rng(seed)
    height, width = shape = (int(rng.integers(1, 70)), int(rng.integers(1, 70)))
    half = (height + 1) // 2, (width + 1) // 2
    history = np.zeros(height * width + 3 * half[0] * half[1], np.float32)
    steady = history[: height * width].reshape(shape)
    steady[...] = random_plane(seed, shape) / 255
    mask = (random_plane(seed + 1, half) > 120 + 200 * (seed == 3)).astype(np.uint8)
    there = placed(device, history)
    found = grid_calls.mask_matte(placed(device, np.ascontiguousarray(mask)), there, shape)
    mask_coverage(np.ascontiguousarray(mask), steady)
    halved = np.empty(half, np.float32)
    stats = halve_part(steady, (0, 0, width, height), halved)
    np.testing.assert_allclose(read(there)[: steady.size], steady.ravel(), atol=1e-6)
    np.testing.assert_allclose(
        read(there)[steady.size : steady.size + halved.size], halved.ravel(), atol=1e-6
    )
    check_box(found, stats[1:5])


EVIDENCE: Final[dict[str, Any]] = {"memory": 25.0, "share": 0.15, "unseen": 1e-4, "far": 3.0}


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("seed", range(12))
def test_evidence(seed: int, number: int, device: WatchedDevice) -> None:
    """What is learned of room and colours, and the probability, are those of the core."""
    rng = np.random.default_rng(seed)
    height, width = shape = (int(rng.integers(2, 60)), int(rng.integers(2, 60)))
    bins, deep, clear = BINS**number, 1 + seed % 5, 1 + seed % 3
    spread = np.full(number, 0.02, np.float32)
    terms = np.array([0.6, 0.5, 3, 2, seed % 2], np.float32)
    plate, seen = np.zeros((number, *shape), np.float32), np.zeros(shape, np.float32)
    colours, ratios = np.zeros((2, bins), np.float32), np.zeros(bins, np.float32)
    state: tuple[Any, ...] = tuple(placed(device, one) for one in (plate, seen, colours, ratios))
    room_there, seen_there, colours_there, ratios_there = state
    ours: Any = [device.empty(shape, np.float32) for _ in range(2)]
    theirs = [np.empty(shape, np.float32) for _ in range(2)]
    y, x = np.mgrid[:height, :width]
    for frame in range(6):
        planes = np.stack([random_plane(of + frame // 5, shape) for of in range(number)])
        apart = np.hypot((x - width / 2 - frame) / (0.3 * width), (y - height) / (0.8 * height))
        prior = np.clip(3 * (1.1 - apart), 0, 1).astype(np.float32)
        other = np.roll(prior, 1, 1) if seed % 2 else None
        planes_there, prior_there, other_there = (
            cast("Any", None if one is None else placed(device, one))
            for one in (planes, prior, other)
        )
        in_part = frame == 4
        core = plate, seen, ratios, prior, terms, theirs[0]
        weigh(planes, spread, *core, None if in_part else theirs[1], deep=deep, clear=clear)
        same = room_there, seen_there, ratios_there, prior_there, terms, ours[0]
        weigh(planes_there, spread, *same, None if in_part else ours[1], deep=deep, clear=clear)
        check(read(ours[0]), theirs[0])
        check(read(ours[1]), theirs[1])
        known = plate, seen, colours, ratios
        expected = learn(planes, prior, other, theirs[1], *known, clear=clear, **EVIDENCE)
        told = grid_calls.learn(
            *(planes_there, prior_there, other_there, ours[1]),
            *(room_there, seen_there, colours_there, ratios_there),
            clear=clear,
            **EVIDENCE,
        )
        np.testing.assert_allclose(grid_calls.learned(told), expected, rtol=1e-5, atol=0.01)
        for mine, wanted in zip(state, known, strict=True):
            check(read(mine), wanted)
    assert seen.max() > 0


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("seed", range(12))
def test_cells_of_plausibility(seed: int, number: int, device: WatchedDevice) -> None:
    """Marks and counts, by which mattes are refused, are those of the core, frame after frame."""
    rng = np.random.default_rng(seed)
    high, wide = half = (int(rng.integers(1, 50)), int(rng.integers(1, 50)))
    shape = (high + 1) // 2, (wide + 1) // 2
    size = int(rng.integers(2 * high, 7 * high)), int(rng.integers(2 * wide, 7 * wide))
    core, there = CellMemory.empty(number, shape), CellMemoryThere(number, shape, device)
    limits = {"alike": 4.0, "texture": 6.0, "trusted": 3.0, "frames": 25.0}
    y, x = np.mgrid[: size[0], : size[1]]
    marks: set[int] = set()
    for frame in range(9):
        planes = np.stack([random_plane(of, half) for of in range(number)]) + np.uint8(frame // 3)
        apart = np.hypot((x - frame * size[1] / 9) / (0.3 * size[1]), (y - size[0]) / size[0])
        values = np.clip(300 * (1 - apart), 0, 255).astype(np.uint8)
        if frame == 8:  # the room is taken for somebody, half of it rightly
            values[...] = 255
            planes[:, :, wide // 2 :] ^= np.uint8(64)
        exempt = (random_plane(9, shape) > 150).astype(np.uint8) if frame == 7 else None
        sampled = Matte(values).sampled(shape)
        if exempt is not None:
            sampled[exempt > 0] = 12
        planes_there: Any = placed(device, planes)
        found = there.compare(planes_there, placed(device, values), exempt, **limits)  # type: ignore[arg-type]
        expected = compare(planes, sampled, core, **limits)
        assert (found.claimed, found.surely) == (expected.claimed, expected.surely)
        np.testing.assert_array_equal(read(there.values), sampled)
        assert np.count_nonzero(read(there.marks) != core.marks) <= 1  # at a limit, by rounding
        assert abs(found.plain - expected.plain) <= 1
        assert abs(found.textured - expected.textured) <= 1
        wrong = (core.marks == 1).astype(np.uint8) if frame == 5 else None
        remember(core, sampled, wrong, 250.0)
        there.remember(wrong, 250.0)
        marks |= set(core.marks.ravel().tolist())
    if min(shape) > 8:
        assert marks == {0, 1, 2, 3}


@pytest.mark.parametrize("wrong", ["shape", "type", "host"])
def test_wrong_arrays_are_refused(wrong: str, device: WatchedDevice) -> None:
    """An array of another shape, type or memory is a `TypeError`, and no kernel runs."""
    plane: Any = device.empty((6, 8))
    out: Any = {
        "shape": device.empty((3, 5)),
        "type": device.empty((3, 4), np.float32),
        "host": np.empty((3, 4), np.uint8),
    }[wrong]
    with pytest.raises(TypeError, match="expected a contiguous array"):
        calls.halve(plane, out)
    assert not device.launched
    assert isinstance(plane, DeviceArray)


@pytest.mark.parametrize("seed", range(24))
def test_checks_of_answers(seed: int, device: WatchedDevice) -> None:
    """A matte on a device is taken or refused as one of the host, whatever its strides and size."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(8, 300, 2))
    values = np.clip(rng.normal(0.5, 2.0 if seed % 3 else 0.4, (width, height, 2)), 0, 1)
    if seed % 2:  # one person
        values[...] = (
            np.hypot(*np.mgrid[-1 : 1 : width * 1j, -1 : 1 : height * 1j])[..., None] < 0.6
        )
    coarse = values.astype(np.float32).T[1]
    coarse[3, 5] = (1e-9, 1.0005, -0.0005, 0.3, np.nan, 1.01, -np.inf, -0.01)[seed % 8]

    def outcome(taken: Any) -> object:
        try:
            found = check_matte_there(taken)
            Plausibility().check(found, is_whole=True)
        except (ModelOutputError, ImplausibleMatteError) as error:
            return type(error)
        return calls.on_host(found)[0].tobytes()

    assert outcome(placed(device, coarse)) == outcome(coarse)
