"""A start without work that nobody asked for."""

from __future__ import annotations

import gc
import os
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
