"""Time the engine on frames in memory; prints JSON. Run by ``run.py``.

python benchmarks/engine.py FRAMES.npz FRAMES ROUND_FRAMES
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

import greenroom
from greenroom import Colour, Frame, Layout


def main() -> None:
    """Process the frames over and over."""
    saved, count = np.load(sys.argv[1]), int(sys.argv[2])
    height, width = saved["y"].shape[1:]
    layout = Layout(width, height, "yuv420p", Colour(1, 1, 1, 1))
    frames = [
        Frame(tuple(np.ascontiguousarray(part) for part in planes), layout).copy()
        for planes in zip(saved["y"], saved["u"], saved["v"], strict=True)
    ]
    picture = Path(sys.argv[1]).with_suffix(".png")
    cv2.imwrite(str(picture), saved["background"])
    with greenroom.VirtualBackground(
        background=str(picture), model="selfie-landscape", threads=1
    ) as engine:
        for number in range(-20, count):
            if number == 0:
                engine.timings.clear()
                cpu, wall = time.process_time(), time.perf_counter()
            frame = frames[number % len(frames)]
            # A new frame of the same samples: what is made once a frame is made each time.
            engine.process(Frame(frame.planes, layout, number, None))
        cpu_ms = 1000 * (time.process_time() - cpu) / count
        wall_ms = 1000 * (time.perf_counter() - wall) / count
        stages = {name: asdict(times) for name, times in engine.timings.summary().items()}
    print(json.dumps({"cpu_ms": cpu_ms, "wall_ms": wall_ms, "stages": stages, **floors(frames)}))


def floors(frames: list[Frame]) -> dict[str, float]:
    """Measure what nobody can go below: reading two frames and writing one."""
    times = []
    out = frames[0].copy()
    for number in range(100):
        first, second = frames[number % len(frames)], frames[(number + 5) % len(frames)]
        start = time.perf_counter()
        for target, one, other in zip(out.planes, first.planes, second.planes, strict=True):
            cv2.max(one, other, target)
        times.append(time.perf_counter() - start)
    return {"floor_ms": 1000 * float(np.median(times))}


if __name__ == "__main__":
    main()
