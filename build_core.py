"""Compiles the core of greenroom, which is written in C.

The build hook does it with every wheel, and `make core` after a change of the sources. It takes
the machine's C compiler: what the variable CC says, else the first of cc, gcc and clang that
works, else zig, which pip can install (the package ziglang). With GREENROOM_PLATFORM the core is
compiled by zig for another machine.

Each library says what it was made of, so that nothing is compiled twice.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).resolve().parent
FOLDER: Final = Path("src", "greenroom", "core")
# The requirement of a build where there is no compiler.
ZIG: Final = "ziglang>=0.13"
# The platform tag of the wheel, in place of this machine's.
PLATFORM_VARIABLE: Final = "GREENROOM_PLATFORM"

# Loops that compute with real numbers are vectorised only without errno and traps. zig looks for
# undefined behaviour unless told otherwise.
FLAGS: Final = (
    *("-std=c11", "-O3", "-g0", "-fvisibility=hidden", "-fno-math-errno"),
    *("-fno-trapping-math", "-ffp-contract=fast", "-fno-sanitize=undefined"),
)
# By processor: the builds, and what each may use beyond every processor of the family.
BUILDS: Final = {"x86_64": {"baseline": (), "avx2": ("-mavx2", "-mfma")}}
SUFFIXES: Final = {"linux": ".so", "macos": ".dylib", "windows": ".dll"}
# What every machine with a wheel for Python has; macOS 11 is the first on ARM.
MACOS: Final = "11.0"
# The machines that wheels are made for on any other, by their platform tags.
PLATFORMS: Final = {
    "manylinux_2_17_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64": "aarch64-linux-gnu.2.17",
    "macosx_11_0_x86_64": f"x86_64-macos.{MACOS}",
    "macosx_11_0_arm64": f"aarch64-macos.{MACOS}",
    "win_amd64": "x86_64-windows-gnu",
}
_MARK: Final = b"greenroom core "


class CoreError(Exception):
    """The core cannot be compiled; the message is for the person who builds."""


@dataclass(frozen=True)
class Machine:
    """A kind of machine that the core is compiled for.

    Attributes
    ----------
    system : str
        One of ``linux``, ``macos`` and ``windows``; any other Unix counts as the first.
    processor : str
        Such as ``x86_64`` or ``aarch64``.
    tag : str
        The platform tag of its wheel.
    zig : str
        Its name for zig.
    native : bool
        Whether it is the machine that compiles.
    """

    system: str
    processor: str
    tag: str
    zig: str
    native: bool

    @property
    def builds(self) -> dict[str, tuple[str, ...]]:
        """The builds for it, and the flags of each."""
        return BUILDS.get(self.processor, {"baseline": ()})

    def library(self, build: str) -> str:
        """Return the file name of a build."""
        return f"core_{build}{SUFFIXES[self.system]}"


@dataclass(frozen=True)
class Compiler:
    """A C compiler.

    Attributes
    ----------
    command : tuple of str
        How it is called, with what chooses the machine.
    version : str
        What it says of itself.
    """

    command: tuple[str, ...]
    version: str


def machine() -> Machine:
    """Return the machine that the core is compiled for.

    Raises
    ------
    CoreError
        If the variable names one that nothing is known of.
    """
    wanted = os.environ.get(PLATFORM_VARIABLE)
    if not wanted:
        return _this_machine()
    if wanted not in PLATFORMS:
        message = f"{PLATFORM_VARIABLE} should be one of {', '.join(PLATFORMS)}, not '{wanted}'."
        raise CoreError(message)
    zig = PLATFORMS[wanted]
    processor, system = zig.split("-")[:2]
    return Machine(system.split(".")[0], processor, wanted, zig, native=False)


def _this_machine() -> Machine:
    processor = platform.machine().lower()
    if sys.platform == "win32":  # Python may be for another processor than Windows is
        processor = {"win-amd64": "x86_64", "win32": "x86"}.get(sysconfig.get_platform(), processor)
    processor = {"amd64": "x86_64", "arm64": "aarch64"}.get(processor, processor)
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if sys.platform == "darwin":
        tag = f"macosx_{MACOS.replace('.', '_')}_{platform.machine()}"
        return Machine("macos", processor, tag, f"{processor}-macos.{MACOS}", native=True)
    if sys.platform == "win32":
        return Machine("windows", processor, tag, f"{processor}-windows-gnu", native=True)
    libc = "gnu.2.17" if platform.libc_ver()[0] == "glibc" else "musl"
    return Machine("linux", processor, tag, f"{processor}-linux-{libc}", native=True)


def requirements(machine: Machine) -> list[str]:
    """Return what has to be installed so that the core can be compiled for a machine."""
    return [] if machine.native and (os.environ.get("CC") or _installed(machine)) else [ZIG]


def find_compiler(machine: Machine) -> Compiler:
    """Return the compiler that compiles for a machine.

    Raises
    ------
    CoreError
        If there is none, or CC names one that does not work.
    """
    chosen = os.environ.get("CC")
    if machine.native and chosen:
        command = tuple(shlex.split(chosen, posix=os.name == "posix"))
        if not _works(command, machine):
            message = f"the variable CC says '{chosen}', but that compiles no C11 here."
            raise CoreError(message)
        return _compiler(command)
    if machine.native and (command := _installed(machine)):
        return _compiler(command)
    if importlib.util.find_spec("ziglang") is None:
        message = (
            f"no C compiler was found. Install one (Debian: apt install gcc libc6-dev; macOS: "
            f"xcode-select --install), or zig into {sys.executable}: pip install '{ZIG}'."
        )
        raise CoreError(message)
    return _compiler((sys.executable, "-P", "-m", "ziglang", "cc", "-target", machine.zig))


def _compiler(command: tuple[str, ...]) -> Compiler:
    with tempfile.TemporaryDirectory(prefix="greenroom-build-") as scratch:
        result = _run([*command, "--version"], Path(scratch), Path(scratch))
    return Compiler(command, result.stdout.partition("\n")[0])


def _run(command: Sequence[str], folder: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run a compiler in a folder, in English; zig's caches, 100 MB, are not worth keeping."""
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(scratch), "ZIG_LOCAL_CACHE_DIR": str(scratch)}
    return subprocess.run(  # noqa: S603 - the compiler
        command,
        cwd=folder,
        env=caches | os.environ | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


@cache
def _installed(machine: Machine) -> tuple[str, ...]:
    """Find a compiler of the machine that works."""
    found = (path for name in ("cc", "gcc", "clang") if (path := shutil.which(name)))
    return next(((path,) for path in found if _works((path,), machine)), ())


def _works(command: tuple[str, ...], machine: Machine) -> bool:
    """Try a compiler: some are there in name only, or have no headers."""
    source = "#include <math.h>\n#include <stdlib.h>\nint f(void) { return abs(1); }\n"
    with tempfile.TemporaryDirectory(prefix="greenroom-build-") as scratch:
        Path(scratch, "trial.c").write_text(source, encoding="utf-8")
        options = [*_options(machine, machine.builds["baseline"]), "trial.c", "-lm"]
        try:
            result = _run([*command, *options, "-o", "trial.out"], Path(scratch), Path(scratch))
        except OSError:
            return False
        return result.returncode == 0


def _options(machine: Machine, flags: Iterable[str]) -> list[str]:
    options = ["-shared", *FLAGS, *flags]
    if machine.system != "windows":
        options.append("-fPIC")
    if machine.system == "macos" and machine.native:
        options += ["-arch", platform.machine(), f"-mmacosx-version-min={MACOS}"]
    if machine.system == "linux":
        options.append("-Wl,-z,defs")
    return options


def _strip(machine: Machine) -> list[str]:
    return [] if machine.system == "macos" else ["-s"]


def compile_core(
    sources: Path, target: Path, machine: Machine, extra: Sequence[str] = ()
) -> list[Path]:
    """Compile every build of the core that is not there yet.

    Parameters
    ----------
    sources : Path
        The folder of the sources.
    target : Path
        Where the libraries go; made where it is missing.
    machine : Machine
    extra : sequence of str
        More flags, for a build with symbols.

    Returns
    -------
    list of Path
        The libraries. Each is replaced at once, or left as it was.

    Raises
    ------
    CoreError
        If there is no compiler, or it refuses the sources.
    """
    compiler = find_compiler(machine)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="core_", dir=target) as scratch:

        def make(build: str) -> Path:
            library = target / machine.library(build)
            options = [*_options(machine, machine.builds[build]), *(extra or _strip(machine))]
            if machine.system == "macos":  # else the library says that it is in the scratch folder
                options.append(f"-Wl,-install_name,@rpath/{library.name}")
            digest = _digest(sources, [compiler.version, *compiler.command[1:], *options])
            if not (library.is_file() and _MARK + digest.encode() in library.read_bytes()):
                made = Path(scratch, library.name)
                _compile(sources, made, compiler, [*options, f'-DGR_MADE_OF="{digest}"'])
                made.replace(library)
            return library

        # zig uses all processors by itself, and makes what it needs of the system's libraries once.
        with ThreadPoolExecutor(1 if "ziglang" in compiler.command else os.cpu_count()) as pool:
            return list(pool.map(make, machine.builds))


