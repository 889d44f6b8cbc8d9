"""Compare ONNX Runtime's default thread pools with pinned ones, on one ``.onnx`` file.

Prints the milliseconds of wall and of processor time that a frame takes, back to back and
at 25 frames a second, where threads that spin go on between the frames.

    python benchmarks/onnx_threads.py MODEL.onnx
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD_S: Final = 1 / 25
ROUNDS: Final = 3
FRAMES: Final = 25
# Threads, None for the library's own choice of everything, and whether they spin.
CHOICES: Final[dict[str, tuple[int | None, bool]]] = {
    "default pools": (None, True),
    "1 thread": (1, False),
    "2 threads": (2, False),
    "2 threads that spin": (2, True),
}


def main() -> None:
    """Measure every choice in turn, several times, and print the medians."""
    figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in CHOICES}
    for _ in range(ROUNDS):
        for name, (threads, spins) in CHOICES.items():
            run = runner(sys.argv[1], threads, spins=spins)
            figures[name].append((*measure(run, 0), *measure(run, PERIOD_S)))
    print("| | wall ms | CPU ms | wall ms at 25 fps | CPU ms at 25 fps |")
    print("|---|---:|---:|---:|---:|")
    for name, rows in figures.items():
        cells = " | ".join(f"{1000 * value:.1f}" for value in np.median(rows, axis=0))
        print(f"| {name} | {cells} |")


def runner(path: str, threads: int | None, *, spins: bool) -> Callable[[], Any]:
    """Return what runs a model once, on inputs of zeros."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if not spins:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {
        given.name: np.zeros([n if isinstance(n, int) else 1 for n in given.shape], np.float32)
        for given in session.get_inputs()
    }
    return lambda: session.run(None, feeds)


def measure(run: Callable[[], Any], period_s: float) -> tuple[float, float]:
    """Return the seconds that a frame takes, and those that processors work for it."""
    for _ in range(3):
        run()
    walls = []
    before = time.process_time()
    for _ in range(FRAMES):
        start = time.perf_counter()
        run()
        walls.append(time.perf_counter() - start)
        time.sleep(max(0.0, period_s - walls[-1]))
    return float(np.median(walls)), (time.process_time() - before) / FRAMES


if __name__ == "__main__":
    main()
