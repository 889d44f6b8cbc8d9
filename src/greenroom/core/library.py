"""Loader of the core's shared libraries, and declarations of their functions."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["VARIANTS", "function", "variant"]

VARIANTS: Final = ("avx2", "baseline")
"""The builds of the core, the fastest first."""

_SUFFIX: Final = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
# Environment variable that selects a build, for tests and troubleshooting.
_VARIABLE: Final = "GREENROOM_CORE"
_NO_MEMORY: Final = 1
_KINDS: Final = {
    "p": ctypes.c_void_p,
    "i": ctypes.c_int,
    "n": ctypes.c_ssize_t,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}


@cache
def variant() -> str:
    """Return the name of the build in use.

    Raises
    ------
    ImportError
        If it is missing: the package was not built, or for another kind of machine.
    """
    wanted = os.environ.get(_VARIABLE)
    if wanted:
        if wanted not in VARIANTS:
            message = f"{_VARIABLE} should be one of {', '.join(VARIANTS)}, not {wanted!r}"
            raise ImportError(message)
        return wanted
    return "avx2" if _load("baseline").gr_has_avx2() and _path("avx2").exists() else "baseline"


def function(name: str, kinds: str, *, of: str | None = None) -> Callable[..., None]:
    """Declare a function of the core.

    Parameters
    ----------
    name : str
        Without its prefix.
    kinds : str
        Its arguments, a letter for each: ``p`` an address, ``i`` int, ``n`` a size or distance,
        ``f`` float, ``d`` double. Blanks are ignored.
    of : str, optional
        The build, in place of the one in use.

    Returns
    -------
    callable
        Raises `MemoryError` when the core runs out of memory.
    """
    found = getattr(_load(of or variant()), f"gr_{name}")
    found.argtypes = [_KINDS[kind] for kind in kinds.replace(" ", "")]
    found.restype = ctypes.c_int
    found.errcheck = _check
    return found  # type: ignore[no-any-return]


def _check(code: int, function: Any, arguments: object) -> None:  # noqa: ARG001 - ctypes's
    if code == _NO_MEMORY:
        message = f"the core had no memory for {function.__name__}"
        raise MemoryError(message)


@cache
def _load(name: str) -> ctypes.CDLL:
    path = _path(name)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        message = (
            f"greenroom's core cannot be loaded from '{path}': {error}. "
            f"Install greenroom for this machine: pip install --force-reinstall greenroom"
        )
        raise ImportError(message) from error


def _path(name: str) -> Path:
    return Path(__file__).with_name(f"core_{name}{_SUFFIX}")
