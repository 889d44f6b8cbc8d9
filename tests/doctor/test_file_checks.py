"""Room, the settings file, and another greenroom."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import only
from greenroom.desktop.instance import Instance
from greenroom.doctor.file_checks import check_config, check_running, check_space
from greenroom.doctor.finding import CheckContext
from greenroom.settings import Settings

if TYPE_CHECKING:
    from doctor.conftest import Machine

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - what shutil returns


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own folders out, and work in a folder of the test's own."""
    for name in ("cache", "data", "config", "state"):
        monkeypatch.setattr(
            f"platformdirs.user_{name}_path", lambda *_, **__: tmp_path / "own/deep"
        )
    monkeypatch.chdir(tmp_path)


class TestSpace:
    """Room on the disk."""

    @pytest.mark.parametrize(
        ("free", "status", "words"),
        [
            (10**11, "ok", "100.0 GB for cache"),
            (10**8, "warning", "has only 100 MB left"),
            (10**6, "problem", "has only 1 MB left"),
        ],
    )
    def test_left(
        self,
        machine: Machine,
        monkeypatch: pytest.MonkeyPatch,
        free: int,
        status: str,
        words: str,
    ) -> None:
        """Little room is a warning, none is a problem, of each folder; none is made."""
        monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10**12, 0, free))
        findings = list(check_space(machine.context()))
        assert {each.status for each in findings} == {status}
        assert words in findings[0].message
        assert len(findings) == (1 if status == "ok" else 3)
        assert not Path("own").exists()

    def test_cannot_be_written_to(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder that is read only is told."""
        monkeypatch.setattr("os.access", lambda *_: False)
        findings = list(check_space(machine.context()))
        assert {each.status for each in findings} == {"warning"}
        assert "cannot be written to" in findings[0].message


class TestConfig:
    """The settings file."""

    def test_none(self, machine: Machine, tmp_path: Path) -> None:
        """Without one it is said where one would be."""
        finding = only(check_config(machine.context()))
        assert finding.status == "ok"
        assert str(tmp_path / "own/deep/greenroom.toml") in finding.message

    def test_own(self, machine: Machine, tmp_path: Path) -> None:
        """The user's own is read, and what it sets is named."""
        path = tmp_path / "own/deep/greenroom.toml"
        path.parent.mkdir(parents=True)
        path.write_text("mirror = true\nbackground = 'blur:0.5'\n")
        assert only(check_config(machine.context())).message == f"{path} sets background, mirror"
        path.write_text("mirrored = true\n")
        finding = only(check_config(machine.context()))
        assert (finding.status, finding.blocks) == ("problem", False)
        assert "did you mean 'mirror'" in finding.message

    def test_named(self, machine: Machine, tmp_path: Path) -> None:
        """One that was named has to be there and right, or nothing works with it."""
        context = CheckContext(Settings(), machine.system(), tmp_path / "mine.toml")
        finding = only(check_config(context))
        assert (finding.status, finding.blocks) == ("problem", True)
        (tmp_path / "mine.toml").write_text("")
        assert only(check_config(context)).message.endswith("mine.toml sets nothing")


class TestRunning:
    """Another greenroom."""

    def test_none(self, machine: Machine) -> None:
        """None is fine."""
        assert "is not running" in only(check_running(machine.context())).message

    def test_one(self, machine: Machine) -> None:
        """One that runs is named by process and page, but its token is kept."""
        with Instance() as instance:
            instance.announce(url="http://127.0.0.1:8477/?token=s3cret")
            finding = only(check_running(machine.context()))
        assert finding.message == (
            f"greenroom runs: process {os.getpid()}, page http://127.0.0.1:8477"
        )
