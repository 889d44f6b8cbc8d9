"""All checks together: none crashes, none hangs, and what blocks is told from what does not."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import only
from greenroom.doctor import Answer, Finding, System, each_finding, run_checks
from greenroom.doctor.checks import CHECKS, Check
from greenroom.doctor.system import run_program
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doctor.conftest import Machine
    from greenroom.doctor.finding import CheckContext

pytestmark = pytest.mark.usefixtures("no_thread_left", "folders")


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own folders out."""
    for name in ("cache", "data", "config", "state"):
        monkeypatch.setattr(f"platformdirs.user_{name}_path", lambda *_, **__: tmp_path)


def test_this_machine() -> None:
    """On the machine of the tests the main job can be done, and everything is looked at."""
    findings = run_checks()
    assert [each for each in findings if each.blocks] == []
    assert {each.section for each in findings} == {check.section for check in CHECKS}
    assert all(each.message for each in findings)
    engine = next(each for each in findings if each.name == "engine")
    assert engine.status == "ok"
    assert "LiteRT" in engine.message
    assert set(asdict(engine)) == {"name", "status", "message", "fix", "section", "blocks"}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "freebsd13"])
def test_bare_machine(machine: Machine, platform: str) -> None:
    """A machine that tells nothing, and has no program, is no reason to fail."""
    findings = run_checks(system=machine.system(platform=platform, environment={}))
    assert not any("the check failed" in each.message for each in findings)
    assert all(each.fix for each in findings if each.status == "problem")


def test_everything_fails(machine: Machine) -> None:
    """If every query raises, each check that needs one ends with a finding."""

    def fail(*_: object) -> Answer:
        message = "broken\nin two lines"
        raise RuntimeError(message)

    system = machine.system(
        run=fail, cameras=fail, load=fail, version=fail, cores=fail, can_use=fail, group_of=fail
    )
    findings = run_checks(system=system)
    failed = [each for each in findings if "the check failed" in each.message]
    assert {"processor", "cameras"} <= {each.name for each in failed}
    assert "RuntimeError: broken in two lines" in failed[0].message
    assert all(each.status == "problem" for each in failed)
    assert any(each.blocks for each in findings if each.name in ("packages", "av"))
    assert not any(each.blocks for each in findings if each.section == "Camera")


def test_what_was_found_before_a_failure_counts() -> None:
    """A check that fails in the middle keeps what it had found."""

    def look(_: CheckContext) -> Iterator[Finding]:
        yield Finding("first", "ok", "found")
        message = "then this"
        raise ValueError(message)

    first, second = each_finding(checks=[Check("S", "n", look, blocks=True)])
    assert first == Finding("first", "ok", "found")
    assert (second.name, second.section, second.status) == ("n", "S", "problem")
    assert second.blocks
    assert "ValueError: then this" in second.message


def test_check_that_hangs() -> None:
    """One that does not answer is given up, and the others go on."""
    released = threading.Event()

    def hang(_: CheckContext) -> list[Finding]:
        released.wait()
        return [Finding("late", "ok", "never seen")]

    def work(_: CheckContext) -> list[Finding]:
        return [Finding("other", "ok", "found")]

    checks = [Check("S", "slow", hang, 0.05), Check("S", "fast", work)]
    names: list[str] = []
    first, second = each_finding(checks=checks, on_check=names.append)
    released.set()
    assert "no answer within 0.05 s" in first.message
    assert second.name == "other"
    assert names == ["slow", "fast"]


class TestPrograms:
    """Running other programs."""

    def test_answers(self) -> None:
        """Status and text are told; standard input is empty."""
        answer = run_program(["sh", "-c", "cat; echo hello; echo there >&2; exit 3"])
        assert (answer.status, answer.text, answer.worked) == (3, "hello\nthere", False)
        assert run_program(["true"]).worked

    def test_absent(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A program that is not there has no status, and is not late."""
        monkeypatch.setenv("PATH", str(tmp_path))  # another may have folders that nobody may read
        answer = run_program(["greenroom-no-such-program"])
        assert (answer.status, answer.was_late, answer.worked) == (None, False, False)
        assert "No such file" in answer.text

    def test_late(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program that does not end is ended."""
        monkeypatch.setattr("greenroom.doctor.system._TIMEOUT_S", 0.05)
        start = time.monotonic()
        answer = run_program(["sleep", "60"])
        assert time.monotonic() - start < 10
        assert (answer.status, answer.was_late) == (None, True)
        assert "did not answer within 0.05 s" in answer.text


def test_groups_of_this_process(tmp_path: Path) -> None:
    """The real machine can be asked for groups, cores, and access without failing."""
    system = System()
    assert system.own_groups() is not None
    assert system.listed_groups() is not None
    assert system.cores() >= 1
    missing = system.path(str(tmp_path / "nothing"))
    assert not system.can_use(missing)
    assert system.group_of(missing) == "video"


def test_fix_can_be_copied(machine: Machine) -> None:
    """Its pip is that of this very Python, and what a shell would change is quoted."""
    system = machine.system(executable="/my venv/bin/python")
    assert system.pip("install", "greenroom[cuda]", "av>=18") == (
        "'/my venv/bin/python' -m pip install 'greenroom[cuda]' 'av>=18'"
    )


def test_case_knows_where_the_picture_goes(machine: Machine) -> None:
    """Places are told apart by what is before their colon."""
    context = machine.context(Settings(to="camera:/dev/video10, file:a.mp4 ,page"))
    assert context.destinations == {"camera", "file", "page"}


def test_other_loads_are_reported_once(machine: Machine) -> None:
    """A check that finds nothing to say says nothing."""
    assert list(each_finding(system=machine.system(), checks=[Check("S", "n", lambda _: ())])) == []
    assert only([Finding("a", "ok", "b")]).name == "a"
