"""The machine as the doctor sees it; tests give it another one."""

from __future__ import annotations

import importlib
import os
import platform
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

__all__ = ["Answer", "System", "run_program"]

_TIMEOUT_S: Final = 2.0
# Programs of the system administrator, which are not always on a user's path.
_EXTRA_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program answered.

    Attributes
    ----------
    status : int or None
        Its exit status; None if there is no such program, or it was too late.
    text : str
        What it printed; why there is no status.
    was_late: bool
        Whether it did not answer in time.
    """

    status: int | None
    text: str = ""
    was_late: bool = False

    @property
    def worked(self) -> bool:
        """Whether it ended with status 0."""
        return self.status == 0


def run_program(command: Sequence[str]) -> Answer:
    """Run a program that only looks, for two seconds at most."""
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
    from greenroom.devices.cameras import list_cameras  # noqa: PLC0415 - it needs PyAV

    return list_cameras()


def _own_groups() -> frozenset[str]:
    """Return the names of the groups that this process is in."""
    if sys.platform == "win32":
        return frozenset()
    import grp  # noqa: PLC0415 - of POSIX only

    known = {group.gr_gid: group.gr_name for group in grp.getgrall()}
    return frozenset(known.get(number, "") for number in (*os.getgroups(), os.getegid()))


def _listed_groups() -> frozenset[str]:
    """Return the names of the groups that this user is in, from the next login on."""
    if sys.platform == "win32":
        return frozenset()
    import grp  # noqa: PLC0415 - of POSIX only
    import pwd  # noqa: PLC0415

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
    """Return on how many cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class System:
    """The machine, and everything that is asked of it. All is read; nothing is changed.

    Attributes
    ----------
    platform, machine, release : str
        As `sys.platform`, `platform.machine` and `platform.release` tell.
    root : Path
        Under which ``/proc``, ``/sys``, ``/dev`` and ``/etc`` are.
    environment : mapping
        Environment variables.
    python : (int, int, int)
        Version of Python.
    bits : int
        Of its pointers.
    executable : str
        Its path.
    run : callable
        Runs a program that only looks.
    version : callable
        Tells the version of an installed distribution, or None.
    requirements : callable
        Tells what greenroom's own metadata require.
    load : callable
        Imports a module by its name.
    cameras : callable
        Lists the cameras.
    own_groups, listed_groups : callable
        Groups that the process is in now, and that the user is in from the next login on.
    group_of : callable
        Tells the group of a file.
    can_use : callable
        Tells whether a device may be read and written.
    cores : callable
        Tells on how many cores this process may run.
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
        """Whether it is a container of Docker or Podman, as far as these tell."""
        return any(self.path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))

    def path(self, path: str) -> Path:
        """Return where a path of the system is, seen from its root."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str:
        """Return the text of a file of the system; empty if it cannot be read."""
        try:
            return self.path(path).read_text("utf-8", "replace").strip("\0\n ")
        except OSError:
            return ""

    def glob(self, pattern: str) -> list[Path]:
        """Return the paths of the system that match a pattern, sorted."""
        try:
            return sorted(self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []

    def runs(self, *names: str) -> bool:
        """Whether a program of one of these names runs, as far as Linux tells.

        Linux cuts names off after 15 characters.
        """
        wanted = {name[:15] for name in names}
        found = self.glob("/proc/[0-9]*/comm")
        return any(self.read(f"/proc/{path.parent.name}/comm") in wanted for path in found)

    def pip(self, *arguments: str) -> str:
        """Return the command that runs pip of this very Python."""
        return " ".join((_quoted(self.executable), "-m pip", *map(_quoted, arguments)))


def _quoted(word: str) -> str:
    """Quote a word for a shell, so that it is right in PowerShell, too."""
    plain = all(letter.isalnum() or letter in "-_./:\\=+~@%" for letter in word)
    return word if plain else f"'{word}'"
