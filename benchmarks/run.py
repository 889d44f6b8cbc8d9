"""Measure greenroom beside a peer and a floor, and print tables.

Ratios count, taken between things that ran in turns: machines are noisy.

    python benchmarks/run.py --only engine convert
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import cv2
import numpy as np
from skimage import data
from starts import begun
from turns import in_turns, median, median_ratio

import greenroom
from greenroom.backgrounds.builtin import builtin_path
from greenroom.media.frame import Frame
from greenroom.media.image_files import decode_picture
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.segmenters.catalogue import card_named
from greenroom.segmenters.store import Store
from greenroom.sinks import PictureSink
from greenroom.sources.demo_source import DemoSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE: Final = Path(__file__).parent
PEER_VERSION: Final = "mediapipe==0.10.21"
SIZES: Final = {"1080p": (1920, 1080), "720p": (1280, 720)}
SMALL: Final = {"480p": (640, 480)}
# What one turn works on, and how many of them make a round.
TURN_FRAMES: Final = 20
TURNS: Final = 6
# Asked: CPU time beside MediaPipe's, and of all but the model beside an earlier greenroom's.
MOST_OF_PEER: Final = {"1080p": 0.28, "720p": 0.48}
MOST_AT_START: Final = {
    "greenroom --help": 0.3,
    "greenroom convert, to its first frame": 1.0,
    "greenroom run, to its first frame": 1.0,
}
MOST_OF_BEFORE: Final = {"1080p": 0.40, "720p": 0.40, "480p": 0.30}
# The tutorial's model: label maps of any size, the longer side 513.
ARTICLE_CARD: Final = """
name = "article"
description = "The tutorial's frozen graph"
license = "unknown"
runtime = "tensorflow"
[file]
name = "{file.name}"
[input]
name = "ImageTensor:0"
longest = 513
std = [1, 1, 1]
[output]
name = "SemanticPredictions:0"
reading = "labels"
classes = {classes}
"""
PYTHON: Final = sys.executable
COMMAND: Final = Path(sys.executable).with_name("greenroom")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, and the figure that it should be at most."""

    what: str
    value: float
    unit: str
    most: float | None = None

    def __str__(self) -> str:
        met = "" if self.most is None else "met" if self.value <= self.most else "missed"
        most = "" if self.most is None else f"{self.most:g}"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {most} | {met} |"


def main() -> None:
    """Run the parts that are asked for."""
    parts = {
        "engine": engine,
        "convert": convert,
        "memory": memory,
        "start": start,
        "runtime": runtime,
        "article": article,
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--rounds", type=int, default=5, help="turns of each measurement")
    parser.add_argument(
        "--before", type=Path, help="Python of an earlier greenroom to compare with"
    )
    parser.add_argument("--clip", type=Path, help="a recording of a person to convert as well")
    parser.add_argument("--graph", type=Path, help="DeepLab's frozen graph, for 'article'")
    parser.add_argument("--label", type=int, default=1, help="its label of a person")
    arguments = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"PyAV {av.__version__}, NumPy {np.__version__}\n")
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            rows = parts[name](Path(folder), arguments)
        print(f"| {name} | measured | at most | |\n| --- | ---: | ---: | --- |")
        print("\n".join(map(str, rows)) + "\n", flush=True)


