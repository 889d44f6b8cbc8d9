"""The compiling of the core: which compiler, for which machine, and what is said when it fails."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import sys
from typing import TYPE_CHECKING

import pytest

import build_core

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """#include "value.h"
#ifndef GR_MADE_OF
#define GR_MADE_OF "by hand"
#endif
const char gr_made_of[] __attribute__((visibility("default"))) = "greenroom core " GR_MADE_OF;
__attribute__((visibility("default"))) int value(void) { return VALUE; }
"""

needs_a_compiler = pytest.mark.skipif(
    bool(build_core.requirements(build_core._this_machine())),  # noqa: SLF001 - GREENROOM_PLATFORM may be set
    reason="no C compiler is installed",
)


@pytest.fixture(autouse=True)
def a_plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the surroundings say about compilers, and what was found out before."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv(build_core.PLATFORM_VARIABLE, raising=False)
    build_core._installed.cache_clear()  # noqa: SLF001


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a folder with a small core."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "value.c").write_text(SOURCE, encoding="utf-8")
    (folder / "value.h").write_text("#define VALUE 1\n", encoding="utf-8")
    return folder


def compile_core(sources: Path) -> list[Path]:
    """Compile a small core into a folder beside its sources."""
    return build_core.compile_core(sources, sources.with_name("made"), build_core.machine())


def times(libraries: list[Path]) -> list[int]:
    """Return when each of them was written."""
    return [path.stat().st_mtime_ns for path in libraries]


def without_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every compiler off the path."""
    monkeypatch.setenv("PATH", "")


def script(path: Path, text: str) -> Path:
    """Write a program for the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@needs_a_compiler
def test_every_build_is_a_library_that_loads(sources: Path) -> None:
    """Each build is there under its name, with nothing left beside it, and its functions work."""
    machine = build_core.machine()
    libraries = compile_core(sources)
    assert {path.name for path in libraries} == {machine.library(name) for name in machine.builds}
    assert set(libraries) == set(libraries[0].parent.iterdir())
    for path in libraries:
        assert ctypes.CDLL(str(path)).value() == 1


@needs_a_compiler
def test_what_is_there_is_not_compiled_again(sources: Path) -> None:
    """With the same sources and the same compiler, the libraries are left alone."""
    before = times(compile_core(sources))
    assert times(compile_core(sources)) == before


@needs_a_compiler
def test_a_changed_header_is_compiled(sources: Path) -> None:
    """A change of any source makes every library anew."""
    before = times(compile_core(sources))
    (sources / "value.h").write_text("#define VALUE 2\n", encoding="utf-8")
    libraries = compile_core(sources)
    assert all(new > old for new, old in zip(times(libraries), before, strict=True))
    # Under its old name the loader would answer with what it has.
    assert ctypes.CDLL(str(shutil.copy(libraries[0], sources / "another"))).value() == 2


@needs_a_compiler
def test_a_library_of_unknown_origin_is_made_anew(sources: Path) -> None:
    """A library that was not made of these sources is replaced."""
    path = compile_core(sources)[0]
    path.write_bytes(b"half")
    compile_core(sources)
    assert ctypes.CDLL(str(path)).value() == 1


@needs_a_compiler
def test_a_mistake_in_the_sources_is_one_sentence(sources: Path) -> None:
    """The message has the compiler and its first complaint; the old libraries stay."""
    libraries = compile_core(sources)
    contents = [path.read_bytes() for path in libraries]
    (sources / "value.h").write_text("#define VALUE nothing\n", encoding="utf-8")
    with pytest.raises(build_core.CoreError, match=r"^the core does not compile .*'nothing'") as e:
        compile_core(sources)
    assert "value.c:6:" in str(e.value) or "value.h:1:" in str(e.value)
    assert "\n" not in str(e.value)
    assert [path.read_bytes() for path in libraries] == contents
    assert set(libraries) == set(libraries[0].parent.iterdir())


@needs_a_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="others link differently")
def test_a_function_that_is_nowhere_is_named(sources: Path) -> None:
    """A library that would not load is not made."""
    (sources / "value.h").write_text("int nowhere(void);\n#define VALUE nowhere()\n", "utf-8")
    with pytest.raises(build_core.CoreError, match="nowhere"):
        compile_core(sources)


def test_a_compiler_is_no_requirement_where_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a compiler on the path, or one in CC, nothing is asked for."""
    monkeypatch.setattr(build_core, "_works", lambda *_: True)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert build_core.requirements(build_core.machine()) == []
    without_compilers(monkeypatch)
    build_core._installed.cache_clear()  # noqa: SLF001
    monkeypatch.setenv("CC", "mine")
    assert build_core.requirements(build_core.machine()) == []


def test_without_a_compiler_zig_is_a_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing on the path, the build asks for zig."""
    without_compilers(monkeypatch)
    assert build_core.requirements(build_core.machine()) == [build_core.ZIG]


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_compiler_in_name_only_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cc that fails, as macOS has one, is passed over."""
    script(tmp_path / "cc", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build_core.requirements(build_core.machine()) == [build_core.ZIG]


def test_for_another_machine_zig_is_a_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler of this machine is not asked to compile for another."""
    monkeypatch.setenv(build_core.PLATFORM_VARIABLE, "macosx_11_0_arm64")
    machine = build_core.machine()
    assert build_core.requirements(machine) == [build_core.ZIG]
    assert (machine.system, machine.processor) == ("macos", "aarch64")
    assert [machine.library(name) for name in machine.builds] == ["core_baseline.dylib"]


def test_without_any_compiler_the_message_says_what_to_install(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With neither a compiler nor zig, the sentence has the commands for both."""
    without_compilers(monkeypatch)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(build_core.CoreError, match=r"no C compiler .* pip install 'ziglang"):
        compile_core(sources)


def test_a_compiler_of_choice_that_does_not_work_is_an_error(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What CC says is never replaced by something else in silence."""
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(build_core.CoreError, match="CC says 'no-such-compiler -O2'"):
        compile_core(sources)


@needs_a_compiler
@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_compiler_of_choice_may_have_arguments(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CC is split as a shell does."""
    wrapper = script(tmp_path / "my wrapper", 'touch "$(dirname "$0")/called"; exec "$@"')
    monkeypatch.setenv("CC", f"'{wrapper}' cc")
    assert ctypes.CDLL(str(compile_core(sources)[0])).value() == 1
    assert (tmp_path / "called").exists()


def test_an_unknown_platform_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the platforms that are known."""
    monkeypatch.setenv(build_core.PLATFORM_VARIABLE, "amiga")
    with pytest.raises(build_core.CoreError, match=r"one of manylinux_2_17_x86_64, .* not 'amiga'"):
        build_core.machine()
