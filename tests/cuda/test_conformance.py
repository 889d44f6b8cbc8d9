"""Kernels against the core: the same calls, with arrays of a device and of the host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import pytest
from host_device import placed, read

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
import core_cases
from core_fuzz import Draw, name

from greenroom.compositing import tiles
from greenroom.cuda import DeviceArray, calls
from greenroom.cuda.program import kernels
from greenroom.errors import ImplausibleMatteError, ModelOutputError
from greenroom.matting import Plausibility
from greenroom.matting.decontamination import edge_maps
from greenroom.matting.grid_kernels import settle
from greenroom.media import pyramid, resizing
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
        copies = [None if one is None else placed(device, one) for one in arrays]
        found = settle(there, picture, *copies, **named)  # type: ignore[arg-type]
        np.testing.assert_allclose(read(there), history, rtol=1e-3, atol=1e-3)
        assert np.abs(read(picture).astype(int) - reference).max() <= 2
        assert np.abs(np.subtract(found, expected)).max() <= 1


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
