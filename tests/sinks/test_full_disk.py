"""Disks that are full: at once, at a file's header, in the middle of it, and at its end."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import av
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES: Final = ("out.mp4", "out.mov", "out.mkv", "out.webm")
WHENS: Final = ("at once", "header", "middle", "end")

# What is written is noise, so that files grow fast. A limit for the size of files stands for the
# disk's: it fails the same calls, with an error of the same kind.
COMMON: Final = """
import json, resource, shutil, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from greenroom.errors import SinkError
from greenroom.media.frame import Frame, Layout
from greenroom.settings import Settings
from greenroom.sinks import muxer, video_file
from greenroom.sinks.live_recording import RecordingSink
from greenroom.sinks.video_sink import VideoSink
from greenroom.media.source_info import SourceInfo

rng = np.random.default_rng(1)
RATE = Fraction(30)
SETTINGS = Settings(output_quality=100)
FREE = resource.getrlimit(resource.RLIMIT_FSIZE)

def frame(number):
    made = Frame.empty(Layout(96, 64, "yuv420p"))
    for plane in made.planes:
        plane[:] = rng.integers(16, 235, plane.shape)
    return made.shown_at(number, 1 / RATE)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, FREE if size is None else (size, FREE[1]))

def names(folder):
    return sorted(one.name for one in folder.iterdir())
"""
LIMITED: Final = (
    COMMON
    + """
folder, name, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
check_free_space = video_file.check_free_space

def set_up(when):
    within = folder / when
    within.mkdir()
    # "header": the disk fills up after the check for free space.
    check = (lambda *_: None) if when == "header" else check_free_space
    muxer.check_free_space = video_file.check_free_space = check
    limit({"at once": 0, "header": 10, "middle": 300_000, "end": None}[when])
    return within

def record(when):
    within, said, number = set_up(when), [], 0
    sink = RecordingSink(within / name, SETTINGS, RATE)
    while not said and number < (150 if when == "end" else 2000):
        try:
            sink.write(frame(number))
        except SinkError as error:
            said.append(str(error))
        number += 1
    if when == "end":
        written = max((one.stat().st_size for one in within.iterdir()), default=0)
        limit(written + 20)
        try:
            sink.close()
        except SinkError as error:
            said.append(str(error))
    limit(0)  # it stays full
    muxer.check_free_space = video_file.check_free_space = check_free_space
    kept = names(within)
    for _ in range(4):
        try:
            sink.write(frame(number := number + 1))
        except SinkError as error:
            said.append(str(error))
        sink.abort()
    still = names(within)
    limit(None)
    for _ in range(5):
        sink.write(frame(number := number + 1))
    sink.close()
    return {"said": said, "kept": kept, "still": still, "at the end": names(within)}

def convert(when):
    within, said = set_up(when), []
    info = SourceInfo("noise", rate=RATE, time_base=1 / RATE)
    sink = VideoSink(within / name, SETTINGS, info)
    try:
        for number in range(150 if when == "end" else 2000):
            sink.write(frame(number))
        limit(max((one.stat().st_size for one in within.iterdir()), default=0) + 20)
        sink.close()
    except SinkError as error:
        said.append(str(error))
        sink.abort()
    limit(None)
    return {"said": said, "at the end": names(within)}

work = record if kind == "record" else convert
print(json.dumps({when: work(when) for when in ("at once", "header", "middle", "end")}))
"""
)
SMALL_DISK: Final = (
    COMMON
    + """
folder, name = Path(sys.argv[1]), sys.argv[2]
sink, said = RecordingSink(folder / name, SETTINGS, RATE), []
for number in range(300):
    try:
        sink.write(frame(number))
    except SinkError as error:
        said.append(str(error))
        sink.abort()
full = names(folder)
shutil.move(folder / name, Path(sys.argv[3]) / name)  # which makes room
for number in range(300, 305):
    sink.write(frame(number))
