"""Checks of Python, the installed packages, and the processor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.doctor.finding import CheckContext, Finding, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.doctor.system import System

__all__ = ["check_packages", "check_processor", "check_python", "check_rivals"]

_SECTION: Final = Section("Python")
_PROCESSOR: Final = Section("Processor")
_ARM: Final = frozenset({"aarch64", "arm64"})
_OLDEST: Final = (3, 11)
_NEWEST: Final = (3, 14)
"""The last version that all dependencies had wheels for (pyproject.toml)."""


class _Package(NamedTuple):
    """A dependency: its distribution, its module, and what fails without it."""

    distribution: str
    module: str
    blocks: bool = True
    purpose: str = ""


_PACKAGES: Final = (
    _Package("numpy", "numpy"),
    _Package("opencv-python-headless", "cv2"),
    _Package("av", "av"),
    _Package("ai-edge-litert", "ai_edge_litert.interpreter"),
    _Package("pydantic", "pydantic"),
    _Package("platformdirs", "platformdirs"),
    _Package("requests", "requests"),
    _Package("fastapi", "fastapi", blocks=False, purpose="page"),
    _Package("uvicorn", "uvicorn", blocks=False, purpose="page"),
    _Package("websockets", "websockets", blocks=False, purpose="page"),
    _Package("pyvirtualcam", "pyvirtualcam", blocks=False, purpose="virtual camera"),
)
# Distributions that put their files into the same folder: the last one installed wins.
_RIVALS: Final = (
    (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    (
        "onnxruntime-gpu",
        "onnxruntime-openvino",
        "onnxruntime-directml",
        "onnxruntime",
    ),
)
_BOUND: Final = re.compile(r"\s*([\w.-]+)\s*(?:\[.*\])?\s*>=\s*([\d.]+)[^;]*$")


def check_python(context: CheckContext) -> Iterator[Finding]:
    """Check the version of Python."""
    system = context.system
    version = ".".join(map(str, system.python))
    versions = f"{_version_text(_OLDEST)} to {_version_text(_NEWEST)}"
    usable = f"Install Python {versions}, 64 bit, and greenroom into it."
    if system.python < _OLDEST or system.bits < 64:
        message = (
            f"Python {version}, {system.bits} bit: greenroom needs {_version_text(_OLDEST)}, 64 bit"
        )
        yield _SECTION.problem("python", message, usable, blocks=True)
    elif system.python[:2] > _NEWEST:
        message = f"Python {version} is newer than what greenroom is tested with"
        yield _SECTION.warning("python", message, usable)
    else:
        yield _SECTION.ok("python", f"Python {version}, {system.bits} bit, {system.executable}")


def check_packages(context: CheckContext) -> Iterator[Finding]:
    """Import the dependencies and compare their versions with the required ones."""
    system = context.system
    bounds = dict(filter(None, map(_bound, system.requirements())))
    good = []
    for package in _PACKAGES:
        bound = bounds.get(package.distribution)
        wanted = package.distribution if bound is None else f"{package.distribution}>={bound}"
        try:
            module = system.load(package.module)
        except Exception as error:  # noqa: BLE001 - native libraries raise any exception
            yield _not_imported(system, package, wanted, error)
            continue
        version = system.version(package.distribution) or str(getattr(module, "__version__", "?"))
        if bound is not None and _numbers(version) < _numbers(bound):
            message = f"version {version} is too old: {bound} or newer is needed"
            yield _SECTION.problem(
                package.distribution, message, system.pip("install", "--upgrade", wanted)
            )
        else:
            good.append(f"{package.distribution} {version}")
    if good:
        yield _SECTION.ok("packages", ", ".join(good))


def check_rivals(context: CheckContext) -> Iterator[Finding]:
    """Look for installed packages that overwrite each other's files."""
    system = context.system
    for rivals in _RIVALS:
        here = [name for name in rivals if system.version(name)]
        if len(here) > 1:
            message = (
                f"{' and '.join(here)} are installed together and overwrite each other: which one "
                f"runs is undefined"
            )
            remove = system.pip("uninstall", "-y", *here)
            fix = f"{remove}\n{system.pip('install', here[0])}"
            yield _SECTION.warning(here[0], message, fix)


def _not_imported(system: System, package: _Package, wanted: str, error: Exception) -> Finding:
    reason = " ".join(str(error).split()) or type(error).__name__
    without = "greenroom cannot work" if package.blocks else f"there is no {package.purpose}"
    message = f"cannot be imported, so {without}: {reason}"
    fix = system.pip("install", "--force-reinstall", wanted)
    return _SECTION.problem(package.distribution, message, fix, blocks=package.blocks)


def _bound(requirement: str) -> tuple[str, str] | None:
    """Return the name and lower bound of a requirement; None if it belongs to an extra."""
    found = _BOUND.match(requirement)
    return (found[1], found[2]) if found else None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, without trailing zeros."""
    numbers = [int(part) for part in re.findall(r"\d+", (re.match(r"[\d.]*", version) or [""])[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _version_text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def check_processor(context: CheckContext) -> Iterator[Finding]:
    """Check the vector instructions that inference depends on, and the number of cores."""
    system = context.system
    name, features = _name_and_features(system)
    cores = system.cores()
    limit = _core_limit(system)
    text = f"{name or system.machine}, {cores} core{'s' if cores > 1 else ''}"
    if limit is not None and limit < cores:
        text += f", of which {limit:g} may be used (a limit of this container)"
    wide = "neon" if system.machine.lower() in _ARM else "avx2"
    if features and wide not in features:
        message = f"{text}, without {wide.upper()}: models run, but several times slower"
        yield _PROCESSOR.warning("processor", message, "Set --quality fast and a smaller --size.")
        return
    text += f", {wide.upper()}" if features else ""
    if min(cores, limit or cores) < 2:
        message = f"{text}: one core is enough for a small picture only while a call is running"
        yield _PROCESSOR.warning("processor", message, "Set --quality fast and --size 640x360.")
        return
    yield _PROCESSOR.ok("processor", text)


def _name_and_features(system: System) -> tuple[str, frozenset[str]]:
    """Return the processor's name and instruction sets; empty where unknown."""
    if system.is_linux:
        text = system.read("/proc/cpuinfo")
        name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
        flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
        features = frozenset(flags[1].lower().split() if flags else ())
        # 64-bit ARM calls it Advanced SIMD.
        return name[1] if name else "", features | ({"neon"} if "asimd" in features else set())
    features = frozenset({"neon"} if system.machine.lower() in _ARM else ())
    if system.platform == "darwin":
        name_text = system.run(["sysctl", "-n", "machdep.cpu.brand_string"])
        avx2 = system.run(["sysctl", "-n", "hw.optional.avx2_0"])
        if avx2.worked and avx2.text == "1":
            features |= {"avx2"}
        return name_text.text if name_text.worked else "", features or frozenset({"sse"})
    return system.environment.get("PROCESSOR_IDENTIFIER", ""), features


def _core_limit(system: System) -> float | None:
    """Return the container's CPU quota in cores (control groups 2 and 1); None if unlimited."""
    quota, _, period = system.read("/sys/fs/cgroup/cpu.max").partition(" ")
    if not quota:
        quota = system.read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = system.read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(period):
        return int(quota) / int(period)
    return None
