"""Check and time greenroom on a GPU, in under five minutes: `make gpu-check`.

python scripts/gpu_check.py [--model MODEL ...]

It runs, on the GPU, the tests that run on the host everywhere else: every kernel against the core,
frames and mattes, and the engine against the processor's. Then NVIDIA's sanitizer watches some of
them, where it is installed, and the engine is timed. All of it is done, whatever fails; the exit
status is 1 if anything did, and 2 without a GPU.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from greenroom.cuda import CupyDevice
from greenroom.errors import DeviceError, MissingExtraError

ROOT: Final = Path(__file__).parents[1]
TESTS: Final = ("tests/cuda", "tests/media/test_frames.py", "tests/engine/test_engine_on_device.py")
WATCHED: Final = "tests/cuda/test_conformance.py"
# Seconds for each part; together under five minutes.
TESTS_S: Final = 120
WATCHED_S: Final = 60
TIMES_S: Final = 100


def main() -> int:
    """Run all parts; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", nargs="+", default=["selfie"])
    arguments = parser.parse_args()
    try:
        print(f"greenroom on {CupyDevice().name}", flush=True)
    except (DeviceError, MissingExtraError) as error:
        print(f"there is no GPU to check: {error}", file=sys.stderr)
        return 2
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    parts = [("tests", [*pytest, *TESTS], TESTS_S)]
    if sanitizer := shutil.which("compute-sanitizer"):
        watch = [sanitizer, "--error-exitcode", "1", "--target-processes", "all"]
        parts.append(("sanitizer", [*watch, *pytest, WATCHED, "-k", "composites"], WATCHED_S))
    else:
        print("compute-sanitizer is not installed: that part is left out", file=sys.stderr)
    times = [sys.executable, "benchmarks/gpu.py", "--model", *arguments.model]
    parts.append(("times", times, TIMES_S))
    failed = [name for name, command, timeout_s in parts if not passes(name, command, timeout_s)]
    print(f"failed: {', '.join(failed)}" if failed else "all of it passed")
    return 1 if failed else 0


def passes(name: str, command: list[str], timeout_s: float) -> bool:
    """Run a part; return whether it passed in time."""
    print(f"== {name}", flush=True)
    environment = {**os.environ, "GREENROOM_TEST_DEVICE": "cuda"}
    try:
        code = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=timeout_s, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"{name} took longer than {timeout_s:g} s", file=sys.stderr)
        return False
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
