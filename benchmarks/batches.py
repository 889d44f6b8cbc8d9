"""Engines that share one model in batches, against engines with a model each: looks a second.

    python benchmarks/batches.py MODEL [--streams 8] [--seconds 5] [--device cpu]

Streams ask as fast as they are answered. The three ways take turns: each stream's own model, one
model for all (`greenroom.segmenters.SegmenterPool`), and one model without batches.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import threading
import time
from typing import TYPE_CHECKING

from greenroom.segmenters import SegmenterPool, create_segmenter
from greenroom.settings import Settings
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.segmenters import Segmenter

ROUNDS = 3


def measured(segmenters: Sequence[Segmenter], seconds: float, size: tuple[int, int]) -> list[float]:
    """Return looks a second, CPU ms a look, and the median latency in ms."""
    end = threading.Event()
    took: list[list[float]] = [[] for _ in segmenters]

    def look(number: int) -> None:
        frames = [PersonSource(size).frame(index) for index in range(4)]
        while not end.is_set():
            start = time.perf_counter()
            segmenters[number].segment(frames[len(took[number]) % 4])
            took[number].append(time.perf_counter() - start)

    for segmenter in segmenters:
        segmenter.segment(PersonSource(size).frame(0))
    threads = [threading.Thread(target=look, args=(number,)) for number in range(len(segmenters))]
    start, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    end.set()
    for thread in threads:
        thread.join()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    looks = [each for one in took for each in one]
    return [len(looks) / wall, 1e3 * cpu / len(looks), 1e3 * statistics.median(looks)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="640x360")
    given = parser.parse_args()
    settings = Settings(model=given.model, device=given.device)
    width, height = map(int, given.size.split("x"))
    results: dict[str, list[list[float]]] = {}
    for _ in range(ROUNDS):
        for way, limit in (("own models", 0), ("shared, batches", 16), ("shared, one by one", 1)):
            with contextlib.ExitStack() as held:
                if limit:
                    shared = held.enter_context(SegmenterPool(settings, most=limit))
                    made = [shared.segmenter() for _ in range(given.streams)]
                    way += "" if shared.takes_batches else " (it takes none)"  # noqa: PLW2901
                else:
                    made = [create_segmenter(settings) for _ in range(given.streams)]
                for segmenter in made:
                    held.callback(segmenter.close)
                results.setdefault(way, []).append(measured(made, given.seconds, (width, height)))
    print(f"{given.streams} streams, {os.cpu_count()} processors, medians of {ROUNDS}")
    print("| | looks/s | CPU ms a look | ms a look |\n|---|---:|---:|---:|")
    for way, rows in results.items():
        rate, cpu, latency = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {way} | {rate:.1f} | {cpu:.1f} | {latency:.0f} |")


if __name__ == "__main__":
    main()