sink.close()
print(json.dumps({"said": said, "full": full, "at the end": names(folder)}))
"""
)


def run(program: str, *arguments: object) -> Any:
    """Run a program, which has to end by itself, and return what it prints."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, check=False, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout)


def frames_in(path: Path) -> int:
    """Count the frames that can be decoded."""
    count = 0
    with av.open(str(path)) as container:
        try:
            for _ in container.decode(video=0):
                count += 1
        except av.error.InvalidDataError:  # the end of the last one is missing
            pass
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("name", NAMES)
class TestLimit:
    """No call into FFmpeg ends the process, whenever the disk is full."""

    def test_recording(self, name: str, tmp_path: Path) -> None:
        """What was recorded is kept, nothing is strewn about, and with room it goes on."""
        seen = run(LIMITED, tmp_path, name, "record")
        assert list(seen) == list(WHENS)
        for when, case in seen.items():
            folder = tmp_path / when
            assert len(case["said"]) == 5, when  # of the failure, and of each attempt after it
            assert all("Free some space" in said for said in case["said"]), when
            assert case["still"] == case["kept"], when
            is_kept = when in ("middle", "end")
            assert case["kept"] == ([name] if is_kept else []), when
            second = name.replace(".", "-2.") if is_kept else name
            assert case["at the end"] == sorted({*case["kept"], second}), when
            assert frames_in(folder / second) == 5
            if is_kept:
                assert f"is in '{folder / name}'" in case["said"][0]
                assert frames_in(folder / name) > 10
            modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
            assert modes == {0o600}, when

    def test_conversion(self, name: str, tmp_path: Path) -> None:
        """It ends with an error that says what to do, and leaves nothing behind."""
        for when, case in run(LIMITED, tmp_path, name, "convert").items():
            assert len(case["said"]) == 1, when
            assert "Free some space" in case["said"][0], when
            assert case["at the end"] == [], when


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Make a file system of 300 KiB."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if sys.platform != "linux" or os.geteuid() != 0 or mount is None or unmount is None:
        pytest.skip("only root can make a file system, on Linux")
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=300k", "none", str(folder)],
        capture_output=True,
        check=False,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"a file system cannot be made here: {made.stderr.strip()}")
    yield folder
    subprocess.run([unmount, str(folder)], check=True)


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_a_disk_that_is_really_full(name: str, small_disk: Path, tmp_path: Path) -> None:
    """A recording keeps what there was room for, and goes on when there is room again."""
    seen = run(SMALL_DISK, small_disk, name, tmp_path)
    assert "no space left on device" in seen["said"][0]
    assert seen["full"] == [name]
    assert frames_in(tmp_path / name) > 10
    (second,) = seen["at the end"]
    assert frames_in(small_disk / second) == 5


NO_PACKET: Final = (
    COMMON
    + """
import av
from greenroom.sinks.codecs import CONTAINERS
within, said = Path(sys.argv[1]), []
for suffix, kind in CONTAINERS.items():
    for options in (kind.options, kind.live_options):
        path = within / f"out{suffix}"
        path.touch()
        container = av.open(str(path), "w", format=kind.format, options=dict(options))
        stream = container.add_stream("libvpx-vp9" if suffix == ".webm" else "libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        made = muxer.Muxer(container, path)
        made.begin()
        made.close()
        made.close()
        path.unlink()
sink = RecordingSink(within / "out.mov", Settings(codec="dirac"), RATE)  # it encodes no such frame
for number in range(3):
    try:
        sink.write(frame(number))
    except SinkError as error:
        said.append(str(error))
        sink.abort()
sink.close()
print(json.dumps({"said": said, "at the end": names(within)}))
"""
)


def test_a_file_without_a_packet(tmp_path: Path) -> None:
    """One that was begun and got nothing is closed without ending the process, and not kept."""
    seen = run(NO_PACKET, tmp_path)
    assert len(seen["said"]) == 3
    assert seen["at the end"] == []
