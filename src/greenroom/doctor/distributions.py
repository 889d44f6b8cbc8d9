"""Which command installs what, in the families of Linux."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greenroom.doctor.system import System

__all__ = ["installs"]

_COMMANDS: Final = {
    "debian": "sudo apt install",
    "fedora": "sudo dnf install",
    "arch": "sudo pacman -S",
    "suse": "sudo zypper install",
}
# Those that do not say themselves what they are like.
_ALIKE: Final = {"ubuntu": "debian", "rhel": "fedora", "opensuse": "suse", "sles": "suse"}


def installs(system: System, packages: Mapping[str, str], otherwise: str) -> str:
    """Return the command that installs packages in this distribution.

    Parameters
    ----------
    system : System
        Its ``/etc/os-release`` says which one it is.
    packages : mapping
        The packages' names by family; ``*`` stands for all others.
    otherwise : str
        What is returned where the family is not known.
    """
    for family in _families(system):
        names = packages.get(family, packages.get("*"))
        if names is not None:
            return f"{_COMMANDS[family]} {names}"
    return otherwise


def _families(system: System) -> list[str]:
    """Return the families that a distribution counts itself among, the nearest first."""
    release = system.read("/etc/os-release").lower()
    words = " ".join(re.findall(r"^id(?:_like)?=[\"']?([^\"'\n]*)", release, re.MULTILINE)).split()
    names = [word.partition("-")[0] for word in words]
    families = [_ALIKE.get(name, name) for name in names]
    return [family for family in families if family in _COMMANDS]
