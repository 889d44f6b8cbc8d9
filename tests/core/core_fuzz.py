"""Calls every function of the core with random arrays: `python tests/core/core_fuzz.py --help`.

What is called, and with what, is the table in `core_cases`. An array is either surrounded by
memory that has to stay as it is, or ends exactly where its memory ends, so that a build with the
address sanitizer sees every step beyond it.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.core import library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Case = Callable[["Draw"], "Call"]

# Shapes are most often at the ends of what loops are unrolled to.
_LENGTHS: Final = (1, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)
_LONGEST: Final = 100
_MARGIN: Final = 96
_PATTERN: Final = 0xA5


class FuzzError(AssertionError):
    """The core did what it may not do."""


@dataclass(frozen=True)
class Given:
    """An array that was made for a call.

    Attributes
    ----------
    array : any shape
        What is passed.
    is_written : bool
        Whether the core may write to it.
    layout : str
        What else is legal: ``plane``, its rows may be padded; ``strided``, anything goes;
        ``contiguous``, nothing.
    memory : (n,) uint8
        All that belongs to it, and what is around it.
    """

    array: NDArray[Any]
    is_written: bool
    layout: str
    memory: NDArray[np.uint8]


@dataclass(frozen=True)
class Call:
    """A call of a function, with arrays by position."""

    function: Callable[..., object]
    arguments: tuple[Any, ...]
    named: dict[str, Any] = field(default_factory=dict)

    def run(self, arguments: Sequence[Any] | None = None) -> None:
        """Call it, with other arguments if any are given."""
        self.function(*(self.arguments if arguments is None else arguments), **self.named)


class Draw:
    """Random shapes, numbers and arrays for one call.

    Parameters
    ----------
    seed : int
    tame : bool
        Only numbers that the engine works with, for results that can be compared.
    """

    def __init__(self, seed: int, *, tame: bool) -> None:
        self.random = np.random.default_rng(seed)
        self.tame = tame
        self.given: list[Given] = []

    def integer(self, least: int, most: int) -> int:
        """Return a number, both ends included."""
        return int(self.random.integers(least, most + 1))

    def real(self, least: float, most: float) -> float:
        """Return a number in a range; where anything may come, seldom one beyond all ranges."""
        if not self.tame and self.random.random() < 0.1:
            return float(self.random.choice([np.nan, np.inf, -np.inf, 0.0, -1e30, 1e30]))
        return float(self.random.uniform(least, most))

    def flag(self) -> bool:
        """Return true or false."""
        return bool(self.random.integers(2))

    def length(self, most: int = _LONGEST) -> int:
        """Return a height or a width."""
        if self.flag():
            return min(int(self.random.choice(_LENGTHS)), most)
        return self.integer(1, most)

    def shape(self, most: int = _LONGEST) -> tuple[int, int]:
        """Return a height and a width."""
        return self.length(most), self.length(most)

    def plane(self, shape: tuple[int, int], kind: str = "B", *, written: bool = False) -> Any:
        """Return a plane whose rows may be padded."""
        size = np.dtype(kind).itemsize
        padding = int(self.random.choice([0, 0, 1, 5, 32])) * size
        strides = (shape[1] * size + padding, size)
        return self._give(shape, kind, strides, layout="plane", is_written=written)

    def grid(
        self,
        shape: tuple[int, ...],
        kind: str = "f",
        *,
        written: bool = False,
        values: tuple[float, float] | None = None,
    ) -> Any:
        """Return a contiguous array; `values` is the range of its numbers, even if not tame."""
        strides = _strides(shape, kind)
        layout = "contiguous"
        return self._give(shape, kind, strides, layout=layout, is_written=written, values=values)

    def strided(self, shape: tuple[int, ...], kind: str = "f") -> Any:
        """Return an array whose dimensions lie in memory in any order."""
        order = self.random.permutation(len(shape))
        strides = np.empty(len(shape), int)
        strides[order] = _strides(tuple(shape[axis] for axis in order), kind)
        layout = "strided"
        return self._give(shape, kind, tuple(map(int, strides)), layout=layout, is_written=False)

    def _give(
        self,
        shape: tuple[int, ...],
        kind: str,
        strides: tuple[int, ...],
        *,
        layout: str,
        is_written: bool,
        values: tuple[float, float] | None = None,
    ) -> NDArray[Any]:
        size = np.dtype(kind).itemsize
        span = size + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        span = max(span, 0) if all(shape) else 0
        around = self.flag()
        before = _MARGIN + size * self.integer(0, 15) if around else 0
        memory = np.full(before + span + (_MARGIN if around else 0), _PATTERN, np.uint8)
        array = np.ndarray(shape, kind, memory.data, before, strides)
        array[...] = self._values(shape, kind) if values is None else self._range(values, shape)
        self.given.append(Given(array, is_written, layout, memory))
        return array

    def _range(self, values: tuple[float, float], shape: tuple[int, ...]) -> NDArray[Any]:
        least, most = values
        if isinstance(least, int):
            return self.random.integers(least, int(most) + 1, shape)
        return self.random.uniform(least, most, shape)

    def _values(self, shape: tuple[int, ...], kind: str) -> NDArray[Any]:
        random = self.random
        if kind in "fd":
            values: NDArray[Any] = random.random(shape) * random.choice([1, 255])
            if not self.tame:
                extremes = [0, -1, 1e-42, 1e30, -1e30, np.inf, -np.inf, np.nan]
                special = random.choice(extremes, shape)
                share = random.choice([0, 0, 0.05, 1])
                values = np.where(random.random(shape) < share, special, values)
            return values
        limits = np.iinfo(kind)
        style = random.integers(4)
        if style == 0:  # all alike
            return np.full(shape, random.choice([0, 1, 127, 128, 255, int(limits.max)]))
        if style == 1:  # black and white
            return random.choice([0, 255], shape)
        if style == 2:  # smooth
            ramp = sum(np.indices(shape), np.zeros(shape, int)) * self.integer(1, 9)
            return np.asarray(ramp % 256)
        return random.integers(limits.min, limits.max, shape, kind, endpoint=True)


def run(case: Case, seed: int, *, tame: bool = False) -> Draw:
    """Make a call of a case, and look at all that the core may not have touched.

    Raises
    ------
    FuzzError
        If it wrote to what it may only read, or beside what it may write.
    """
    draw = Draw(_mixed(case, seed), tame=tame)
    call = case(draw)
    before = [given.memory.copy() for given in draw.given]
    call.run()
    for number, (given, old) in enumerate(zip(draw.given, before, strict=True)):
        changed = given.memory != old
        if given.is_written:
            own = np.ndarray(
                given.array.shape,
                [("", np.uint8, given.array.itemsize)],
                _bytes_of(changed),
                given.array.ctypes.data - given.memory.ctypes.data,
                given.array.strides,
            )
            own[...] = np.zeros((), own.dtype)
        if changed.any():
            message = f"{name(case)}, seed {seed}: array {number} was written to or around"
            raise FuzzError(message)
    return draw


def _strides(shape: tuple[int, ...], kind: str) -> tuple[int, ...]:
    """Return the strides of a contiguous array."""
    sizes = [np.dtype(kind).itemsize]
    for length in shape[:0:-1]:
        sizes.append(sizes[-1] * length)
    return tuple(sizes[::-1])


def _bytes_of(flags: NDArray[np.bool_]) -> memoryview:
    return flags.view(np.uint8).data


def name(case: Case) -> str:
    """Return the name of a case."""
    return case.__name__


def _mixed(case: Case, seed: int) -> int:
    return zlib.crc32(name(case).encode()) + (seed << 32)


def wrong_calls(case: Case, seed: int) -> Iterator[tuple[str, Call, list[Any]]]:
    """Return calls with one wrong array each: what is wrong, and the arguments."""
    draw = Draw(_mixed(case, seed), tame=True)
    call = case(draw)
    by_address = {id(given.array): given for given in draw.given}
    for place, argument in enumerate(call.arguments):
        given = by_address.get(id(argument))
        if given is None:
            continue
        for what, other in _wrong(given):
            arguments = list(call.arguments)
            arguments[place] = other
            yield f"argument {place} {what}", call, arguments


def is_refused(call: Call, arguments: Sequence[Any]) -> bool:
    """Whether a call with wrong arguments raises what it should."""
    try:
        call.run(arguments)
    except (TypeError, ValueError):
        return True
    return False


def _wrong(given: Given) -> Iterator[tuple[str, NDArray[Any]]]:
    array = given.array
    yield "of another type", array.astype("d" if array.dtype.char != "d" else "f")
    if array.itemsize > 1:
        yield "of another byte order", array.astype(array.dtype.newbyteorder())
        shifted = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        shifted[...] = array
        yield "unaligned", shifted
    yield "with another dimension", array[None].copy()
    if array.size:
        yield "without samples", array[..., :0].copy()
    if array.shape[-1] > 1 and given.layout != "strided":
        yield "with samples apart", np.repeat(array, 2, -1)[..., ::2]
    if array.shape[0] > 1 and given.layout == "plane":
        yield "upside down", np.flipud(array)
    if array.shape[0] > 1 and given.layout == "contiguous":
        yield "with rows apart", np.repeat(array, 2, 0)[::2]
    if given.is_written:
        fixed = array.copy()
        fixed.flags.writeable = False
        yield "read only", fixed


def exported() -> set[str]:
    """Return the names of all functions that the sources of the core export."""
    sources = Path(library.__file__).parent.glob("*.c")
    found = (re.findall(r"GR_EXPORT\s+int\s+(gr_\w+)\s*\(", path.read_text()) for path in sources)
    return {name for names in found for name in names}


@contextmanager
def called() -> Iterator[set[str]]:
    """Collect the names of the core's functions that are called meanwhile."""
    loaded = vars(library._load(library.variant()))
    functions = [value for name, value in loaded.items() if name.startswith("gr_")]
    names: set[str] = set()

    def watch(code: int, function: Any, arguments: object) -> None:
        names.add(function.__name__)
        library._check(code, function, arguments)

    for function in functions:
        function.errcheck = watch
    try:
        yield names
    finally:
        for function in functions:
            function.errcheck = library._check


