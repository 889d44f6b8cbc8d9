"""Live use, measured: latency, drops and CPU of a file played as a camera, and a long soak.

Each row of docs/performance.md is one call of `measure_live`: real threads, a real clock, a sink
that takes frames and forgets them. What the source costs alone is measured after it, and taken off.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from greenroom.backgrounds.builtin import builtin_path
from greenroom.desktop.launch import create_steering
from greenroom.evaluation.latency import DrawnCamera, LiveReport, measure_live, resident_mib
from greenroom.live.sources import create_live_source
from greenroom.matting import Cadence
from greenroom.media.layout import Layout
from greenroom.settings import OnFailure, Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.media.frame import Frame

RATE = 30
SOAK_S = 30 * 60
STILL_NOISE = 3.0


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, help="a recording of a person; default: the demo")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--soak", action="store_true", help="run for half an hour instead")
    parser.add_argument("--soak-seconds", type=float, default=SOAK_S)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = Clips(Path(folder), given.clip)
        if given.soak:
            soak(clips, given.soak_seconds)
            return
        print("| | p50 ms | p95 ms | p99 ms | dropped | CPU % | source alone | without it |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        row("1080p30", clips, (1920, 1080), given.seconds)
        row("720p30", clips, (1280, 720), given.seconds)
        name, still_s = "720p30, still", given.seconds / 4
        every = row(f"{name}, every frame", clips, (1280, 720), still_s, "still")
        moved = row(f"{name}, governed", clips, (1280, 720), still_s, "governed")
        print(f"\nstill person, governed beside every frame: {moved / every:.2f} of the CPU time")


def row(
    name: str,
    clips: Clips,
    size: tuple[int, int],
    seconds: float,
    kind: str = "moving",
) -> float:
    """Measure one case, print it, and return its CPU time without the source's, in %."""
    settings = clips.settings(size)
    steering = create_steering(settings) if kind == "governed" else None
    source = create_live_source if kind == "moving" else clips.still(size)
    cadence = Cadence.EVERY if kind == "still" else None
    report = measure_live(settings, source, seconds, steering, cadence=cadence)
    own = report.cpu_percent - report.decoder_percent
    print(f"| {name} | {cells(report)} | {own:.1f} |", flush=True)
    return own


def cells(report: LiveReport) -> str:
    """Write what was measured as the middle cells of a row."""
    latency = [f"{report.latency_ms[name]:.1f}" for name in ("p50", "p95", "p99")]
    dropped = sum(report.dropped.values())
    numbers = [str(dropped), f"{report.cpu_percent:.1f}", f"{report.decoder_percent:.1f}"]
    return " | ".join([*latency, *numbers])


class Clips:
    """Files that are played as cameras, and the picture that is put behind."""

    def __init__(self, folder: Path, clip: Path | None) -> None:
        self._folder = folder
        self._clip = clip
        self._beach = builtin_path("beach")

    def settings(self, size: tuple[int, int]) -> Settings:
        """Return the settings of one case."""
        return Settings(
            source=str(self._made(size)),
            loop=True,
            background=str(self._beach),
            on_failure=OnFailure.COVER,
            on_demand=False,
        )

    def still(self, size: tuple[int, int]) -> Callable[[Settings], DrawnCamera]:
        """Return what opens a camera of somebody who does not stir, under fresh noise.

        From memory: what an encoder does to noise is no camera's noise.
        """
        first = next(self._frames(size))
        rng = np.random.default_rng(3)
        pictures = []
        for _ in range(RATE):
            noisy = first.copy()
            for plane in noisy.planes:
                noise = rng.normal(0, STILL_NOISE, plane.shape)
                plane[:] = np.clip(np.rint(plane + noise), 0, 255)
            pictures.append(noisy)
        return lambda _: DrawnCamera(pictures, Fraction(RATE))

    def _made(self, size: tuple[int, int]) -> Path:
        """Write a file of ten seconds at 30 frames a second, unless it is there."""
        path = self._folder / f"{size[1]}.mp4"
        if path.exists():
            return path
        with av.open(str(path), "w") as container:
            options = {"preset": "veryfast", "tune": "fastdecode", "crf": "20"}
            stream = container.add_stream("libx264", rate=RATE, options=options)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for number, frame in enumerate(islice(self._frames(size), 10 * RATE)):
                picture = frame.shown_at(number, Fraction(1, RATE)).to_av()
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return path

    def _frames(self, size: tuple[int, int]) -> Iterator[Frame]:
        if self._clip is None:
            from greenroom.engine.demo import demo_source  # noqa: PLC0415 - loads scikit-image

            frames = list(demo_source(Settings(), 100))
        else:
            frames = list(islice(create_source(self._clip, Settings()), 100))
        fitted = [
            frame.converted(Layout(*size, "yuv420p", frame.layout.colour)) for frame in frames
        ]
        # Forth and back, so that there is no cut where it begins anew.
        yield from cycle([*fitted, *fitted[-2:0:-1]])


def soak(clips: Clips, seconds: float) -> None:
    """Run for long, and compare the last tenth with the first one after the warm-up."""
    settings = clips.settings((1280, 720))
    memory: list[float] = []

    latency: list[float] = []

    def on_second(passed: int, latency_ms: dict[str, float]) -> None:
        memory.append(resident_mib() or 0.0)
        latency.append(latency_ms.get("p50", float("nan")))
        if passed % 60 == 0:
            print(f"{passed // 60} min: {memory[-1]:.1f} MiB, p50 {latency[-1]:.1f} ms", flush=True)

    report = measure_live(settings, create_live_source, seconds, on_second=on_second)
    tenth = max(1, len(memory) // 10)

    def ends(values: list[float]) -> tuple[float, float]:
        return statistics.median(values[:tenth]), statistics.median(values[-tenth:])

    first, last = ends(memory)
    early_ms, late_ms = ends(latency)
    print(report)
    print(f"latency p50: {early_ms:.2f} ms in the first tenth, {late_ms:.2f} in the last")
    print(f"memory: {first:.1f} MiB in the first tenth, {last:.1f} in the last; asked: within 10")
    print(f"threads: {report.threads:+d}; asked: +0")
    assert abs(last - first) <= 10, "memory grew"
    assert report.threads == 0, "threads grew"


if __name__ == "__main__":
    main()
