"""What a frame costs from 360p to 4K: decoding, engine and encoding, by quality and codec.

    nice -n 5 .venv/bin/python benchmarks/scale.py --clip RECORDING.mp4

All figures are CPU time of the process, on one processor, so that a machine may do something else
meanwhile; that still takes cache away, and makes all of them somewhat larger. There are few frames,
of which the first is a key frame: videos have fewer of these.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import closing
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import av
import cv2
import numpy as np

from greenroom import Colour, Frame, Layout, VirtualBackground
from greenroom.backgrounds.builtin import builtin_path
from greenroom.files.convert import convert_frames
from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIZES: Final = {
    "360p": ((640, 360), 48),
    "720p": ((1280, 720), 24),
    "1080p": ((1920, 1080), 16),
    "4K": ((3840, 2160), 10),
}
_QUALITIES: Final = ("fast", "balanced", "best")
_CODECS: Final = {"h264": "mp4", "hevc": "mp4", "vp9": "webm", "av1": "mp4"}
_WARM_UP: Final = 8  # frames: the first ones cost more
_RATE: Final = 30
_NOISE: Final = 1.5  # levels, standard deviation


class Cost(NamedTuple):
    """CPU time of a frame in milliseconds, and bits in it."""

    decode: float
    engine: dict[str, float]
    encode: dict[str, float]
    bits_read: float
    bits_written: dict[str, float]
    whole: float  # `convert`: balanced, H.264


def cpu_ms(work: Callable[[], object], frames: int) -> float:
    """Return the CPU time of work on frames, in milliseconds for each."""
    began_s = time.process_time()
    work()
    return 1000 * (time.process_time() - began_s) / frames


def enlarged(clip: Path, size: tuple[int, int], count: int) -> list[Frame]:
    """Return frames of a clip, its middle in 16:9, with the noise of a camera."""
    chance = np.random.default_rng(3)
    frames: list[Frame] = []
    for number, frame in enumerate(cycle(_pictures(clip, count))):
        if number == count:
            return frames
        planes = []
        for index, plane in enumerate(frame):
            height = plane.shape[1] * 9 // 16
            top = (plane.shape[0] - height) // 2
            to = size if index == 0 else (size[0] // 2, size[1] // 2)
            large = cv2.resize(plane[top : top + height], to, interpolation=cv2.INTER_CUBIC)
            noise = chance.standard_normal(large.shape, np.float32) * np.float32(_NOISE)
            planes.append(np.clip(np.rint(large + noise), 0, 255).astype(np.uint8))
        layout = Layout(*size, "yuv420p", Colour(1, 1, 1, 1))
        made = Frame(tuple(planes), layout)
        frames.append(made.shown_at(number, Fraction(1, _RATE)))
    raise AssertionError


def fresh(frames: Sequence[Frame], count: int) -> list[Frame]:
    """Return copies of frames, over and over: a frame remembers what was made of it once."""
    return [frame.copy() for frame in islice(cycle(frames), count)]


def _pictures(clip: Path, count: int) -> list[tuple[np.ndarray, ...]]:
    """Return planes of a clip, forth and back, so that there is no cut."""
    with closing(create_source(clip, Settings())) as source:
        planes = [tuple(plane.copy() for plane in frame.planes) for frame in islice(source, count)]
    return [*planes, *planes[-2:0:-1]]


def written(path: Path, settings: Settings, frames: Sequence[Frame], like: Path) -> float:
    """Encode frames; return the CPU time of one in milliseconds."""
    with closing(create_source(like, settings)) as source:
        info = source.info.without_streams()

    def write() -> None:
        sink = create_sink(path, settings, info)
        for frame in frames:
            sink.write(frame)
        sink.close()

    return cpu_ms(write, len(frames))


def measure(clip: Path, size: tuple[int, int], count: int, folder: Path) -> Cost:
    """Measure one size."""
    settings = Settings(background=str(builtin_path("beach")), threads=1, overwrite=True)
    drawn = enlarged(clip, size, count)
    path = folder / "source.mp4"
    _write_source(path, drawn)

    decoded: list[Frame] = []

    def decode() -> None:
        with closing(create_source(path, settings)) as source:
            decoded.extend(frame.copy() for frame in source)

    decode_ms = cpu_ms(decode, count)
    engine_ms: dict[str, float] = {}
    for quality in _QUALITIES:
        with VirtualBackground(settings.changed(quality=quality)) as engine:
            for frame in fresh(decoded, _WARM_UP):
                engine.process(frame)
            frames = fresh(decoded, count)
            began_s = time.process_time()
            for frame in frames:
                engine.process(frame)
            engine_ms[quality] = 1000 * (time.process_time() - began_s) / count
    with VirtualBackground(settings) as engine:
        shown = [engine.process(frame).copy() for frame in fresh(decoded, count)]
        engine.reset()
        source = create_source(path, settings)
        whole_ms = cpu_ms(lambda: convert_frames(engine, source, folder / "whole.mp4"), count)
    encode_ms, bits = {}, {}
    for codec, suffix in _CODECS.items():
        target = folder / f"{codec}.{suffix}"
        encode_ms[codec] = written(target, settings.changed(codec=codec), shown, path)
        bits[codec] = 8 * target.stat().st_size / count
    return Cost(decode_ms, engine_ms, encode_ms, 8 * path.stat().st_size / count, bits, whole_ms)


def _write_source(path: Path, frames: Sequence[Frame]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE, options={"crf": "22"})
        stream.width, stream.height = frames[0].layout.width, frames[0].layout.height
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(frame.to_av()))
        container.mux(stream.encode(None))


def report(costs: dict[str, Cost]) -> None:
    """Print tables."""
    print("| CPU ms a frame | decode | " + " | ".join(_QUALITIES) + " |", end=" ")
    print(" | ".join(_CODECS) + " | convert |")
    for name, cost in costs.items():
        cells = [cost.decode, *cost.engine.values(), *cost.encode.values(), cost.whole]
        print(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    print()
    for quality in _QUALITIES:
        for codec in _CODECS:
            speeds = []
            for cost in costs.values():
                total = cost.decode + cost.engine[quality] + cost.encode[codec]
                share = 100 * (cost.decode + cost.encode[codec]) / total
                speeds.append(f"{1000 / total:.1f} ({share:.0f} %)")
            print(f"| {quality}, {codec} | " + " | ".join(speeds) + " |")
    print()
    print("| Mbit/s | read | " + " | ".join(_CODECS) + " |")
    for name, cost in costs.items():
        cells = [cost.bits_read, *cost.bits_written.values()]
        print(f"| {name} | " + " | ".join(f"{_RATE * cell / 1e6:.1f}" for cell in cells) + " |")


def main() -> None:
    """Measure all sizes, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, required=True, help="a recording of a person")
    parser.add_argument("--sizes", nargs="*", choices=list(_SIZES), default=list(_SIZES))
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"load {os.getloadavg()[0]:.1f}")
    costs = {}
    with tempfile.TemporaryDirectory(prefix="greenroom-scale-") as temporary:
        for name in options.sizes:
            size, count = _SIZES[name]
            began_s = time.process_time()
            costs[name] = measure(options.clip, size, count, Path(temporary))
            print(
                f"{name}: {costs[name]}, in {time.process_time() - began_s:.0f} CPU-s", flush=True
            )
    report(costs)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
