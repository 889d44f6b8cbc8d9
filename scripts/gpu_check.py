"""Check and time greenroom on a GPU, in under five minutes: `make gpu-check`.

python scripts/gpu_check.py [--model MODEL] [--matting-model MODEL] [--clips CLIPS]

The GPU proves itself as it does before it is used. Then it runs the tests that run on the host
everywhere else: every kernel against the core, frames and mattes, and the engine against the
processor's. NVIDIA's sanitizer watches some of them, where it is installed. The engine is compared
and timed, on labelled clips where they are at hand, and what it is to reach is measured beside the
figures asked. All of it is done, whatever fails; the exit status is 1 if anything did, and 2
without a GPU. Figures that are not reached are no failure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Final, NamedTuple

from greenroom.cuda import CupyDevice
from greenroom.engine.device_selection import reason_against_gpu
from greenroom.errors import DeviceError, MissingExtraError

ROOT: Final = Path(__file__).resolve().parents[1]
CLIPS: Final = ROOT.parent / "shared" / "data" / "clips"
SANITIZER: Final = "compute-sanitizer"
TESTS: Final = (
    "tests/cuda",
    "tests/media/test_frames.py",
    "tests/media/test_surface_frame.py",
    "tests/engine/test_engine_on_device.py",
    "tests/engine/test_engine_transfers.py",
    "tests/media/test_gpu_decoder.py",
    "tests/segmenters/test_converted.py::TestOnRealGpu",
)
WATCHED: Final = "tests/cuda/test_conformance.py"
PYTEST: Final = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


class Part(NamedTuple):
    """A part of the check.

    Attributes
    ----------
    name : str
    command : list of str
    timeout_s : float
        It has failed if it takes longer. Together they take less than five minutes.
    """

    name: str
    command: list[str]
    timeout_s: float


def main() -> int:
    """Run all parts; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="selfie")
    parser.add_argument("--matting-model", default="rvm-mobilenetv3")
    parser.add_argument("--clips", type=Path, default=CLIPS)
    arguments = parser.parse_args()
    try:
        print(f"greenroom on {CupyDevice().name}", flush=True)
    except (DeviceError, MissingExtraError) as error:
        print(f"there is no GPU to check: {error}", file=sys.stderr)
        return 2
    failed = [] if proves() else ["proof"]
    chosen = parts(arguments.model, arguments.matting_model, arguments.clips)
    failed += [part.name for part in chosen if not passes(part)]
    print(f"failed: {', '.join(failed)}" if failed else "all of it passed")
    return 1 if failed else 0


def proves() -> bool:
    """Let the GPU prove that it computes what the processor does; print how long that takes."""
    print("== proof", flush=True)
    start_s, cpu_s = time.perf_counter(), time.process_time()
    reason = reason_against_gpu()
    took_s, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
    print(f"{reason or 'passed'}: {took_s:.2f} s, and {cpu_s:.2f} s of CPU time", flush=True)
    return not reason


def parts(model: str, matting: str, clips: Path) -> list[Part]:
    """Return what can be done here; print what is left out."""
    python = sys.executable
    found = [Part("tests", [*PYTEST, *TESTS], 90)]
    if sanitizer := find_sanitizer():
        watch = [sanitizer, "--error-exitcode", "1", "--target-processes", "all"]
        found.append(Part("sanitizer", [*watch, *PYTEST, WATCHED, "-k", "composites"], 45))
    else:
        print("compute-sanitizer is not installed: that part is left out", file=sys.stderr)
    found.append(Part("times", [python, "benchmarks/gpu.py", "--model", model], 30))
    if clips.is_dir():
        command = [python, "benchmarks/gpu_clips.py", str(clips), "--model", model]
        found.append(Part("clips", command, 60))
    else:
        print(f"there are no labelled clips in '{clips}': that part is left out", file=sys.stderr)
    both = ["--model", model, "--matting-model", matting]
    found.append(Part("to reach", [python, "benchmarks/gpu_targets.py", *both], 70))
    return found


def find_sanitizer() -> str | None:
    """Return NVIDIA's sanitizer: of the system, of CUDA, or of its wheel; None if there is none."""
    wheel = Path(sysconfig.get_path("platlib"), "nvidia").glob(f"*/{SANITIZER}/{SANITIZER}")
    places = (SANITIZER, f"/usr/local/cuda/bin/{SANITIZER}", *map(str, wheel))
    return next(filter(None, map(shutil.which, places)), None)


def passes(part: Part) -> bool:
    """Run a part; return whether it passed in time."""
    print(f"== {part.name}", flush=True)
    environment = {**os.environ, "GREENROOM_TEST_DEVICE": "cuda"}
    try:
        code = subprocess.run(
            part.command, cwd=ROOT, env=environment, timeout=part.timeout_s, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"{part.name} took longer than {part.timeout_s:g} s", file=sys.stderr)
        return False
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
