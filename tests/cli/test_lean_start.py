"""A start without work that nobody asked for."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from greenroom.cli.lean_start import begin_start, end_start

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM: Final = """
import gc, sys
from greenroom.cli import main
from greenroom.segmenters import catalogue
def read_cards():
    print("collects:", gc.isenabled(), gc.get_freeze_count() > 0)
    raise SystemExit(0)
catalogue.read_cards = read_cards
main()
"""

_ARENAS: Final = """
import ctypes, threading
from greenroom.cli.lean_start import begin_start
begin_start()
c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
together = threading.Barrier(6)
def allocate():
    together.wait()
    c.malloc(100)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
c.malloc_info(0, ctypes.c_void_p.in_dll(c, "stdout"))
c.fflush(None)
"""


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the collector and the variables as they are."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    yield
    gc.enable()
    gc.unfreeze()
    os.environ.pop("PYDANTIC_DISABLE_PLUGINS", None)


def test_rests_and_goes_on() -> None:
    """Garbage is not looked for until the start is over, and then not among what was imported."""
    begin_start()
    assert not gc.isenabled()
    end_start()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_users_word_stays() -> None:
    """A variable that is set is not set to anything else."""
    begin_start()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
    assert os.environ["PYDANTIC_DISABLE_PLUGINS"] == "__all__"


def test_freezes_nothing_of_others() -> None:
    """Where the collector works, as in a program that calls a command, nothing is kept from it."""
    frozen = gc.get_freeze_count()
    end_start()
    assert gc.get_freeze_count() == frozen


def test_commands_collect() -> None:
    """A command runs with the collector on."""
    words = [sys.executable, "-c", _PROGRAM, "models", "list"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "collects: True True" in result.stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
@pytest.mark.parametrize(("wanted", "most"), [(None, 2), ("5", 5)])
def test_arenas(wanted: str | None, most: int) -> None:
    """Threads share two arenas, unless the user has said how many there may be."""
    environment = {name: it for name, it in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    if wanted is not None:
        environment["MALLOC_ARENA_MAX"] = wanted
    words = [sys.executable, "-c", _ARENAS]
    result = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert result.stdout.count("<heap nr=") == most
