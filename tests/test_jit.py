"""Kernels: compiled once, cached where that can be, never in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import greenroom

CODE = """
import numpy, sys
{before}
import greenroom, greenroom.resampling as resampling
out = numpy.empty((4, 4), numpy.uint8)
resampling.upsample(numpy.ones((2, 2), numpy.float32), out)
assert out.min() == 255
hits = resampling.upsample.stats.cache_hits if hasattr(resampling.upsample, "stats") else {{}}
print(sum(hits.values()))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of the package, without any compiled kernel."""
    assert greenroom.__file__ is not None
    source = Path(greenroom.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "embedded")
    return Path(shutil.copytree(source, tmp_path / "site" / "greenroom", ignore=ignored))


def start(package: Path, cache: Path, before: str = "") -> int:
    """Use a kernel in a new process; return how many signatures came from the cache."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path]),
        "XDG_CACHE_HOME": str(cache),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    run = subprocess.run(
        [sys.executable, "-c", CODE.format(before=before)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return int(run.stdout)


def kernels(folder: Path) -> list[Path]:
    """List the compiled kernels under a folder."""
    return list(folder.rglob("*.nbc"))


READ_ONLY = """
import os
allowed = os.access
os.access = lambda path, mode, **more: not (mode & os.W_OK and {inside!r} in str(path)) and allowed(
    path, mode, **more)
"""


class TestCache:
    """Where kernels are kept."""

    def test_second_start_compiles_nothing(self, package: Path, tmp_path: Path) -> None:
        """Beside the package, where that can be written."""
        assert start(package, tmp_path / "cache") == 0
        assert kernels(package)
        assert not kernels(tmp_path / "cache")
        assert start(package, tmp_path / "cache") == 1

    def test_read_only_package(self, package: Path, tmp_path: Path) -> None:
        """In the user's cache folder otherwise."""
        before = READ_ONLY.format(inside=str(package.parent))
        assert start(package, tmp_path / "cache", before) == 0
        assert not kernels(package)
        assert kernels(tmp_path / "cache")
        assert start(package, tmp_path / "cache", before) == 1

    def test_nothing_can_be_written(self, package: Path, tmp_path: Path) -> None:
        """Not at all, where nothing can be written: it works all the same."""
        before = READ_ONLY.format(inside=str(tmp_path))
        assert start(package, tmp_path / "cache", before) == 0
        assert not kernels(tmp_path)


TELLS = """
from greenroom.jit import telling_of_compilation
told = []
telling = telling_of_compilation(told.append)
telling.__enter__()
import atexit
atexit.register(lambda: print(*told, file=open({path!r}, "w")))
"""


class TestTelling:
    """Whether somebody has to wait for the compiler is told before."""

    def test_told_once_while_nothing_is_kept(self, package: Path, tmp_path: Path) -> None:
        """At the first start, before the first kernel; at the second nothing is compiled."""
        told = tmp_path / "told"
        start(package, tmp_path / "cache", TELLS.format(path=str(told)))
        assert told.read_text() == "True\n"
        start(package, tmp_path / "cache", TELLS.format(path=str(told)))
        assert told.read_text() == "\n"

    def test_told_that_nothing_can_be_kept(self, package: Path, tmp_path: Path) -> None:
        """Where nothing can be written it will be so each time."""
        told = tmp_path / "told"
        before = READ_ONLY.format(inside=str(tmp_path)) + TELLS.format(path=str(told))
        start(package, tmp_path / "cache", before)
        assert told.read_text() == "False\n"