def processor() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def engine(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    """Compare CPU time a frame with MediaPipe's and an earlier greenroom's, and split it up."""
    peer = environment("mediapipe", PEER_VERSION)
    rows = []
    for name, size in (SIZES | SMALL).items():
        frames = folder / f"{name}.npz"
        save_frames(frames, size)
        commands: dict[str, list[str | Path]] = {
            "greenroom": [PYTHON, HERE / "engine.py", frames],
            "MediaPipe": [peer, HERE / "peer_mediapipe.py", frames],
        }
        if arguments.before is not None:
            commands["before"] = [arguments.before, HERE / "engine.py", frames]
        turns = in_turns(commands, TURNS * arguments.rounds, TURN_FRAMES)
        rows += engine_rows(name, turns)
    return rows


def engine_rows(size: str, turns: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Return what was measured at one size."""
    ours, _most = turns["greenroom"], MOST_OF_PEER.get(size)
    names = ("prepare", "invoke", "segment", "matte", "background", "edges", "composite")
    rows = [
        *(
            Row(f"{name}, CPU time a frame", median(one, "cpu"), "ms")
            for name, one in turns.items()
        ),
        Row("beside MediaPipe", median_ratio(ours, turns["MediaPipe"]), "", MOST_OF_PEER.get(size)),
        *(Row(name, median(ours, name), "ms") for name in names if name in ours[0]),
        Row("all but invoke", median(ours, "rest"), "ms"),
        Row("all but invoke, on the clock", median(ours, "rest_wall"), "ms"),
        Row("reading two frames and writing one", median(ours, "floor"), "ms"),
    ]
    if "before" in turns:
        earlier = turns["before"]
        rows += [
            Row("before, all but invoke", median(earlier, "rest"), "ms"),
            Row("beside before", median_ratio(ours, earlier), ""),
            Row(
                "all but invoke, beside before",
                median_ratio(ours, earlier, "rest"),
                "",
                MOST_OF_BEFORE[size],
            ),
        ]
    return [replace(row, what=f"{size}: {row.what}") for row in rows]


def convert(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    """Compare the whole command with a bare transcode of the same 20 s of 1080p.

    The demo's clip has a drawn room behind it, which costs an encoder next to nothing; a
    recording's has noise.
    """
    clips = {"demo": make_clip(folder / "demo.mp4", SIZES["1080p"], 500)}
    if arguments.clip is not None:
        frames = recorded(arguments.clip, SIZES["1080p"])
        clips["recording"] = make_clip(folder / "recording.mp4", SIZES["1080p"], 500, frames)
    background = save_background(folder / "beach.png", SIZES["1080p"])
    rows = []
    for name, clip in clips.items():
        ours, bare = [], []
        for _ in range(arguments.rounds):
            bare.append(watched(bare_command(clip, folder / "bare.mp4"))[0])
            ours.append(watched(convert_command(clip, folder / "ours.mp4", background))[0])
        ratios = [one / other for one, other in zip(ours, bare, strict=True)]
        rows += [
            Row(f"{name}: bare transcode", statistics.median(bare), "s"),
            Row(f"{name}: greenroom convert", statistics.median(ours), "s"),
            Row(f"{name}: ratio", statistics.median(ratios), "", 1.25),
        ]
    return rows


def memory(folder: Path, arguments: argparse.Namespace) -> list[Row]:  # noqa: ARG001 - it does not vary
    """Compare peak memory with a bare transcode's, and look whether it grows.

    Both run with nothing installed but what greenroom needs.
    """
    python = environment("greenroom", "--editable", str(HERE.parent))
    background = save_background(folder / "beach.png", SIZES["1080p"])
    clip = make_clip(folder / "clip.mp4", SIZES["1080p"], 500)
    bare = watched(bare_command(clip, folder / "bare.mp4", python))
    ours = watched(convert_command(clip, folder / "ours.mp4", background, python))
    short = make_clip(folder / "short.mp4", (640, 360), 1000)
    long = make_clip(folder / "long.mp4", (640, 360), 10_000)
    peaks = [
        watched(convert_command(one, folder / f"out-{one.name}", background, python))[1]
        for one in (short, long)
    ]
    return [
        Row("bare transcode, peak", bare[1], "MiB"),
        Row("greenroom convert, peak", ours[1], "MiB"),
        Row("more than bare", ours[1] - bare[1], "MiB", 60),
        Row("of that, memory of its own", ours[2] - bare[2], "MiB"),
        Row("of that, pages of library files", ours[1] - ours[2] - bare[1] + bare[2], "MiB"),
        Row("360p, peak of 1,000 frames", peaks[0], "MiB"),
        Row("360p, peak of 10,000 frames", peaks[1], "MiB"),
        Row("growth", abs(peaks[1] - peaks[0]), "MiB", 10),
    ]


def start(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    """Measure imports, the help, and the first frame: CPU time of the whole process.

    In an environment that has only what greenroom needs, and with nothing kept from earlier
    starts but Python's own compiled files.
    """
    python = environment("greenroom", "--editable", str(HERE.parent))
    clip = make_clip(folder / "clip.mp4", SIZES["720p"], 500)
    begun(folder, clip, SIZES["720p"], python)  # makes Python's files
    turns = [begun(folder, clip, SIZES["720p"], python) for _ in range(arguments.rounds)]
    rows = [
        Row(what, median(turns, what), "s of CPU", MOST_AT_START.get(what)) for what in turns[0]
    ]
    if arguments.before is not None:  # once: it may take minutes
        earlier = begun(folder, clip, SIZES["720p"], arguments.before)
        rows += [Row(f"before, {what}", cpu_s, "s") for what, cpu_s in earlier.items()]
    return rows


def runtime(folder: Path, arguments: argparse.Namespace) -> list[Row]:  # noqa: ARG001 - nothing is written
    """Compare LiteRT's two interfaces on the same model."""
    from ai_edge_litert.compiled_model import CompiledModel  # noqa: PLC0415
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415
    from ai_edge_litert.options import CpuOptions, Options  # noqa: PLC0415

    path = str(Store().get(card_named("selfie-landscape")))
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    compiled = CompiledModel.from_file(path, options=Options(cpu_options=CpuOptions(num_threads=1)))
    inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    times: dict[str, list[float]] = {"Interpreter": [], "CompiledModel": []}
    for _ in range(100 * arguments.rounds):
        for name, call in (
            ("Interpreter", interpreter.invoke),
            ("CompiledModel", lambda: compiled.run_by_index(0, inputs, outputs)),
        ):
            begin = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - begin))
    return [
        Row(f"invoke, {name}", statistics.median(values), "ms") for name, values in times.items()
    ]


