"""The text of the kernels: complete, and accepted by NVIDIA's compiler for every kind of GPU."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import pytest

from greenroom.core import library
from greenroom.cuda.program import OPTIONS, kernels, program

# Turing, Ampere, Hopper and Blackwell.
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")


def nvrtc() -> ctypes.CDLL:
    """Load NVIDIA's compiler from its wheel, or skip."""
    found = importlib.util.find_spec("nvidia")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    for folder in folders:
        for path in Path(folder).glob("*/lib/libnvrtc.so.*"):
            if "builtins" not in path.name:
                return ctypes.CDLL(str(path))
    pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc")


def compiled(architecture: str, text: str) -> tuple[bytes, str]:
    """Return the machine code of a program for a kind of GPU, and what the compiler says."""
    library = nvrtc()
    handle = ctypes.c_void_p()
    created = library.nvrtcCreateProgram(
        ctypes.byref(handle), text.encode(), b"greenroom.cu", 0, None, None
    )
    assert created == 0
    try:
        options = [f"--gpu-architecture={architecture}".encode(), *(o.encode() for o in OPTIONS)]
        code = library.nvrtcCompileProgram(
            handle, len(options), (ctypes.c_char_p * len(options))(*options)
        )
        said = _answer(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, handle)
        if code:
            return b"", said.decode()
        made = _answer(library.nvrtcGetCUBINSize, library.nvrtcGetCUBIN, handle)
        return made, said.decode()
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(handle))


def _answer(size_of: object, get: object, handle: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    size_of(handle, ctypes.byref(size))  # type: ignore[operator]
    text = ctypes.create_string_buffer(size.value)
    get(handle, text)  # type: ignore[operator]
    return text.raw


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_for_every_kind_of_gpu(architecture: str) -> None:
    """NVRTC makes machine code with every kernel of the program, without a warning."""
    code, said = compiled(architecture, program())
    assert not said.strip("\0\n "), said
    for kernel in kernels().values():
        assert kernel.symbol.encode() in code


def test_a_kernel_that_is_wrong_is_not_compiled() -> None:
    """What NVRTC refuses has a message and no machine code."""
    code, said = compiled("sm_80", program() + "\nGR_KERNEL(wrong)(int x) { y = x; }\n")
    assert not code
    assert '"y" is undefined' in said


def test_headers_are_those_of_the_core() -> None:
    """The text has the core's own headers, each once, and no include of a file is left."""
    text = program()
    samples = Path(library.__file__).with_name("samples.h").read_text(encoding="utf-8")
    _, _, arithmetic = samples.partition('#include "scalars.h"')
    assert text.count(arithmetic.strip()) == 1
    assert '#include "' not in text


def test_arguments_are_read_from_the_text() -> None:
    """A kernel's arguments have a letter each, as those of the core's functions."""
    assert kernels()["halve"].kinds == "pniip"
    assert kernels()["halve"].symbol == "gr_halve"
    assert kernels()["enlarge"].kinds == "pniidddipnii"
