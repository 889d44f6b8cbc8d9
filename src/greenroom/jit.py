"""How numba kernels are compiled and where they are cached.

A kernel has one explicit signature, so there is one compilation, and it is cached on
disk: beside the package where that can be written, otherwise in the user's cache
directory, otherwise not at all. None of this touches numba's own settings, which belong
to the application.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numba
import platformdirs
from numba.core import config, event, types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "FLOATS",
    "FLOATS3",
    "MATTE",
    "PLANE",
    "READ_FLOATS",
    "READ_FLOATS3",
    "READ_MATTE",
    "READ_PLANE",
    "kernel",
    "telling_of_compilation",
    "types",
]

P = ParamSpec("P")
R = TypeVar("R")

# "A" takes any strides: a plane from FFmpeg is padded at the end of its rows. LLVM makes a
# second version of the loop for samples that lie side by side, which ours always do.
PLANE = types.Array(types.uint8, 2, "A")
# Arrays that are always ours are contiguous, which LLVM makes more of.
MATTE = types.Array(types.uint8, 2, "C")
FLOATS = types.Array(types.float32, 2, "C")
FLOATS3 = types.Array(types.float32, 3, "C")
# What a kernel only reads may be memory that nobody may write to: a frame that is made of bytes.
# Arrays that can be written to are taken for these as well, and one loop is compiled for both.
READ_PLANE, READ_MATTE, READ_FLOATS, READ_FLOATS3 = (
    kind.copy(readonly=True) for kind in (PLANE, MATTE, FLOATS, FLOATS3)
)


def kernel(*arguments: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:  # noqa: ANN401 - numba's types are untyped
    """Compile a function that takes the given numba types and returns nothing.

    The compiled function releases the GIL and does not check array bounds: its caller
    checks shapes.
    """

    def compile_kernel(function: Callable[P, R]) -> Callable[P, R]:
        options = {
            "nogil": True,
            "boundscheck": False,
            "error_model": "numpy",  # a loop that may raise on a division is not vectorised
            "fastmath": {"contract", "reassoc"},
        }
        signature = types.void(*arguments)
        if _is_writable(Path(__file__).parent):
            return numba.njit(signature, cache=True, **options)(function)  # type: ignore[no-any-return]
        cache = _user_cache()
        if not _is_writable(cache):
            return numba.njit(signature, **options)(function)  # type: ignore[no-any-return]
        previous, config.CACHE_DIR = config.CACHE_DIR, str(cache)
        try:
            return numba.njit(signature, cache=True, **options)(function)  # type: ignore[no-any-return]
        finally:
            config.CACHE_DIR = previous

    return compile_kernel


@contextmanager
def telling_of_compilation(tell: Callable[[bool], None]) -> Iterator[None]:
    """Have a function called before the first kernel that is compiled in this block.

    A kernel that comes from the cache is not compiled, so it is not called for it.

    Parameters
    ----------
    tell : callable
        Called once at the most, on the thread that compiles, with whether what is compiled is
        kept for the next start.
    """
    with event.install_listener("numba:compile", _First(tell)):
        yield


class _First(event.Listener):  # type: ignore[misc] # numba is untyped
    """Listens for the first compilation."""

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell: Callable[[bool], None] | None = tell

    def on_start(self, event: object) -> None:  # noqa: ARG002 - numba's names
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(_is_writable(Path(__file__).parent) or _is_writable(_user_cache()))

    def on_end(self, event: object) -> None:
        pass


def _user_cache() -> Path:
    return Path(platformdirs.user_cache_dir("greenroom")) / "kernels"


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, making the folder where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