def article(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    """Compare with a tutorial's pipeline: the same frozen graph, and DeepLab's smaller model.

    Everything runs with as many threads as the tutorial leaves TensorFlow: all.
    """
    if arguments.graph is None:
        return []
    python = environment("article", "--editable", f"{HERE.parent}[tensorflow]", "pillow")
    frames, masks = folder / "720p.npz", folder / "masks.npy"
    save_frames(frames, SIZES["720p"])
    card = folder / "article.toml"
    classes = [f"other-{number}" for number in range(arguments.label)] + ["person"]
    card.write_text(ARTICLE_CARD.format(file=arguments.graph.resolve(), classes=classes), "utf-8")
    (folder / arguments.graph.name).symlink_to(arguments.graph.resolve())
    threads = str(os.cpu_count())
    runs: dict[str, list[Any]] = {"article": [], "graph": [], "deeplabv3": []}
    models = {"graph": str(card), "deeplabv3": "deeplabv3"}
    for _ in range(arguments.rounds):
        runs["article"].append(
            measured(
                *(python, HERE / "peer_article.py", frames, "40"),
                *(arguments.graph, str(arguments.label), masks),
            )
        )
        for name, model in models.items():
            runs[name].append(
                measured(
                    *(python, HERE / "engine.py", frames, "40", "--model", model),
                    *("--threads", threads, "--masks", folder / f"{name}.npy"),
                )
            )
    whole, rest = (
        {name: statistics.median(one[what] for one in ran) for name, ran in runs.items()}
        for what in ("wall", "rest_wall")
    )
    same = (np.load(folder / "graph.npy") > 0.5) == (np.load(masks) > 0)
    return [
        *(Row(f"{name}: a frame of 720p", value, "ms") for name, value in whole.items()),
        *(Row(f"{name}: all but the network", value, "ms") for name, value in rest.items()),
        Row("graph, all but the network: ratio", rest["graph"] / rest["article"], "", 1 / 5),
        Row("deeplabv3, a frame: ratio", whole["deeplabv3"] / whole["article"], "", 1 / 4),
        Row("masks of the same graph that differ", 100 * (1 - float(same.mean())), "%", 0.1),
    ]


def environment(name: str, *requirement: str) -> Path:
    """Return the Python of an environment that has one thing installed; make it if need be."""
    folder = HERE / f".venv-{name}"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        subprocess.run([PYTHON, "-m", "venv", "--clear", folder], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *requirement]
        if subprocess.run(install, check=False).returncode != 0:
            sys.exit(f"benchmarks: {requirement[-1]} cannot be installed for {sys.executable}.")
        (folder / ".complete").touch()
    return python


def measured(python: str | Path, script: Path, *arguments: str | Path) -> Any:
    """Run a script that prints JSON."""
    run = subprocess.run([python, script, *arguments], check=True, capture_output=True, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def watched(command: list[str]) -> tuple[float, float, float]:
    """Run a command: its seconds, peak MiB, and peak MiB of memory that is no file's."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = own = 0.0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text("ascii")
            anonymous, total = (
                int(status.split(f"{name}:")[1].split()[0]) / 1024 for name in ("RssAnon", "VmRSS")
            )
        except (OSError, IndexError):  # it has just ended, or there is no /proc
            break
        peak, own = max(peak, total), max(own, anonymous)
        time.sleep(0.02)
    _, errors = process.communicate()
    if process.returncode != 0:
        sys.exit(f"benchmarks: {command[0]} failed: {errors.decode()}")
    return time.perf_counter() - begin, peak, own


def convert_command(
    clip: Path, out: Path, background: str | Path, python: str | Path = PYTHON
) -> list[str]:
    """Return the command that is measured."""
    command = Path(python).with_name("greenroom")
    flags = ["--background", str(background), "--overwrite"]
    return [str(command), "convert", str(clip), str(out), *flags]


def bare_command(clip: Path, out: Path, python: str | Path = PYTHON) -> list[str]:
    """Return the command that it is compared with."""
    return [str(python), str(HERE / "bare_transcode.py"), str(clip), str(out)]


def demo_frames(size: tuple[int, int], count: int) -> DemoSource:
    """Return a real person in front of a drawn room."""
    portrait = data.astronaut()
    with greenroom.VirtualBackground(background="transparent", edge_shift=-0.4) as engine:
        engine.process_rgb(portrait)
        matte = engine.matte
    assert matte is not None
    return DemoSource(portrait, matte, size, count)


def beach(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the built-in beach in a size, as RGB."""
    picture = decode_picture(builtin_path("beach"), MAX_SIDE_PX)
    return np.asarray(cv2.resize(picture.to_rgb(), size, interpolation=cv2.INTER_AREA), np.uint8)


def save_frames(path: Path, size: tuple[int, int], count: int = 8) -> None:
    """Save frames as planes for greenroom, and as BGR for the peer, with a background."""
    frames = list(demo_frames(size, count))
    planes = zip(*(frame.planes for frame in frames), strict=True)
    saved = dict(zip("yuv", (np.stack(plane) for plane in planes), strict=True))
    saved["bgr"] = np.stack([frame.to_rgb()[:, :, ::-1] for frame in frames])
    saved["background"] = beach(size)[:, :, ::-1]
    np.savez(path, allow_pickle=False, **saved)


def save_background(path: Path, size: tuple[int, int]) -> Path:
    """Save a picture."""
    sink = PictureSink([path], greenroom.Settings())
    sink.write(Frame.from_rgb(beach(size)))
    sink.close()
    return path


def recorded(path: Path, size: tuple[int, int]) -> list[av.VideoFrame]:
    """Decode the first frames of a recording at a size."""
    with av.open(str(path)) as container:
        frames = itertools.islice(container.decode(video=0), 100)
        return [frame.reformat(*size, format="yuv420p") for frame in frames]


def make_clip(
    path: Path, size: tuple[int, int], count: int, frames: list[av.VideoFrame] | None = None
) -> Path:
    """Make an H.264 clip of frames, the demo's unless others are given, played back and forth."""
    frames = frames or [frame.to_av() for frame in demo_frames(size, min(count, 50))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(count):
            turn = max(1, len(frames) - 1)
            frame = frames[turn - abs(number % (2 * turn) - turn)]
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
