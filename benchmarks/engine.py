"""Time the engine on frames in memory; prints JSON. Run by ``run.py``.

python benchmarks/engine.py FRAMES.npz FRAMES [--model MODEL] [--threads N] [--masks MASKS.npy]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np

import greenroom
from greenroom import Colour, Frame, Layout
from greenroom.segmenters import create_segmenter


def main() -> None:
    """Process the frames over and over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--model", default="selfie-landscape")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--masks", type=Path, help="where coarse mattes are saved")
    arguments = parser.parse_args()
    saved, count = np.load(arguments.frames), arguments.count
    height, width = saved["y"].shape[1:]
    layout = Layout(width, height, "yuv420p", Colour(1, 1, 1, 1))
    frames = [
        Frame(tuple(np.ascontiguousarray(part) for part in planes), layout).copy()
        for planes in zip(saved["y"], saved["u"], saved["v"], strict=True)
    ]
    picture = arguments.frames.with_suffix(".png")
    cv2.imwrite(str(picture), saved["background"])
    settings = greenroom.Settings(
        background=str(picture), model=arguments.model, threads=arguments.threads
    )
    if arguments.masks is not None:
        segmenter = create_segmenter(settings)
        np.save(arguments.masks, np.stack([segmenter.segment(frame) for frame in frames]))
        segmenter.close()
    with greenroom.VirtualBackground(settings) as engine:
        spent: dict[str, list[float]] = {}
        for number in range(-20, count):
            frame = frames[number % len(frames)]
            engine.timings.clear()
            cpu, wall = time.process_time(), time.perf_counter()
            # A new frame of the same samples: what is made once a frame is made each time.
            engine.process(Frame(frame.planes, layout, number, None))
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            stages = {name: times.median_ms for name, times in engine.timings.summary().items()}
            stages |= {"cpu": 1000 * cpu, "wall": 1000 * wall}
            stages["rest"] = stages["wall"] - stages["invoke"]
            if number >= 0:
                for name, value in stages.items():
                    spent.setdefault(name, []).append(value)
    medians = {name: float(np.median(values)) for name, values in spent.items()}
    means = {f"mean_{name}": float(np.mean(spent[name])) for name in ("cpu", "wall")}
    print(json.dumps({**medians, **means, **floors(frames)}))


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
    return {"floor": 1000 * float(np.median(times))}


if __name__ == "__main__":
    main()
