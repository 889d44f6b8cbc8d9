"""Makes the wheels of greenroom for every kind of machine, on this one: `make wheels`.

zig compiles the core for each; then every library is looked at: what it needs of the system it
will be loaded on, and that macOS finds the signature that it insists on.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import build_core

if TYPE_CHECKING:
    from collections.abc import Callable

# Libraries that every Windows since 10 has: the system's, and those of C.
WINDOWS: Final = ("kernel32.dll", "api-ms-win-crt-")
_MACH_ARM64: Final = 0x0100000C


class WheelError(Exception):
    """A wheel is not fit for the machines that it is for; the message is for who builds."""


def make(platform: str, folder: Path) -> Path:
    """Build the wheel for a platform, and return where it is.

    Raises
    ------
    WheelError
        If it cannot be built, or its libraries need what the platform may not have.
    """
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(build_core.ROOT / "build" / "zig")}
    env = cache | os.environ | {build_core.PLATFORM_VARIABLE: platform}
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(build_core.ROOT)]
    result = subprocess.run(command, env=env, check=False)  # noqa: S603 - fixed arguments
    wheel = next(folder.glob(f"greenroom-*-py3-none-{platform}*.whl"), None)
    if result.returncode or wheel is None:
        message = f"the wheel for {platform} could not be built; see above."
        raise WheelError(message)
    check(wheel, platform)
    return wheel


def check(wheel: Path, platform: str) -> None:
    """Raise `WheelError` unless all libraries of a wheel can be loaded on its platform."""
    system = build_core.PLATFORMS[platform].split("-")[1].split(".")[0]
    if system == "linux":
        _check_linux(wheel, platform)
        return
    check_library: Callable[[Path], list[str]] = {"macos": macos_faults, "windows": windows_faults}[
        system
    ]
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("greenroom/core/core_")]
        for name in names:
            if faults := check_library(Path(archive.extract(name, scratch))):
                message = f"{name} of {wheel.name} {', '.join(faults)}."
                raise WheelError(message)


def _check_linux(wheel: Path, platform: str) -> None:
    """Ask auditwheel, which knows what each manylinux has."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    said = " ".join(result.stdout.split())
    oldest = re.search(r'platform tag: "manylinux_(\d+)_(\d+)_(\w+)"', said)
    _, major, minor, processor = platform.split("_", 3)
    if (
        oldest is None
        or oldest[3] != processor
        or (int(oldest[1]), int(oldest[2]))
        > (
            int(major),
            int(minor),
        )
    ):
        message = f"{wheel.name} is not fit for {platform}: {said or result.stderr}"
        raise WheelError(message)


def macos_faults(library: Path) -> list[str]:
    """Return what the oldest macOS that it is for would not take of a library."""
    from macholib import MachO, mach_o  # noqa: PLC0415 - is there only where wheels are made

    faults = []
    for header in MachO.MachO(str(library)).headers:
        commands = {command.cmd: content for command, content, _ in header.commands}
        version = commands[mach_o.LC_BUILD_VERSION].minos
        oldest = version >> 16, version >> 8 & 255
        if oldest > tuple(map(int, build_core.MACOS.split("."))):
            faults.append(f"is for macOS {oldest[0]}.{oldest[1]} and later")
        needed = {name for _, _, name in header.walkRelocatables()}
        faults += [f"needs {name}" for name in sorted(needed - {"/usr/lib/libSystem.B.dylib"})]
        is_arm = header.header.cputype == _MACH_ARM64
        if is_arm and mach_o.LC_CODE_SIGNATURE not in commands:
            faults.append("has no signature")
    return faults


def windows_faults(library: Path) -> list[str]:
    """Return what a library needs that Windows does not bring."""
    import pefile  # noqa: PLC0415 - is there only where wheels are made

    with pefile.PE(str(library)) as image:
        needed = [entry.dll.decode().lower() for entry in image.DIRECTORY_ENTRY_IMPORT]
    return [f"needs {name}" for name in needed if not name.startswith(WINDOWS)]


def main() -> None:
    """Make the wheels, and say which."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("dist"), help="the folder for the wheels")
    parser.add_argument("platforms", nargs="*", help=", ".join(build_core.PLATFORMS))
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    for platform in options.platforms or build_core.PLATFORMS:
        try:
            wheel = make(platform, options.to)
        except (WheelError, build_core.CoreError) as error:
            sys.exit(f"no wheel: {error}")
        print(f"{wheel} {wheel.stat().st_size / 1024:.0f} KiB", flush=True)


if __name__ == "__main__":
    main()
