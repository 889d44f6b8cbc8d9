"""Time the engine on frames in memory; prints JSON. Run by ``run.py``.

python benchmarks/engine.py FRAMES.npz [FRAMES] [--model MODEL] [--threads N] [--masks MASKS.npy]

It measures the greenroom of the Python that runs it, an earlier one too.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from turns import answer_turns

import greenroom
from greenroom import Colour, Frame, Layout
from greenroom.segmenters import create_segmenter

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Process the frames over and over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", type=Path)
    parser.add_argument("count", type=int, nargs="?", help="default: answer turns")
    parser.add_argument("--model", default="selfie-landscape")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--masks", type=Path, help="where coarse mattes are saved")
    arguments = parser.parse_args()
    saved = np.load(arguments.frames)
    height, width = saved["y"].shape[1:]
    layout = Layout(width, height, "yuv420p", Colour(1, 1, 1, 1))
    frames = [
        Frame(tuple(np.ascontiguousarray(part) for part in planes), layout).copy()
        for planes in zip(saved["y"], saved["u"], saved["v"], strict=True)
    ]
    picture = arguments.frames.with_suffix(f".{os.getpid()}.png")
    cv2.imwrite(str(picture), saved["background"])
    settings = greenroom.Settings(
        background=str(picture), model=arguments.model, threads=arguments.threads
    )
    if arguments.masks is not None:
        segmenter = create_segmenter(settings)
        np.save(arguments.masks, np.stack([segmenter.segment(frame) for frame in frames]))
        segmenter.close()
    invoked = InvokeClock()
    with greenroom.VirtualBackground(settings) as engine:
        bench = Bench(engine, frames, invoked)
        if arguments.count is None:
            answer_turns(bench.means)
        else:
            bench.means(20)
            print(json.dumps(bench.medians(arguments.count)))


class InvokeClock:
    """CPU time of LiteRT's own work, on the thread that does it."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        invoke = Interpreter.invoke

        def clocked(interpreter: Interpreter) -> None:
            start_s = time.thread_time()
            invoke(interpreter)
            self.cpu_s += time.thread_time() - start_s

        Interpreter.invoke = clocked


class Bench:
    """An engine, the frames that it is given, and how many it was given so far."""

    def __init__(
        self, engine: greenroom.VirtualBackground, frames: list[Frame], invoked: InvokeClock
    ) -> None:
        self._engine = engine
        self._frames = frames
        self._invoked = invoked
        self._number = 0

    def means(self, count: int) -> dict[str, float]:
        """Process some frames; return the mean milliseconds of each stage and of all."""
        return self._summary(count, np.mean)

    def medians(self, count: int) -> dict[str, float]:
        """Return medians in the place of means."""
        return self._summary(count, np.median)

    def _summary(
        self, count: int, middle: Callable[[list[float]], np.floating[Any]]
    ) -> dict[str, float]:
        rows = [self._next() for _ in range(count)]
        names = {name: None for row in rows for name in row}
        values = {name: middle([row.get(name, 0.0) for row in rows]) for name in names}
        return {name: float(value) for name, value in values.items()} | {
            "floor": floor(self._frames)
        }

    def _next(self) -> dict[str, float]:
        """Process a frame; return the milliseconds of each stage, on the clock, and of all.

        ``cpu`` is the CPU time of the whole process, ``rest`` the same without the model; both
        on the clock are ``wall`` and ``rest_wall``.
        """
        # Forth and back, so that there is no cut where they begin anew.
        turn = len(self._frames) - 1
        frame = self._frames[turn - abs(self._number % (2 * turn) - turn)]
        self._engine.timings.clear()
        # A new frame of the same samples: what is made once a frame is made each time.
        fresh = Frame(frame.planes, frame.layout, self._number, Fraction(1, 30))
        self._number += 1
        self._invoked.cpu_s = 0.0
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        self._engine.render(fresh)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        stages = self._engine.timings.latest
        invoke_ms = 1000 * self._invoked.cpu_s or stages.get("invoke", 0.0)
        stages |= {"cpu": 1000 * cpu_s, "wall": 1000 * wall_s}
        stages["rest"] = stages["cpu"] - invoke_ms
        stages["rest_wall"] = stages["wall"] - stages.get("invoke", 0.0)
        return stages


def floor(frames: list[Frame]) -> float:
    """Return the milliseconds that nobody can go below: reading two frames and writing one."""
    times = []
    out = frames[0].copy()
    for number in range(20):
        first, second = frames[number % len(frames)], frames[(number + 5) % len(frames)]
        start = time.perf_counter()
        for target, one, other in zip(out.planes, first.planes, second.planes, strict=True):
            cv2.max(one, other, target)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


if __name__ == "__main__":
    main()
