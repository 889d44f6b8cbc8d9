"""Findings, and the context of an examination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.doctor.system import System
    from greenroom.settings import Settings

__all__ = ["CheckContext", "Finding", "Section", "Status", "join_group"]

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes
    ----------
    name : str
        The subject, in one or two words.
    status : str
        ``ok``; ``warning``: works, but not as well as it could, or not everywhere; ``problem``:
        something that the settings require does not work.
    message : str
        The state found, and its consequence.
    fix : str
        Commands to paste into a shell, one a line; manual steps are shell comments. A sentence
        where no command helps.
    section : str
        The heading it belongs to.
    blocks : bool
        Whether greenroom's main job, replacing backgrounds, cannot be done.
    """

    name: str
    status: Status
    message: str
    fix: str = ""
    section: str = ""
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Factory for the findings under one heading."""

    title: str

    def ok(self, name: str, message: str, fix: str = "") -> Finding:
        """Report that something is in order."""
        return Finding(name, "ok", message, fix, self.title)

    def warning(self, name: str, message: str, fix: str = "") -> Finding:
        """Report that something works, but not as well as it could."""
        return Finding(name, "warning", message, fix, self.title)

    def problem(self, name: str, message: str, fix: str = "", *, blocks: bool = False) -> Finding:
        """Report that something does not work."""
        return Finding(name, "problem", message, fix, self.title, blocks)

    def missing(self, name: str, message: str, fix: str, *, wanted: bool) -> Finding:
        """Report that something is missing: a problem if the settings require it."""
        return self.problem(name, message, fix) if wanted else self.warning(name, message, fix)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The settings and the machine under examination.

    Attributes
    ----------
    settings : Settings
        The settings in force.
    system : System
        The machine.
    config : Path or None
        The settings file given by the user.
    """

    settings: Settings
    system: System
    config: Path | None = None

    @property
    def destinations(self) -> frozenset[str]:
        """The kinds of outputs asked for, such as ``camera`` and ``page``."""
        return frozenset(part.strip().partition(":")[0] for part in self.settings.to.split(","))


def join_group(group: str) -> str:
    """Return the fix for a device restricted to members of a group."""
    return f"sudo usermod -aG {group} $USER\n# Then log out and in again."
