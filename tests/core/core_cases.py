"""A call of every function of the core, for `core_fuzz`: one case each, or a few.

A case draws legal arguments and returns a call. Arrays that the core writes to are drawn with
``written=True``. Whoever adds a function to the core adds a case here; a test says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from core_fuzz import Call, Draw

from greenroom import core
from greenroom.compositing import blend_kernels, tiles
from greenroom.effects import effect_kernels
from greenroom.matting import (
    cadence_kernels,
    decontamination,
    evidence_kernels,
    following,
    grid_kernels,
    guided_kernels,
    people_kernels,
    plausibility_kernels,
)
from greenroom.media import cuts, pyramid, resampling, resizing
from greenroom.segmenters import chroma_kernels as chroma
from greenroom.segmenters import tensor_kernels as segmenters

if TYPE_CHECKING:
    from core_fuzz import Case

CASES: Final[list[Case]] = []


def case(function: Case) -> Case:
    """Put a case into the table."""
    CASES.append(function)
    return function


def halved(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of a plane of half the size."""
    return (shape[0] + 1) // 2, (shape[1] + 1) // 2


def cells(shape: tuple[int, int]) -> tuple[int, int]:
    """Return how many cells of the chroma key there are."""
    return -(-shape[0] // chroma.CELL), -(-shape[1] // chroma.CELL)


@case
def upsample(draw: Draw) -> Call:
    """Any size to any other."""
    values = draw.grid(draw.shape())
    return Call(resampling.upsample, (values, draw.grid(draw.shape(), "B", written=True)))


@case
def halve(draw: Draw) -> Call:
    """Odd and even sizes."""
    shape = draw.shape()
    return Call(resampling.halve, (draw.plane(shape), draw.grid(halved(shape), "B", written=True)))


@case
def changes(draw: Draw) -> Call:
    """Any box, an empty one too."""
    shape = draw.shape()
    (left, right), (top, bottom) = (
        sorted(draw.integer(0, length) for _ in range(2)) for length in (shape[1], shape[0])
    )
    planes = draw.grid(shape, "B"), draw.grid(shape, "B")
    return Call(cuts.changes, (*planes, (left, top, right, bottom)))


@case
def shrink(draw: Draw) -> Call:
    """Any size to one that is no larger."""
    shape = draw.shape()
    small = draw.integer(1, shape[0]), draw.integer(1, shape[1])
    return Call(resampling.shrink, (draw.plane(shape), draw.grid(small, written=True)))


@case
def small_planes(draw: Draw) -> Call:
    """Take frames that are halved, made of two thirds, both or neither."""
    shape = draw.shape()
    if draw.integer(0, 5) == 0:
        shape = draw.integer(250, 800), draw.integer(250, 800)
    chroma_shape = halved(shape) if draw.flag() else shape
    shapes = [shape, chroma_shape, chroma_shape] if draw.flag() else [shape]
    size = halved(pyramid.working_size(shape[::-1])[::-1])
    out = draw.grid((len(shapes), *size), "B", written=True)

    def run(out: Any, *planes: Any) -> None:
        core.contiguous(out, "B", (len(shapes), *size), writable=True)
        np.copyto(out, pyramid.pyramid(planes).halves)

    return Call(run, (out, *(draw.plane(of) for of in shapes)))


@case
def resize(draw: Draw) -> Call:
    """Take any size to any other."""
    shape = draw.shape()

    def run(plane: Any, out: Any) -> None:
        core.contiguous(out, "B", shape, writable=True)
        np.copyto(out, resizing.resized(plane, shape))

    return Call(run, (draw.plane(draw.shape()), draw.grid(shape, "B", written=True)))


@case
def fill(draw: Draw) -> Call:
    """Take planes of three sizes."""
    planes = [draw.plane(draw.shape()) for _ in range(3)]
    out = draw.grid((*draw.shape(50), 3), written=True)

    def run(first: Any, second: Any, third: Any, *others: Any) -> None:
        resizing.fill((first, second, third), *others)

    return Call(run, (*planes, draw.grid((3, 4)), draw.grid((3, 2)), out))


@case
def enlarge(draw: Draw) -> Call:
    """Any part of a plane, within it or not."""
    source, target = draw.shape(), draw.shape()
    place = (
        draw.real(-10, source[1] + 10),
        draw.real(-10, source[0] + 10),
        draw.real(0.01, 3),
    )
    arguments = (draw.plane(source), *place, draw.flag(), draw.plane(target, written=True))
    return Call(effect_kernels.enlarge, arguments)


@case
def scale_chroma(draw: Draw) -> Call:
    """Any plane."""
    shape = draw.shape()
    arguments = draw.plane(shape), draw.grid(shape, "B"), draw.plane(shape, written=True)
    return Call(effect_kernels.scale_chroma, arguments)


@case
def tone_rgb(draw: Draw) -> Call:
    """Any planes and tables."""
    shape = draw.shape()
    sources = [draw.plane(shape) for _ in range(3)]
    targets = [draw.plane(shape, written=True) for _ in range(3)]
    coefficients = draw.grid((3,), values=(0.0, 0.5))
    arguments = (*sources, coefficients, draw.grid((256,)), draw.grid((256,)), *targets)
    return Call(effect_kernels.tone_rgb, arguments)


@case
def mix(draw: Draw) -> Call:
    """Whole and real numbers, channels together and apart."""
    shape, planar, kind = draw.shape(), draw.flag(), "B" if draw.flag() else "f"
    planes = [draw.grid(shape, "B") for _ in range(3)]
    limits = draw.grid((3, 2), values=(0.0, 255.0))
    limits.sort(axis=1)
    out = draw.grid((3, *shape) if planar else (*shape, 3), kind, written=True)

    def run(first: Any, second: Any, third: Any, *others: Any) -> None:
        segmenters.mix((first, second, third), *others, planar=planar)

    return Call(run, (*planes, draw.grid((3, 4)), limits, out))


@case
def margin(draw: Draw) -> Call:
    """Any number of classes."""
    channels, shape = draw.integer(1, 9), draw.shape(40)
    handicaps = draw.grid((2, channels), values=(-1.0, 0.0))
    logits = draw.strided((*shape, channels))
    return Call(segmenters.margin, (logits, handicaps, draw.grid(shape, written=True)))


@case
def difference(draw: Draw) -> Call:
    """Any foreground."""
    shape = draw.shape()
    planes = [draw.grid(shape, "B") for _ in range(3)]

    def run(foreground: Any, first: Any, second: Any, third: Any, *others: Any) -> None:
        segmenters.difference(foreground, (first, second, third), *others)

    others = draw.grid((3, 4)), draw.grid((3, *shape), written=True)
    return Call(run, (draw.strided((*shape, 3)), *planes, *others))


def screen(draw: Draw) -> Any:
    """Return what is known of a screen as a whole; a length of hardly anything amplifies all."""
    return draw.grid((4,), values=(0.5, 1.0) if draw.tame else None)


@case
def screen_statistics(draw: Draw) -> Call:
    """Take cells that the plane's edge cuts."""
    shape = draw.shape()
    key, out = draw.grid((3,)), draw.grid((chroma.STATISTICS, *cells(shape)), written=True)
    return Call(chroma.statistics, (*(draw.plane(shape) for _ in range(3)), key, out))


@case
def screen_coverage(draw: Draw) -> Call:
    """Take maps of any numbers."""
    shape = draw.shape()
    maps, out = draw.grid((chroma.MAPS, *cells(shape))), draw.grid(shape, written=True)
    arguments = draw.plane(shape), draw.plane(shape), screen(draw), maps, out
    return Call(chroma.coverage, arguments)


@case
def screen_changes(draw: Draw) -> Call:
    """Take maps of any numbers."""
    shape = draw.shape()
    maps, out = draw.grid((chroma.MAPS, *cells(shape))), draw.grid((3, *shape), "B", written=True)
    arguments = draw.plane(shape), draw.plane(shape), screen(draw), maps, out
    return Call(chroma.changes, arguments)


@case
def add_changes(draw: Draw) -> Call:
    """Take changes of the plane's size, and of half of it."""
    shape = draw.shape()
    change = draw.grid(shape if draw.flag() else halved(shape), "B")
    return Call(chroma.add, (draw.plane(shape), change, draw.plane(shape, written=True)))


@case
def over_plane(draw: Draw) -> Call:
    """Any planes."""
    shape = draw.shape()
    sources = draw.plane(shape), draw.plane(shape), draw.grid(shape, "B")
    return Call(blend_kernels.over, (*sources, draw.plane(shape, written=True)))


@case
def spill(draw: Draw) -> Call:
    """Take light of any size, and any planes."""
    shape, small = draw.shape(), draw.shape(40)
    light = draw.grid(small, values=(0.0, 255.0) if draw.tame else None)
    weight = draw.grid(small, values=(0.0, 1.0) if draw.tame else None)
    planes = draw.plane(shape), draw.grid(shape, "B")
    arguments = light, weight, *planes, draw.flag(), draw.plane(shape, written=True)
    return Call(blend_kernels.spill, arguments)


@case
def find_parts(draw: Draw) -> Call:
    """Cells with any roles."""
    shape = draw.shape(40)
    rows = halved(shape)[0] * halved(shape)[1] + 1
    arguments = (
        *(draw.grid(shape), draw.real(0.1, 0.9), draw.grid(shape, "B")),
        *(
            draw.grid(shape, "i", written=True),
            draw.grid((rows, people_kernels.COLUMNS), "i", written=True),
        ),
    )
    return Call(people_kernels.find_parts, arguments)


@case
def divide(draw: Draw) -> Call:
    """Any costs and roles."""
    shape = draw.shape(40)
    planes, costs = draw.grid((draw.integer(1, 3), *shape), "B"), draw.grid(shape, "B")
    roles = draw.grid(shape, "B", written=True)
    if draw.tame or draw.flag():
        roles %= people_kernels.OPEN + 1
    return Call(people_kernels.divide, (planes, costs, roles))


@case
def look_at(draw: Draw) -> Call:
    """Any steps that lie within."""
    shape = draw.integer(2, 60), draw.integer(2, 60)
    low, high = draw.real(0.01, 0.5), draw.real(0.5, 0.99)
    arguments = (draw.grid(shape), draw.integer(1, min(shape) - 1), low, high)
    return Call(plausibility_kernels.look_at, arguments)


def _cell_memory(draw: Draw, number: int, shape: tuple[int, int]) -> list[Any]:
    """Draw the arrays of what is known of each cell."""
    every = (number, *shape)
    return [
        *(draw.grid(of, written=True) for of in (every, shape, every, shape)),
        *(draw.grid(of, "B", written=True) for of in (every, shape)),
    ]


@case
def compare_with_room(draw: Draw) -> Call:
    """Any number of planes."""
    number, shape = draw.integer(1, 3), draw.shape()
    small = halved(shape)
    named = {
        "alike": draw.real(1, 20),
        "texture": draw.real(1, 50),
        "trusted": draw.real(1, 10),
        "frames": draw.real(10, 100),
    }

    def run(planes: Any, values: Any, *known: Any) -> None:
        memory = plausibility_kernels.CellMemory(*known)
        plausibility_kernels.compare(planes, values, memory, **named)

    known = _cell_memory(draw, number, small)
    return Call(run, (draw.grid((number, *shape), "B"), draw.grid(small, "B"), *known))


@case
def remember(draw: Draw) -> Call:
    """With what is wrong, and without."""
    number, shape, times = draw.integer(1, 3), draw.shape(), draw.real(1, 300)
    wrong = draw.grid(shape, "B", values=(0, 1)) if draw.flag() else None

    def run(values: Any, wrong: Any, *known: Any) -> None:
        memory = plausibility_kernels.CellMemory(*known)
        plausibility_kernels.remember(memory, values, wrong, times)

    return Call(run, (draw.grid(shape, "B"), wrong, *_cell_memory(draw, number, shape)))


@case
def is_clear(draw: Draw) -> Call:
    """Any coverage."""
    arguments = (
        *(draw.grid(draw.shape()), draw.real(0.1, 0.9), draw.real(1, 30), draw.real(0.01, 0.5)),
        draw.integer(0, 40),
    )
    return Call(people_kernels.is_clear, arguments)


@case
def place(draw: Draw) -> Call:
    """Any size to any other, padded."""
    values, out = draw.grid(draw.shape()), draw.plane(draw.shape(), "f", written=True)
    return Call(grid_kernels.place, (values, out))


@case
def halve_part(draw: Draw) -> Call:
    """Any part, an empty one too."""
    shape = draw.shape()
    (left, right), (top, bottom) = (
        sorted(draw.integer(0, length) for _ in range(2)) for length in (shape[1], shape[0])
    )
    arguments = (
        *(draw.grid(shape), (left, top, right, bottom)),
        *(draw.grid(halved(shape), written=True), draw.integer(1, 9)),
    )
    return Call(grid_kernels.halve_part, arguments)


@case
def put(draw: Draw) -> Call:
    """Any answer into any part, an empty one too."""
    shape = draw.shape()
    (left, right), (top, bottom) = (
        sorted(draw.integer(0, length) for _ in range(2)) for length in (shape[1], shape[0])
    )
    arguments = (
        *(draw.grid(draw.shape()), draw.grid(shape, written=True), (left, top, right, bottom)),
        *(draw.grid(halved(shape), written=True), draw.integer(1, 9)),
    )
    return Call(grid_kernels.put, arguments)


@case
def count_found(draw: Draw) -> Call:
    """Somebody known, and nobody."""
    shape = draw.shape()
    known = draw.grid(shape, "B", values=(0, 1)) if draw.flag() else None
    return Call(grid_kernels.count_found, (draw.grid(shape), known, draw.integer(0, 50)))


@case
def know(draw: Draw) -> Call:
    """With another frame before, and without."""
    shape = draw.shape()
    last = draw.grid(shape, "B", values=(0, 1)) if draw.flag() else None
    return Call(grid_kernels.know, (draw.grid(shape), last))


@case
def mask_coverage(draw: Draw) -> Call:
    """Take any working grid, and a mask of its half grid."""
    shape = draw.shape()
    mask = draw.grid(halved(shape), "B", values=(0, 1))
    return Call(grid_kernels.mask_coverage, (mask, draw.grid(shape, written=True)))


@case
def settle(draw: Draw) -> Call:
    """Take a working grid and its half grid, with evidence and without."""
    shape = draw.shape()
    half = halved(shape)
    size = shape[0] * shape[1] + 3 * half[0] * half[1]
    arguments = (
        *(draw.grid((size,), written=True), draw.grid(shape, "h", written=True)),
        *(draw.grid(shape), draw.grid(half)),
        *((draw.grid(half) if draw.flag() else None), draw.grid(half, "B"), draw.plane(shape)),
    )
    named = {
        "surest": draw.real(0.9, 0.999),
        "still": draw.real(0.5, 5),
        "least": draw.real(0.01, 0.5),
        "is_nobody": draw.flag(),
    }
    return Call(grid_kernels.settle, arguments, named)


@case
def follow_motion(draw: Draw) -> Call:
    """Take two pictures, most often much alike, and any limits."""
    shape = draw.shape()
    half = halved(shape)
    before, now = draw.grid(half, "B"), draw.grid(half, "B")
    if draw.integer(0, 3):
        now[...] = np.roll(before, draw.integer(-2, 2), draw.integer(0, 1))
    named = {"misfit": draw.real(0, 255), "misfits": draw.real(0, 2), "farthest": draw.real(0, 9)}
    arguments = before, now, draw.grid(shape, written=True)
    return Call(following.follow_motion, arguments, named)


@case
def guide(draw: Draw) -> Call:
    """Take a working grid and its half grid."""
    shape = draw.shape()
    half = halved(shape)
    arguments = (
        *(draw.grid(half), draw.grid(half), draw.grid(shape, "h")),
        *(draw.grid(half, "B", written=True), draw.grid((3, *shape), written=True)),
        draw.grid(shape, "B", written=True),
    )
    named: dict[str, Any] = {"flat": draw.real(1e-4, 1), "beside": draw.integer(1, 9)}
    named |= {"middle": draw.real(0.5, 0.9), "gain": draw.real(1, 4)}
    if not named["middle"] * named["gain"] >= 0.5:
        named |= {"middle": 0.5, "gain": 2.0}
    return Call(guided_kernels.guide, arguments, named)


@case
def weigh(draw: Draw) -> Call:
    """Pictures of one plane and of three."""
    number, shape = int(draw.random.choice([1, 3])), draw.shape()
    arguments = (
        *(draw.grid((number, *shape), "B"), draw.grid((number,)), draw.grid((number, *shape))),
        *(draw.grid(shape), draw.grid((evidence_kernels.BINS**number,)), draw.grid(shape)),
        *(draw.grid((5,)), draw.grid(shape, written=True)),
        draw.grid(shape, written=True) if draw.flag() else None,
    )
    named = {"deep": draw.integer(1, 20), "clear": draw.integer(1, 20)}
    return Call(evidence_kernels.weigh, arguments, named)


@case
def learn(draw: Draw) -> Call:
    """Pictures of one plane and of three, with another matte and without."""
    number, shape = int(draw.random.choice([1, 3])), draw.shape()
    bins = evidence_kernels.BINS**number
    arguments = (
        *(draw.grid((number, *shape), "B"), draw.grid(shape)),
        *((draw.grid(shape) if draw.flag() else None), draw.grid(shape)),
        *(draw.grid((number, *shape), written=True), draw.grid(shape, written=True)),
        *(draw.grid((2, bins), written=True), draw.grid((bins,), written=True)),
    )
    named = {
        "clear": draw.integer(1, 20),
        "memory": draw.real(10, 100),
        "share": draw.real(0.01, 0.5),
        "unseen": draw.real(1e-5, 1e-3),
        "far": draw.real(1, 6),
    }
    return Call(evidence_kernels.learn, arguments, named)


@case
def tell_still(draw: Draw) -> Call:
    """Blocks that the planes' edges cut, of one plane and of three."""
    shape = draw.shape()
    shapes = [shape, *2 * [halved(shape) if draw.flag() else shape]] if draw.flag() else [shape]
    number = len(shapes)
    now, before = ([draw.grid(of, "B") for of in shapes] for _ in range(2))
    noise = draw.grid((number, cadence_kernels.BINS), written=True)

    def run(noise: Any, *planes: Any) -> None:
        one, other = (
            cadence_kernels.checked_planes(of) for of in (planes[:number], planes[number:])
        )
        cadence_kernels.tell_still(one, other, noise)

    return Call(run, (noise, *now, *before))


@case
def edge_colours(draw: Draw) -> Call:
    """Small planes."""
    number, shape = int(draw.random.choice([1, 3])), draw.shape(40)
    arguments = draw.grid((number, *shape), "B"), draw.grid(shape, "B")
    return Call(decontamination.edge_maps, arguments)


@case
def coverage_bytes(draw: Draw) -> Call:
    """Take coverage of any numbers; nothing looks at luma."""
    low = draw.shape()
    luma = np.zeros(low, np.uint8)

    def run(base: Any, slope: Any, reference: Any, kinds: Any, out: Any) -> None:
        core.contiguous(out, "B", writable=True)
        np.copyto(out, tiles.Guide(base, slope, reference, kinds, luma, 1).small())

    grids = (draw.grid(low) for _ in range(3))
    kinds = draw.grid(halved(low), "B", values=(0, 2))
    return Call(run, (*grids, kinds, draw.grid(low, "B", written=True)))


@case
def compose(draw: Draw) -> Call:
    """Take a matte of full size, one plane or three, halved or not, with maps or without."""
    shape, halving = draw.shape(), draw.flag()
    small = halved(shape) if halving else shape
    shapes = [shape, small, small] if draw.flag() else [shape]
    fronts, backs = ([draw.plane(of) for of in shapes] for _ in range(2))
    outs = [draw.plane(of, written=True) for of in shapes]
    matte, cell = draw.plane(shape), draw.integer(1 + halving, 16)
    maps = None
    if draw.flag():
        corners = -(-shape[0] // cell) + 1, -(-shape[1] // cell) + 1
        maps = draw.grid((len(shapes), 3, *corners), values=None if draw.flag() else (1.0, 200.0))
    straight = draw.flag()

    def run(matte: Any, *planes: Any) -> None:
        count = len(shapes)
        picture = tiles.Composition(
            planes[:count],
            planes[count : 2 * count],
            planes[2 * count : 3 * count],
            planes[3 * count] if len(planes) > 3 * count else None,
            cell,
            straight,
        )
        tiles.make(shape, matte, picture=picture)

    return Call(run, (matte, *fronts, *backs, *outs, *(() if maps is None else (maps,))))


@case
def compose_guided(draw: Draw) -> Call:
    """Take a matte made in place, with tiles that are held."""
    low = draw.shape(40)
    shape = low[0] * draw.integer(1, 4), low[1] * draw.integer(1, 4)
    kinds = draw.grid(halved(low), "B", values=(0, 2))
    noise = draw.real(0, 4)
    count = -(-shape[0] // tiles.TILE_ROWS), -(-shape[1] // tiles.TILE)
    held = draw.grid(count, "B", values=(0, 1), written=True)

    def run(
        base: Any,
        slope: Any,
        reference: Any,
        kinds: Any,
        luma: Any,
        back: Any,
        out: Any,
        whole: Any,
        held: Any,
    ) -> None:
        made = tiles.Guide(base, slope, reference, kinds, luma, noise)
        picture = tiles.Composition([luma], [back], [out], held=held)
        tiles.make(shape, made.sorted_tiles(), guide=made, picture=picture, whole=whole)

    arguments = (
        *(draw.grid(low), draw.grid(low), draw.grid(low), kinds, draw.plane(shape)),
        *(draw.plane(shape), draw.plane(shape, written=True), draw.plane(shape, written=True)),
        held,
    )
    return Call(run, arguments)
