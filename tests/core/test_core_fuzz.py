"""Every function of the core with arrays of many shapes; and both builds beside each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import core_fuzz
import numpy as np
import pytest
from core_cases import CASES

from greenroom import core
from greenroom.core import library

if TYPE_CHECKING:
    from core_fuzz import Case
    from numpy.typing import NDArray

ROUNDS: Final = 30
# Asked by the loader, not given arrays.
WITHOUT_ARRAYS: Final = {"gr_has_avx2"}

every_case = pytest.mark.parametrize("case", CASES, ids=core_fuzz.name)


def test_every_function_is_called_by_a_case() -> None:
    """The table leaves out no function that the sources export."""
    with core_fuzz.called() as names:
        for case in CASES:
            for seed in range(12):
                core_fuzz.run(case, seed)
    assert core_fuzz.exported() - WITHOUT_ARRAYS == names


@every_case
def test_only_what_is_given_is_written(case: Case) -> None:
    """Whatever the shapes and the numbers, NaN and infinity too, nothing beside is written."""
    with np.errstate(all="ignore"):
        for seed in range(ROUNDS):
            core_fuzz.run(case, seed)


@every_case
def test_wrong_arrays_are_refused(case: Case) -> None:
    """An array of another type or dimension, unaligned, apart or read only never gets there."""
    for seed in range(3):
        for what, call, arguments in core_fuzz.wrong_calls(case, seed):
            assert core_fuzz.is_refused(call, arguments), f"{what} was accepted, seed {seed}"


def test_a_write_beside_an_array_is_noticed() -> None:
    """The fuzzer finds a function that writes beside a plane, or to what it may only read."""

    def case(draw: core_fuzz.Draw) -> core_fuzz.Call:
        plane, out = draw.plane((8, 8)), draw.plane((8, 8), written=True)
        return core_fuzz.Call(np.copyto, (plane if draw.flag() else widened(out), 1))

    def widened(out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.lib.stride_tricks.as_strided(out, (7, 9))

    found = 0
    for seed in range(40):
        try:
            core_fuzz.run(case, seed)
        except core_fuzz.FuzzError:
            found += 1
    # Where rows are not padded, the ninth sample is the next row's first.
    assert 20 < found < 40


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[Any]]:
    """Return what the baseline build makes of the same calls."""
    path = tmp_path_factory.mktemp("baseline") / "results.npz"
    script = str(Path(core_fuzz.__file__))
    subprocess.run(
        [sys.executable, script, "--rounds", str(ROUNDS), "--save", path],
        env=os.environ | {"GREENROOM_CORE": "baseline"},
        check=True,
    )
    with np.load(path) as file:
        return dict(file)


@pytest.mark.skipif(core.variant() == "baseline", reason="the processor has no AVX2")
@every_case
def test_the_builds_agree(case: Case, baseline: dict[str, NDArray[Any]]) -> None:
    """AVX2 and FMA change results by rounding alone."""
    for key, mine in core_fuzz.results([case], ROUNDS).items():
        message = core_fuzz.difference(mine, baseline[key])
        assert not message, f"{key}: {message}"


def test_the_baseline_is_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable chooses the build."""
    monkeypatch.setenv("GREENROOM_CORE", "baseline")
    assert library.variant.__wrapped__() == "baseline"
