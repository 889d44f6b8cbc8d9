"""Which build of the core is loaded, what is said where there is none, and calls from threads."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from core_cases import CASES
from core_fuzz import results

from greenroom import core
from greenroom.core import library


def loaded(variant: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the build that a process uses which is told this one, or none."""
    if variant is None:
        monkeypatch.delenv("GREENROOM_CORE", raising=False)
    else:
        monkeypatch.setenv("GREENROOM_CORE", variant)
    code = "from greenroom import core; print(core.variant())"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or result.stderr


@pytest.mark.parametrize("variant", core.VARIANTS)
def test_the_variable_chooses_the_build(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """GREENROOM_CORE names the build that is used."""
    if not library._path(variant).exists():
        pytest.skip(f"this machine has no build for {variant}")
    assert loaded(variant, monkeypatch) == variant


def test_the_fastest_build_that_runs_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """AVX2 is used where the processor has it, as the system says too."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("needs /proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8").split()
    expected = "avx2" if {"avx2", "fma"} <= set(flags) else "baseline"
    assert loaded(None, monkeypatch) == expected


def test_an_unknown_build_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the builds that there are."""
    assert "GREENROOM_CORE should be one of avx2, baseline, not 'mmx'" in loaded("mmx", monkeypatch)


def test_a_missing_library_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which file is missing, and what to do."""
    monkeypatch.setattr(library, "_path", lambda name: tmp_path / f"core_{name}.so")
    with pytest.raises(ImportError, match=r"core_baseline\.so'.*pip install --force-reinstall"):
        library._load.__wrapped__("baseline")


def test_a_library_for_another_machine_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that the system cannot load is no crash."""
    (tmp_path / "core_avx2.so").write_bytes(b"\x7fELF of something else")
    monkeypatch.setattr(library, "_path", lambda name: tmp_path / f"core_{name}.so")
    with pytest.raises(ImportError, match=r"core cannot be loaded from .*core_avx2\.so'"):
        library._load.__wrapped__("avx2")


def test_without_memory_an_error_is_raised() -> None:
    """What a function says when it gets no memory is a MemoryError with the function's name."""
    with pytest.raises(MemoryError, match="no memory for gr_halve"):
        library._check(1, core.function("halve", "pnii p"), ())


def test_calls_from_many_threads_do_not_meet() -> None:
    """Every case gives the same in eight threads at once as on its own: nothing is shared."""
    expected = results(CASES, 4)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: results(CASES, 4), range(8)):
            assert found.keys() == expected.keys()
            for key, value in found.items():
                np.testing.assert_array_equal(value, expected[key], err_msg=key)


def test_the_core_keeps_no_state_of_its_own() -> None:
    """The sources have no variable that outlives a call, but constants."""
    for path in Path(library.__file__).parent.glob("*.[ch]"):
        for line in path.read_text(encoding="utf-8").splitlines():
            is_variable = line.startswith(("static ", "int ", "float ", "uint8_t ", "double "))
            if is_variable and line.rstrip().endswith(("=", ";", "{")) and "(" not in line:
                assert " const " in line, f"{path.name}: {line}"


def test_an_address_is_that_of_the_first_sample() -> None:
    """A view's own beginning is passed, not that of the memory that it is part of."""
    whole = np.arange(48, dtype=np.uint8).reshape(6, 8)
    view = whole[2:5, 3:6]
    assert ctypes.c_uint8.from_address(core.plane(view)).value == whole[2, 3]
    assert ctypes.c_uint8.from_address(core.contiguous(whole, "B")).value == 0


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.int8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 8), np.uint8)[:, ::2],
        np.zeros((4, 4), np.uint8)[::-1],
        np.zeros((4, 4), np.uint8).T[:, :3],
    ],
    ids=["type", "dimensions", "empty", "apart", "upside down", "on its side"],
)
def test_what_is_no_plane_is_refused(wrong: np.ndarray) -> None:
    """Only rows of samples side by side, one below the other, have an address for the core."""
    with pytest.raises(TypeError, match="the core expected a plane"):
        core.plane(wrong)


def test_a_row_or_column_of_any_stride_is_a_plane() -> None:
    """Where there is but one, its distance from the next means nothing."""
    whole = np.zeros((4, 4), np.uint8)
    assert core.plane(whole[:, 1:2]) == whole.ctypes.data + 1
    assert core.plane(whole[1:2]) == whole.ctypes.data + 4
