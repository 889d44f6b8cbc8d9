"""A Python for 64-bit ARM with packages of its own, which runs here under qemu.

Nothing of it is installed: Debian's packages are downloaded by an apt with a memory of its own,
and unpacked into a folder.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

EMULATOR: Final = "qemu-aarch64"
TOOLS: Final = (EMULATOR, "apt-get", "dpkg")
PACKAGES: Final = ("python3-minimal", "libpython3-stdlib", "libstdc++6")


class Arm64Error(Exception):
    """It cannot be had here."""


@dataclass(frozen=True)
class Arm64:
    """An unpacked system, and a folder of Python packages."""

    root: Path
    site: Path

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run its Python."""
        env = {"HOME": str(self.site), "PATH": os.environ["PATH"], "PYTHONPATH": str(self.site)}
        command: list[str | Path] = [EMULATOR, "-L", self.root, self.python(), *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    def python(self) -> Path:
        """Return where its Python is."""
        return next((self.root / "usr" / "bin").glob("python3.*[0-9]"))

    def install(self, *requirements: str | Path) -> None:
        """Install wheels that are for this kind of machine."""
        version = self.python().name.removeprefix("python")
        glibc = (17, 24, 26, 27, 28, 31, 34)
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in glibc]
        options = ["--quiet", "--only-binary=:all:", f"--python-version={version}", *platforms]
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--target",
            self.site,
            *options,
        ]
        _call(pip + list(requirements))


def same_version(package: str) -> str:
    """Return the requirement of a package in the version that is installed here."""
    return f"{package}=={importlib.metadata.version(package)}"


def unpack(folder: Path) -> Arm64:
    """Download and unpack a Python.

    Raises
    ------
    Arm64Error
        If there is no qemu, no apt, or nothing that it could download from.
    """
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        message = f"{', '.join(missing)} is not installed"
        raise Arm64Error(message)
    state, cache, root = folder / "state", folder / "cache", folder / "root"
    for path in (state / "lists" / "partial", cache / "archives" / "partial", root):
        path.mkdir(parents=True)
    (state / "status").touch()
    settings = folder / "apt.conf"
    settings.write_text(
        f'Dir::State "{state}";\nDir::State::status "{state / "status"}";\n'
        f'Dir::Cache "{cache}";\nAPT::Architecture "arm64";\nAPT::Architectures {{ "arm64"; }};\n'
        'APT::Sandbox::User "root";\nDebug::NoLocking "1";\n',
        encoding="utf-8",
    )
    env = os.environ | {"APT_CONFIG": str(settings)}
    _call(["apt-get", "-qq", "update"], env)
    options = ["-qq", "--yes", "--no-install-recommends", "--download-only"]
    _call(["apt-get", *options, "install", *PACKAGES], env)
    for package in sorted((cache / "archives").glob("*.deb")):
        _call(["dpkg", "-x", package, root])
    return Arm64(root, folder / "site")


def _call(command: list[str | Path], env: dict[str, str] | None = None) -> None:
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["nothing"])[-1]
        message = f"{command[0]} says: {last}"
        raise Arm64Error(message)
