"""Python, and the packages that matter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.doctor.finding import Case, Finding, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.doctor.system import System

__all__ = ["check_packages", "check_python", "check_rivals"]

_SECTION: Final = Section("Python")
_OLDEST: Final = (3, 11)
_NEWEST: Final = (3, 14)
"""The last version that all dependencies had wheels for (pyproject.toml)."""


class _Package(NamedTuple):
    """A distribution, what is imported of it, and whether nothing works without it."""

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


def check_python(case: Case) -> Iterator[Finding]:
    """Look at the version of Python."""
    system = case.system
    version = ".".join(map(str, system.python))
    usable = f"Install Python {_said(_OLDEST)} to {_said(_NEWEST)}, 64 bit, and greenroom into it."
    if system.python < _OLDEST or system.bits < 64:
        message = f"Python {version}, {system.bits} bit: greenroom needs {_said(_OLDEST)}, 64 bit"
        yield _SECTION.problem("python", message, usable, blocks=True)
    elif system.python[:2] > _NEWEST:
        message = f"Python {version} is newer than what greenroom is tested with"
        yield _SECTION.warning("python", message, usable)
    else:
        yield _SECTION.ok("python", f"Python {version}, {system.bits} bit, {system.executable}")


def check_packages(case: Case) -> Iterator[Finding]:
    """Import what greenroom is built on, and compare versions with those that it needs."""
    system = case.system
    bounds = dict(filter(None, map(_bound, system.requirements())))
    good = []
    for package in _PACKAGES:
        bound = bounds.get(package.distribution)
        wanted = package.distribution if bound is None else f"{package.distribution}>={bound}"
        try:
            module = system.load(package.module)
        except Exception as error:  # noqa: BLE001 - native libraries raise whatever they like
            yield _not_imported(system, package, wanted, error)
            continue
        version = system.version(package.distribution) or str(getattr(module, "__version__", "?"))
        if bound is not None and _is_older(version, bound):
            message = f"version {version} is too old: {bound} or newer is needed"
            yield _SECTION.problem(
                package.distribution, message, system.pip("install", "--upgrade", wanted)
            )
        else:
            good.append(f"{package.distribution} {version}")
    if good:
        yield _SECTION.ok("packages", ", ".join(good))


def check_rivals(case: Case) -> Iterator[Finding]:
    """Look for packages that overwrite each other's files."""
    system = case.system
    for rivals in _RIVALS:
        here = [name for name in rivals if system.version(name)]
        if len(here) > 1:
            message = (
                f"{' and '.join(here)} are installed together and overwrite each other: which one "
                f"runs is chance"
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
    """Return name and lower bound of a requirement that no extra brings."""
    found = _BOUND.match(requirement)
    return (found[1], found[2]) if found else None


def _is_older(version: str, bound: str) -> bool:
    return _numbers(version) < _numbers(bound)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, without zeros at the end."""
    numbers = [int(part) for part in re.findall(r"\d+", (re.match(r"[\d.]*", version) or [""])[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _said(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
