"""The machine under examination, replaceable in tests."""

from __future__ import annotations

import importlib
import os
import platform
import re
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from greenroom.devices.cameras import CameraInfo

__all__ = ["Answer", "System", "install_command", "run_program"]

_TIMEOUT_S: Final = 2.0
# Folders of the system administrator's programs, often missing from a user's PATH.
_EXTRA_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_INSTALLERS: Final = {
    "debian": "sudo apt install",
    "fedora": "sudo dnf install",
    "arch": "sudo pacman -S",
    "suse": "sudo zypper install",
}
# Distributions whose os-release has no ID_LIKE.
_FAMILY_OF: Final = {"ubuntu": "debian", "rhel": "fedora", "opensuse": "suse", "sles": "suse"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Exit status and output of a program.

    Attributes
    ----------
    status : int or None
        Exit status; None if the program is missing or timed out.
    text : str
        Output, or the reason for a missing status.
    was_late : bool
        Whether it timed out.
    """

    status: int | None
    text: str = ""
    was_late: bool = False

    @property
    def worked(self) -> bool:
        """Whether it exited with status 0."""
        return self.status == 0


def run_program(command: Sequence[str]) -> Answer:
    """Run a read-only program with a timeout of two seconds."""
    path = f"{os.environ.get('PATH', os.defpath)}:{_EXTRA_PATH}" if os.name == "posix" else None
    environment = os.environ | {"LC_ALL": "C"} | ({"PATH": path} if path else {})
    try:
        done = subprocess.run(  # noqa: S603 - the commands are the doctor's own
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return Answer(None, f"'{command[0]}' did not answer within {_TIMEOUT_S:g} s", was_late=True)
    except OSError as error:
        return Answer(None, f"'{command[0]}' cannot be run: {error.strerror}")
    return Answer(done.returncode, done.stdout.decode("utf-8", "replace").strip())


def _machine() -> str:
    return platform.machine()


def _release() -> str:
    return platform.release()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> tuple[str, ...]:
    return tuple(metadata.requires("greenroom") or ())


def _cameras() -> Sequence[CameraInfo]:
    from greenroom.devices.cameras import list_cameras

    return list_cameras()


def _own_groups() -> frozenset[str]:
    """Return the names of this process's groups."""
    if sys.platform == "win32":
        return frozenset()
    import grp

    known = {group.gr_gid: group.gr_name for group in grp.getgrall()}
    return frozenset(known.get(number, "") for number in (*os.getgroups(), os.getegid()))


def _listed_groups() -> frozenset[str]:
    """Return the names of the user's groups as of the next login."""
    if sys.platform == "win32":
        return frozenset()
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container
        return frozenset()
    return frozenset(group.gr_name for group in grp.getgrall() if user in group.gr_mem)


def _group_of(path: Path) -> str:
    try:
        return path.group()
    except (OSError, KeyError, NotImplementedError):
        return "video"


def _can_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class System:
    """The machine, queried read-only.

    Attributes
    ----------
    platform, machine, release : str
        As in `sys.platform`, `platform.machine` and `platform.release`.
    root : Path
        Root of the file system with ``/proc``, ``/sys``, ``/dev`` and ``/etc``.
    environment : mapping
        Environment variables.
    python : (int, int, int)
        Version of Python.
    bits : int
        Pointer size of the interpreter.
    executable : str
        Path of the interpreter.
    run : callable
        Runs a read-only program.
    version : callable
        Returns the version of an installed distribution, or None.
    requirements : callable
        Returns the requirements in greenroom's metadata.
    load : callable
        Imports a module by its name.
    cameras : callable
        Lists the cameras.
    own_groups, listed_groups : callable
        Groups of the process now, and of the user as of the next login.
    group_of : callable
        Returns the group of a file.
    can_use : callable
        Whether a device may be read and written.
    cores : callable
        Returns the number of cores available to this process.
    """

    platform: str = sys.platform
    machine: str = field(default_factory=_machine)
    release: str = field(default_factory=_release)
    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    python: tuple[int, int, int] = sys.version_info[:3]
    bits: int = 8 * struct.calcsize("P")
    executable: str = sys.executable
    run: Callable[[Sequence[str]], Answer] = run_program
    version: Callable[[str], str | None] = _version
    requirements: Callable[[], Sequence[str]] = _requirements
    load: Callable[[str], object] = importlib.import_module
    cameras: Callable[[], Sequence[CameraInfo]] = _cameras
    own_groups: Callable[[], frozenset[str]] = _own_groups
    listed_groups: Callable[[], frozenset[str]] = _listed_groups
    group_of: Callable[[Path], str] = _group_of
    can_use: Callable[[Path], bool] = _can_use
    cores: Callable[[], int] = _cores

    @property
    def is_linux(self) -> bool:
        """Whether it is Linux."""
        return self.platform.startswith("linux")

    @property
    def is_container(self) -> bool:
        """Whether it is a Docker or Podman container."""
        return any(self.path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))

    def path(self, path: str) -> Path:
        """Return a path of the system under its root."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str:
        """Return the text of a system file; empty if it cannot be read."""
        try:
            return self.path(path).read_text("utf-8", "replace").strip("\0\n ")
        except OSError:
            return ""

    def glob(self, pattern: str) -> list[Path]:
        """Return the system paths that match a pattern, sorted."""
        try:
            return sorted(self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []

    def runs(self, *names: str) -> bool:
        """Whether a program of one of these names runs (Linux only).

        Linux truncates process names to 15 characters.
        """
        wanted = {name[:15] for name in names}
        found = self.glob("/proc/[0-9]*/comm")
        return any(self.read(f"/proc/{path.parent.name}/comm") in wanted for path in found)

    def pip(self, *arguments: str) -> str:
        """Return a command line for the pip of this Python."""
        return " ".join((_quoted(self.executable), "-m pip", *map(_quoted, arguments)))


def _quoted(word: str) -> str:
    """Quote a word for POSIX shells and PowerShell."""
    plain = all(letter.isalnum() or letter in "-_./:\\=+~@%" for letter in word)
    return word if plain else f"'{word}'"


def install_command(system: System, packages: Mapping[str, str], otherwise: str) -> str:
    """Return the command that installs packages on this Linux distribution.

    Parameters
    ----------
    system : System
        The machine; its ``/etc/os-release`` names the distribution.
    packages : mapping
        Package names by family; ``*`` stands for all others.
    otherwise : str
        Returned where the family is unknown.
    """
    for family in _families(system):
        names = packages.get(family, packages.get("*"))
        if names is not None:
            return f"{_INSTALLERS[family]} {names}"
    return otherwise


def _families(system: System) -> list[str]:
    """Return the families of the distribution, the nearest first."""
    release = system.read("/etc/os-release").lower()
    words = " ".join(re.findall(r"^id(?:_like)?=[\"']?([^\"'\n]*)", release, re.MULTILINE)).split()
    names = [word.partition("-")[0] for word in words]
    families = [_FAMILY_OF.get(name, name) for name in names]
    return [family for family in families if family in _INSTALLERS]