def _digest(sources: Path, options: Iterable[str]) -> str:
    """Return what a library is made of, as a number."""
    parts = [option.encode() for option in options]
    for path in sorted(sources.glob("*.[ch]")):
        parts += [path.name.encode(), path.read_bytes()]
    sizes = b"".join(len(part).to_bytes(8, "little") for part in parts)
    return hashlib.sha256(sizes + b"".join(parts)).hexdigest()


def _compile(sources: Path, library: Path, compiler: Compiler, options: Iterable[str]) -> None:
    names = sorted(path.name for path in sources.glob("*.c"))
    command = [*compiler.command, *options, *names, "-o", str(library.resolve()), "-lm"]
    result = _run(command, sources, library.parent.resolve())
    if result.returncode:
        message = f"the core does not compile with '{compiler.command[0]}' ({compiler.version}): "
        raise CoreError(message + _first_error(result.stderr))


def _first_error(complaint: str) -> str:
    """Make the end of a sentence of what a compiler wrote."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [
        line for line in lines if re.search(r"\berror\b|\bdefinition of\b|\bundefined\b", line)
    ]
    return (errors or lines or ["it says nothing"])[0].rstrip(".") + "."


def main() -> None:
    """Compile the core beside its sources, for this machine."""
    folder = ROOT / FOLDER
    try:
        compile_core(folder, folder, machine())
    except CoreError as error:
        sys.exit(f"greenroom cannot be built: {error}")


if __name__ == "__main__":
    main()
