"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.doctor.system import System
    from greenroom.settings import Settings

__all__ = ["Case", "Finding", "Section", "Status", "joining"]

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What it is: one or two words.
    status : str
        ``ok``; ``warning``: works, but not as well as it could, or not everywhere; ``problem``:
        something that the settings ask for does not work.
    message : str
        What is there, and what that means.
    fix : str
        Commands to copy, a line each; what else is to be done beside them is a comment of the
        shell's, so that all of it can be pasted. A sentence where no command does it.
    section : str
        What it belongs to.
    blocks : bool
        Whether greenroom's main job, giving pictures another background, cannot be done.
    """

    name: str
    status: Status
    message: str
    fix: str = ""
    section: str = ""
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Makes the findings of one subject."""

    title: str

    def ok(self, name: str, message: str, fix: str = "") -> Finding:
        """Say that something is as it should be."""
        return Finding(name, "ok", message, fix, self.title)

    def warning(self, name: str, message: str, fix: str = "") -> Finding:
        """Say that something could be better."""
        return Finding(name, "warning", message, fix, self.title)

    def problem(self, name: str, message: str, fix: str = "", *, blocks: bool = False) -> Finding:
        """Say that something does not work."""
        return Finding(name, "problem", message, fix, self.title, blocks)

    def missing(self, name: str, message: str, fix: str, *, wanted: bool) -> Finding:
        """Say that something is not here: a problem if the settings ask for it."""
        return self.problem(name, message, fix) if wanted else self.warning(name, message, fix)


@dataclass(frozen=True, slots=True)
class Case:
    """What is examined.

    Attributes
    ----------
    settings : Settings
        What is asked for.
    system : System
        The machine.
    config : Path or None
        The settings file that the user named.
    """

    settings: Settings
    system: System
    config: Path | None = None

    @property
    def destinations(self) -> frozenset[str]:
        """The kinds of places that the picture is to go to, such as ``camera`` and ``page``."""
        return frozenset(part.strip().partition(":")[0] for part in self.settings.to.split(","))


def joining(group: str) -> str:
    """Return the fix for a device that only members of a group may use."""
    return f"sudo usermod -aG {group} $USER\n# Then log out and in again."
