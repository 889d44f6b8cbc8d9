"""The systemd unit, as systemd itself reads it."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.commands import assert_flags_exist, configured

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = "/opt/greenroom/bin/greenroom"
# Tenths of systemd's measure of exposure, of 100; a service without a sandbox has 96.
MOST_EXPOSED = "15"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit, with a command that is here."""
    path = tmp_path / "greenroom.service"
    path.write_text(configured("greenroom.service", {COMMAND: sys.executable}))
    return path


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, or skip the test."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here")
    return subprocess.run(
        [program, "--no-pager", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_systemd_takes_every_line(unit: Path) -> None:
    """Nothing in it is unknown or ignored."""
    result = analyzed("verify", str(unit))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_sandbox_is_tight(unit: Path) -> None:
    """The exposure that systemd finds is small."""
    result = analyzed("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit))
    assert result.returncode == 0, result.stdout + result.stderr


def test_parts_of_the_sandbox_that_matter_most(unit: Path) -> None:
    """The file system is read-only, devices are private, and the user exists only while it runs."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    service = parser["Service"]
    assert service["ProtectSystem"] == "strict"
    for name in ("DynamicUser", "PrivateDevices", "PrivateTmp", "ProtectHome", "NoNewPrivileges"):
        assert service[name] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    command = service["ExecStart"]
    assert "--tokens=" in command
    assert_flags_exist(command.split()[1:])
    grace_s = 10
    assert int(service["TimeoutStopSec"]) > grace_s + 5
