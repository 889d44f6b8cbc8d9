"""One instance at a time, found by others while it runs and not after."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from greenroom.desktop.instance import Instance, InstanceRecord, running
from greenroom.errors import GreenroomError

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 20.0
HOLDER = """
import sys, time
from pathlib import Path
from greenroom.desktop.instance import Instance
instance = Instance(Path(sys.argv[1]))
instance.acquire()
instance.announce(url="http://127.0.0.1:9999/#token=abc")
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that is not there yet."""
    return tmp_path / "state" / "greenroom"


def test_nobody(folder: Path) -> None:
    """Without an instance there is no record, and looking makes nothing."""
    assert running(folder) is None
    assert not folder.exists()


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Command and instance meet in the user's folder for state."""
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: tmp_path)
    with Instance():
        record = running()
    assert record is not None
    assert record.pid == os.getpid()


def test_while_it_runs(folder: Path) -> None:
    """The record says process, page and time, and what was told since."""
    before = time.time()
    with Instance(folder) as instance:
        record = running(folder)
        assert record is not None
        assert (record.pid, record.url, record.covered) == (os.getpid(), "", None)
        assert before <= record.started_s <= time.time()
        instance.announce(url="http://127.0.0.1:8765/#token=s3cret")
        instance.announce(covered=True)
        record = running(folder)
        assert record is not None
        assert (record.url, record.covered) == ("http://127.0.0.1:8765/#token=s3cret", True)
        instance.announce(covered=False)
        record = running(folder)
        assert record is not None
        assert record.covered is False
    assert running(folder) is None


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
def test_is_private(folder: Path) -> None:
    """Nobody else can read the token."""
    folder.mkdir(parents=True, mode=0o755)
    with Instance(folder) as instance:
        instance.announce(url="http://127.0.0.1:8765/#token=s3cret")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_second(folder: Path) -> None:
    """A second instance is told which one runs and how to end it; the first one goes on."""
    with Instance(folder) as first:
        first.announce(url="http://127.0.0.1:8765/#token=s3cret")
        with pytest.raises(GreenroomError) as error:
            Instance(folder).acquire()
        assert f"process {os.getpid()}, page http://127.0.0.1:8765)" in str(error.value)
        assert "s3cret" not in str(error.value)
        assert f"kill {os.getpid()}" in str(error.value) or os.name == "nt"
        assert running(folder) is not None
    with Instance(folder):
        assert running(folder) is not None


def test_looking_does_not_hinder(folder: Path) -> None:
    """Those who look whether one runs do not keep one from starting."""
    for _ in range(3):
        with Instance(folder):
            assert running(folder) is not None
        assert running(folder) is None


def test_crash(folder: Path) -> None:
    """What an instance that was killed leaves behind is no instance, and is taken over."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        record = running(folder)
        assert record is not None
        assert (record.pid, record.token) == (process.pid, "abc")
        with pytest.raises(GreenroomError, match=f"process {process.pid}"):
            Instance(folder).acquire()
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)
    assert list(folder.glob("*.json"))
    assert running(folder) is None
    with Instance(folder):
        record = running(folder)
        assert record is not None
        assert (record.pid, record.url) == (os.getpid(), "")


def test_record_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has not written its record, or something else, runs all the same."""
    monkeypatch.setattr("greenroom.desktop.instance._RECORD_S", 0)
    with Instance(folder):
        (path,) = folder.glob("*.json")
        for text in ("", "{", '{"pid": "many"}', "[]"):
            path.write_text(text)
            assert running(folder) == InstanceRecord()
        path.unlink()
        with pytest.raises(GreenroomError, match=r"runs already\. Stop it first"):
            Instance(folder).acquire()


def test_release_twice(folder: Path) -> None:
    """Releasing again does nothing, and what is announced then is not written."""
    instance = Instance(folder)
    instance.release()
    instance.acquire()
    instance.release()
    instance.release()
    instance.announce(url="http://127.0.0.1:1/")
    assert running(folder) is None
    assert not list(folder.glob("*.json"))


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Where nothing can be written, an error says which folder and what to do."""
    (tmp_path / "state").write_text("")
    with pytest.raises(GreenroomError, match=r"cannot be written to: .*XDG_STATE_HOME"):
        Instance(tmp_path / "state" / "greenroom").acquire()


def test_record_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than a record that is no longer true there is none, and nothing is raised."""
    with Instance(folder) as instance:
        instance.announce(covered=False)
        monkeypatch.setattr("greenroom.desktop.instance._RECORD_S", 0)
        failing = Mock(side_effect=OSError(28, "No space left on device"))
        monkeypatch.setattr("greenroom.desktop.instance.atomic_file", failing)
        instance.announce(covered=True)
        assert running(folder) == InstanceRecord()


@pytest.mark.parametrize(
    ("url", "address", "token"),
    [
        ("http://127.0.0.1:8765/?token=a-b_c", "http://127.0.0.1:8765", "a-b_c"),
        ("http://127.0.0.1:8765/#token=a", "http://127.0.0.1:8765", "a"),
        ("http://[::1]:80/", "http://[::1]:80", ""),
        ("", "", ""),
    ],
)
def test_address_and_token(url: str, address: str, token: str) -> None:
    """A page's address can be shown without the token that opens it."""
    record = InstanceRecord(url=url)
    assert (record.address, record.token) == (address, token)
