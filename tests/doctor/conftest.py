"""Simulated machines for the doctor."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from greenroom.doctor import Answer, System
from greenroom.doctor.finding import CheckContext
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from greenroom.doctor.finding import Finding

ABSENT = Answer(None, "no such program")


@dataclass
class Machine:
    """A machine simulated by files in a folder and by canned answers of programs."""

    root: Path
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def write(self, texts: dict[str, str]) -> None:
        """Write files by their paths; one that ends in / is a folder."""
        for name, text in texts.items():
            path = self.root / name.lstrip("/")
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, command: Sequence[str]) -> Answer:
        """Answer as the first of the programs whose pattern is found in the command."""
        line = " ".join(command)
        self.asked.append(line)
        for pattern, answer in self.answers.items():
            if re.search(pattern, line):
                return answer
        return ABSENT

    def system(self, **values: Any) -> System:
        """Return it as the doctor sees it, by default Linux."""
        usual: dict[str, Any] = {
            "platform": "linux",
            "machine": "x86_64",
            "release": "6.1.0-31-amd64",
            "root": self.root,
            "environment": {"XDG_RUNTIME_DIR": "/run/user/1000"},
            "executable": "/venv/bin/python",
            "run": self.run,
            "cameras": list,
            "own_groups": frozenset,
            "listed_groups": frozenset,
            "group_of": lambda _: "video",
            "can_use": lambda _: True,
            "cores": lambda: 4,
        }
        return System(**(usual | values))

    def context(self, settings: Settings | None = None, **values: Any) -> CheckContext:
        """Return a context for checks of it."""
        return CheckContext(settings or Settings(), self.system(**values))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return an empty machine."""
    return Machine(tmp_path / "machine")


def only(findings: Iterable[Finding]) -> Finding:
    """Return the one finding."""
    (finding,) = findings
    return finding
