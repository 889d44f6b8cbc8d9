"""``greenroom doctor``: what a user sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import pytest

from greenroom.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Run

DEADLINE_S: Final = 120.0
FINDINGS: Final = [
    Finding("python", "ok", "Python 3.11", "", "Python"),
    Finding("camera", "problem", "no [camera]", "sudo one\nsudo two", "Camera"),
    Finding("pipewire", "warning", "not here", "sudo " + "long " * 40, "Virtual camera"),
]


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own folders out."""
    for name in ("data", "config", "state"):
        monkeypatch.setattr(f"platformdirs.user_{name}_path", lambda *_, **__: tmp_path / "own")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Choose what the doctor finds."""
    findings = list(FINDINGS)

    def find(*_: object, **__: object) -> Iterator[Finding]:
        yield from findings

    monkeypatch.setattr("greenroom.cli.doctor.each_finding", find)
    return findings


def test_plain(run: Run, found: list[Finding]) -> None:
    """Without a terminal there are plain lines, of which none is broken; commands stand alone."""
    assert len(found) == 3
    result = run("doctor")
    assert (result.status, result.err) == (0, "")
    assert [line.rstrip() for line in result.out.splitlines()] == [
        "Python",
        "  ok       Python 3.11",
        "Camera",
        "  problem  camera: no [camera]",
        "           sudo one",
        "           sudo two",
        "Virtual camera",
        "  warning  pipewire: not here",
        ("           sudo " + "long " * 40).rstrip(),
        "greenroom can work here, with 1 problem and 1 warning.",
    ]


def test_blocked(run: Run, found: list[Finding]) -> None:
    """Where the main job cannot be done, the status says so."""
    found.append(Finding("av", "problem", "cannot be imported", "pip install av", "Python", True))  # noqa: FBT003
    result = run("doctor")
    assert result.status == 1
    assert result.out.endswith("greenroom cannot work here: 2 problems and 1 warning.\n")


@pytest.mark.parametrize("works", [True, False])
def test_json(run: Run, found: list[Finding], *, works: bool) -> None:
    """JSON has every finding and the verdict, and the same status."""
    if not works:
        found.append(Finding("av", "problem", "broken", "", "Python", blocks=True))
    result = run("doctor", "--json")
    assert result.status == (0 if works else 1)
    read = json.loads(result.out)
    assert read["works"] is works
    assert [Finding(**each) for each in read["findings"]] == found


def test_this_machine(run: Run) -> None:
    """On the machine of the tests it says that the main job can be done."""
    result = run("doctor", "--json")
    assert result.status == 0
    read = json.loads(result.out)
    names = {each["name"] for each in read["findings"]}
    assert {"python", "packages", "processor", "engine", "model", "space", "settings"} <= names


@pytest.mark.parametrize(
    ("text", "words"),
    [("threads = 0\n", "setting 'threads'"), ("model = 'selfy'\n", "did you mean 'selfie")],
)
def test_settings_file(run: Run, tmp_path: Path, text: str, words: str) -> None:
    """A settings file that was named and cannot be used blocks."""
    (tmp_path / "mine.toml").write_text(text)
    result = run("doctor", "--config", "mine.toml")
    assert result.status == 1
    assert words in result.out


def test_settings_decide_what_is_a_problem(run: Run, tmp_path: Path) -> None:
    """What the settings do not ask for is at most a warning."""
    (tmp_path / "mine.toml").write_text("source = 'demo'\nto = 'page'\n")
    read = json.loads(run("doctor", "--config", "mine.toml", "--json").out)
    assert [each for each in read["findings"] if each["status"] == "problem"] == []


def test_package_that_is_broken(tmp_path: Path) -> None:
    """The doctor itself works where a package that it looks at does not."""
    (tmp_path / "av").mkdir()
    (tmp_path / "av/__init__.py").write_text("raise ImportError('libav is not here')\n")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "HOME": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "-m", "greenroom", "doctor"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 1
    assert (
        "problem  av: cannot be imported, so greenroom cannot work: libav is not" in result.stdout
    )
    assert "-m pip install --force-reinstall 'av>=" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_terminal(tmp_path: Path) -> None:
    """On a terminal there are colours, and lines are still not broken."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    main, other = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "60", "HOME": str(tmp_path)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "greenroom", "doctor"],
        env=environment,
        cwd=tmp_path,
        stdout=other,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    os.close(other)
    text, end = b"", time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            part = os.read(main, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    assert process.wait(DEADLINE_S) == 0
    os.close(main)
    assert b"\x1b[32mok" in text
    assert any(len(line) > 80 for line in text.split(b"\r\n"))
