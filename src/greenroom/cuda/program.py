"""Text of the kernels: one program for all, with the headers of the core that it includes."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

__all__ = ["OPTIONS", "Kernel", "kernels", "program"]

OPTIONS: Final = ("--std=c++17", "--fmad=true", "--diag-suppress=177")
"""Options of NVRTC. Products and sums are contracted, as in the core; not all of the headers'
functions are used."""

_FILES: Final = (
    *("resampling.cu", "network.cu", "compositing.cu", "edges.cu", "effects.cu", "grids.cu"),
    *("evidence.cu", "cells.cu", "surfaces.cu"),
)
_FOLDERS: Final = ("greenroom.cuda.kernels", "greenroom.core")
_INCLUDE: Final = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)
_KERNEL: Final = re.compile(r"^GR_KERNEL\((\w+)\)\(([^)]*)\)", re.MULTILINE)
_KINDS: Final = {"int": "i", "ptrdiff_t": "n", "float": "f", "double": "d"}


class Kernel(NamedTuple):
    """A kernel of the program.

    Attributes
    ----------
    name : str
        As in the text, without its prefix.
    kinds : str
        Its arguments, a letter for each: ``p`` an address, ``i`` int, ``n`` a distance, ``f``
        float, ``d`` double; as those of `greenroom.core.function`.
    """

    name: str
    kinds: str

    @property
    def symbol(self) -> str:
        """Its name in the compiled program."""
        return f"gr_{self.name}"


@cache
def program() -> str:
    """Return the whole text. Headers of the C library are only included by the host's compiler."""
    included: set[str] = set()
    return "\n".join(_expanded(name, included) for name in _FILES)


@cache
def kernels() -> dict[str, Kernel]:
    """Return the kernels by name."""
    found = (Kernel(name, _kinds_of(arguments)) for name, arguments in _KERNEL.findall(program()))
    return {kernel.name: kernel for kernel in found}


def _expanded(name: str, included: set[str]) -> str:
    """Return a file with what it includes in place, each header once."""

    def put_in(match: re.Match[str]) -> str:
        if match[1] in included:
            return ""
        included.add(match[1])
        return _expanded(match[1], included)

    return _INCLUDE.sub(put_in, _text(name))


def _text(name: str) -> str:
    for folder in _FOLDERS:
        file = resources.files(folder) / name
        if file.is_file():
            return file.read_text(encoding="utf-8")
    message = f"the text of greenroom's kernels is not complete: there is no '{name}'"
    raise ImportError(message)


def _kinds_of(arguments: str) -> str:
    """Return a letter for each argument of a kernel."""
    words = (argument.split() for argument in arguments.split(","))
    return "".join("p" if "*" in one[-1] else _KINDS[one[-2]] for one in words)