def results(cases: Sequence[Case], rounds: int) -> dict[str, NDArray[Any]]:
    """Return all that tame calls write, by the name of the case, the round and the array."""
    return {
        f"{name(case)}/{seed}/{number}": np.ascontiguousarray(given.array)
        for case in cases
        for seed in range(rounds)
        for number, given in enumerate(run(case, seed, tame=True).given)
        if given.is_written
    }


def difference(one: NDArray[Any], other: NDArray[Any]) -> str:
    """Say by how much two builds' results differ if it is by more than rounding, else nothing.

    Where rounding decides between two ways, a sample in a thousand may go the other way.
    """
    near = np.isclose(one.astype(float), other.astype(float), 1e-3, 1e-3, equal_nan=True)
    if one.dtype.kind in "iu":
        near |= abs(one.astype(float) - other.astype(float)) <= 1
    wrong = np.count_nonzero(~near)
    if wrong <= one.size / 1000:
        return ""
    place = tuple(map(int, np.argwhere(~near)[0]))
    return f"{wrong} of {one.size} differ, at {place} {one[place]} and {other[place]}"


def main() -> None:
    """Run the table, or a part of it, for so many rounds or seconds."""
    from core_cases import CASES  # noqa: PLC0415 - it imports this

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the first round's")
    parser.add_argument("--rounds", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--case", action="append", help="only this one")
    parser.add_argument("--verbose", action="store_true", help="print every call beforehand")
    parser.add_argument("--save", type=Path, help="run tame rounds, and write results there")
    options = parser.parse_args()
    cases = [case for case in CASES if not options.case or name(case) in options.case]
    if options.save:
        np.savez(options.save, **results(cases, options.rounds))  # type: ignore[arg-type, unused-ignore]
        return
    print(f"{len(cases)} cases from seed {options.seed} on", flush=True)
    end = time.monotonic() + options.seconds
    seed = options.seed
    np.seterr(all="ignore")
    while seed < options.seed + options.rounds and time.monotonic() < end:
        for case in cases:
            if options.verbose:
                print(name(case), seed, file=sys.stderr, flush=True)
            run(case, seed)
            for what, call, arguments in wrong_calls(case, seed) if seed % 8 == 0 else ():
                if not is_refused(call, arguments):
                    message = f"{name(case)}, seed {seed}: {what} was accepted"
                    raise FuzzError(message)
        seed += 1
    print(f"{seed - options.seed} rounds of {len(cases)} cases")


if __name__ == "__main__":
    main()
