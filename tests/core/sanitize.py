"""Runs the fuzzer and the tests of the core on a build that watches its memory: `make sanitize`.

The build, by the machine's compiler with its address and undefined behaviour sanitizers, is in
a copy of the package of its own, so that nothing else ever uses it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[2]))
import build_core

ROOT: Final = build_core.ROOT
TARGET: Final = ROOT / "build" / "sanitize"
FLAGS: Final = (
    *("-O1", "-g", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
# Leaks are Python's own, which frees little of what it has at its end.
ADDRESS_OPTIONS: Final = "detect_leaks=0:alloc_dealloc_mismatch=0:detect_odr_violation=0"
# Those that call the core for most of their time: Python is slow here.
TESTS: Final = (
    *("core/test_*.py", "test_resampling.py", "test_pyramid.py", "test_tiled_matte.py"),
    *("compositing/test_composite.py", "effects/test_low_light.py", "matting/test_*kernels.py"),
)
# Writes a row too much. Whoever checks has to be checked.
OVERFLOW: Final = """
import numpy as np
from greenroom import core
plane, out = np.zeros((8, 8), np.uint8), np.zeros((3, 4), np.uint8)
core.function("halve", "pnii p")(plane.ctypes.data, 8, 8, 8, out.ctypes.data)
"""


def build() -> tuple[str, ...]:
    """Compile the core into a copy of the package; return the libraries of the sanitizers."""
    machine = build_core.machine()
    package = TARGET / "greenroom"
    ignored = shutil.ignore_patterns("core_*", "__pycache__")
    for stale in package.rglob("*.py"):
        stale.unlink()
    shutil.copytree(ROOT / "src" / "greenroom", package, ignore=ignored, dirs_exist_ok=True)
    build_core.compile_core(ROOT / build_core.FOLDER, package / "core", machine, FLAGS)
    compiler = build_core.find_compiler(machine)
    found = []
    for name in ("libasan.so", "libubsan.so"):
        command = [*compiler.command, f"-print-file-name={name}"]
        path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if not Path(path).is_absolute():
            message = f"{compiler.version} has no {name}, which watches the memory; gcc has one."
            raise build_core.CoreError(message)
        found.append(path)
    return tuple(found)


def run(
    libraries: tuple[str, ...], variant: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run Python on the build that watches."""
    env = os.environ | {
        "ASAN_OPTIONS": ADDRESS_OPTIONS,
        "GREENROOM_CORE": variant,
        "LD_PRELOAD": " ".join(libraries),
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(TARGET),
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    is_probe = arguments[0] == "-c"
    return subprocess.run(
        [sys.executable, *arguments],
        env=env,
        cwd=ROOT,
        capture_output=is_probe,
        text=True,
        check=False,
    )


def main() -> None:
    """Build, see that an overflow is found, then run the fuzzer and the tests on every build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", default="60", help="how long to fuzz each build")
    parser.add_argument("--no-tests", action="store_true", help="fuzz only")
    options = parser.parse_args()
    try:
        libraries = build()
    except build_core.CoreError as error:
        sys.exit(f"the core cannot be watched: {error}")
    failed = []
    tests = [str(path) for name in TESTS for path in sorted((ROOT / "tests").glob(name))]
    chosen = ["-q", "-p", "no:randomly", "-m", "not slow", "--timeout=1800"]
    pytest = ["-m", "pytest", *chosen, *tests]
    for variant in build_core.machine().builds:
        print(f"== {variant}", flush=True)
        result = run(libraries, variant, "-c", OVERFLOW)
        if not result.returncode or "heap-buffer-overflow" not in result.stderr:
            sys.exit(f"an overflow was not found: {result.stderr[-2000:]}")
        fuzz = run(libraries, variant, "tests/core/core_fuzz.py", "--seconds", options.seconds)
        if fuzz.returncode:
            failed.append(f"the fuzzer on {variant}")
        if not options.no_tests and run(libraries, variant, *pytest).returncode:
            failed.append(f"the tests on {variant}")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
