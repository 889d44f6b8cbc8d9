"""What is opened by its path, or read from standard input, leads to no other file or socket."""

from __future__ import annotations

import ctypes
import io
import os
import socket
import struct
import sys
import threading
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from greenroom.backgrounds import create_background
from greenroom.errors import CameraFormatError, GreenroomError
from greenroom.files.convert import convert
from greenroom.live.sources import create_live_source
from greenroom.media.decoding import StandardInput, open_container, open_media
from greenroom.settings import Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"])]

_IN_OPEN = 0x20
_IN_NONBLOCK = 0o4000

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{}'\n"
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {} RTP/AVP 33\n"
    "a=control:{}\n"
)
DASH = '<?xml version="1.0"?>\n<MPD><Period><BaseURL>{}</BaseURL></Period></MPD>\n'
LISTS = {"HLS": HLS, "ffconcat": CONCAT, "SDP": SDP, "DASH": DASH}
SUFFIXES = {"HLS": "m3u8", "ffconcat": "ffconcat", "SDP": "mp4", "DASH": "mpd"}


def film(path: Path, container: str = "mpegts") -> Path:
    """Write a second of video."""
    with av.open(str(path), "w", format=container) as target:
        stream = target.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(25):
            picture = np.full((48, 64, 3), 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


@contextmanager
def never_opened(path: Path) -> Iterator[None]:
    """Check by inotify that nobody opens a file."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(_IN_NONBLOCK)
    try:
        assert libc.inotify_add_watch(watch, os.fsencode(path), _IN_OPEN) >= 0
        yield
        with pytest.raises(BlockingIOError):  # as nothing happened
            os.read(watch, 4096)
    finally:
        os.close(watch)


def as_input(path: Path) -> None:
    """Open an input of a conversion."""
    create_source(path, Settings())


def as_live_file(path: Path) -> None:
    """Open a file that is played as a source."""
    create_live_source(Settings(source=str(path)))


def as_background(path: Path) -> None:
    """Open a background."""
    create_background(Settings(background=str(path)))


def as_carried(path: Path) -> None:
    """Open what sound is copied from."""
    open_container(path)


OPENERS = (as_input, as_live_file, as_background, as_carried)


@pytest.mark.skipif(sys.platform != "linux", reason="watches files by Linux's inotify")
@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("kind", LISTS)
def test_a_list_of_files_leads_to_none(
    tmp_path: Path, kind: str, opener: Callable[[Path], None]
) -> None:
    """A list that names a video is refused whatever it is given for, and the video not opened."""
    secret = film(tmp_path / "secret.ts")
    path = tmp_path / f"list.{SUFFIXES[kind]}"
    path.write_text(LISTS[kind].format(secret.name, secret.name))
    with (
        never_opened(secret),
        pytest.raises((GreenroomError, av.error.FFmpegError, ValueError)) as caught,
    ):
        opener(path)
    if opener is not as_carried:  # what its error says is shown by nobody
        assert kind in str(caught.value)
        assert "names other files" in str(caught.value)


@pytest.mark.parametrize("kind", ["HLS", "ffconcat"])
def test_a_list_of_addresses_makes_no_connection(tmp_path: Path, kind: str) -> None:
    """A list that names a server is refused, and the server is not asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        path = tmp_path / "list.m3u8"
        path.write_text(LISTS[kind].format(f"http://127.0.0.1:{port}/a.ts"))
        with pytest.raises(GreenroomError, match="names other files or addresses"):
            create_source(path, Settings())
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.skipif(sys.platform != "linux", reason="watches files by Linux's inotify")
@pytest.mark.parametrize(
    "graph",
    [
        "movie={}",
        "mo'v'ie={}",
        "\\movie={}",
        "color=s=64x48[a];movie={}[b];[a][b]overlay",
        "color='s=64x48',movie@1={}",
        "life=filename={}",
        "'testsrc',movie={}",
        "testsrc=size=64x48,drawtext=textfile={}",
    ],
)
def test_a_test_picture_reads_no_file(tmp_path: Path, graph: str) -> None:
    """A graph of filters that could read a file is refused, however it is written."""
    secret = film(tmp_path / "secret.ts")
    with never_opened(secret), pytest.raises(CameraFormatError, match="is not drawn"):
        create_live_source(Settings(source=f"lavfi:{graph.format(secret)}"))


@pytest.mark.parametrize(
    "graph",
    [
        "testsrc2=size=64x48:rate=30",
        "color=c=red:s=64x48[a];color=s=8x8[b];[a][b]overlay=x=4,format=yuv420p",
        "nullsrc=s=64x48,geq='if(lt(X,10),255,0)':128:128",
    ],
)
def test_test_pictures_are_drawn(graph: str) -> None:
    """Sources, filters that change pictures, labels and quotes are taken."""
    source = create_live_source(Settings(source=f"lavfi:{graph}"))
    assert source.info.negotiated is not None
    source.close()


@pytest.mark.skipif(sys.platform != "linux", reason="lists ports by Linux's /proc")
def test_a_session_opens_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description of a session on standard input is refused, and its port never opened."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = f":{free.getsockname()[1]:04X} "
    path = tmp_path / "camera.sdp"
    path.write_text(SDP.format(int(port[1:], 16), "x"))
    seen: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.001):
            table = Path("/proc/self/net/udp").read_text("ascii")
            seen.extend(line for line in table.splitlines() if port in line)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with path.open() as piped:
            monkeypatch.setattr(sys, "stdin", piped)
            with pytest.raises(GreenroomError, match="SDP"):
                create_source("-", Settings())
    finally:
        ended.set()
        watcher.join()
    assert seen == []


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_on_standard_input_leads_to_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A list that comes from a pipe is refused as one in a file is."""
    secret = film(tmp_path / "secret.ts")
    path = tmp_path / "list"
    path.write_text(LISTS[kind].format(secret.name, secret.name))
    monkeypatch.chdir(tmp_path)
    with path.open() as piped, never_opened(secret):
        monkeypatch.setattr(sys, "stdin", piped)
        with pytest.raises(ValueError, match=kind):
            open_media(StandardInput())


def test_a_film_on_standard_input_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that names no other file passes."""
    with film(tmp_path / "film.ts").open() as piped:
        monkeypatch.setattr(sys, "stdin", piped)
        with open_media(StandardInput()) as container:
            assert container.format.name == "mpegts"


def test_a_text_is_no_film(tmp_path: Path) -> None:
    """What FFmpeg would show as letters on a screen is not taken."""
    path = tmp_path / "notes.txt"
    path.write_text("the key is under the mat\n" * 50)
    with pytest.raises(GreenroomError, match="not an image or video"):
        convert(path, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    """A picture whose name looks like a number's place is read itself."""
    for name, shade in (("a%03d.jpg", 200), ("a001.jpg", 20)):
        data = io.BytesIO()
        with av.open(data, "w", format="mjpeg") as target:
            stream = target.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8))
            target.mux([*stream.encode(picture), *stream.encode(None)])
        (tmp_path / name).write_bytes(data.getvalue())
    (frame,) = create_source(tmp_path / "a%03d.jpg", Settings())
    assert frame.to_rgb().mean() == pytest.approx(200, abs=3)


@pytest.mark.skipif(sys.platform != "linux", reason="watches files by Linux's inotify")
def test_a_film_whose_samples_are_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A MOV that refers to another file for its samples does not get at it."""
    secret = film(tmp_path / "secret.mov", "mov")
    data = bytearray(secret.read_bytes())
    # ISO/IEC 14496-12, 8.7.2, and QuickTime's alias record: flag 1 says "in this file".
    start = data.index(b"dref") - 4
    (length,) = struct.unpack_from(">I", data, start)
    name = secret.name.encode()
    alias = bytearray(150)
    struct.pack_into(">HH", alias, 4, 150, 2)
    record = bytes(alias) + struct.pack(">hH", 2, len(name)) + name + bytes(len(name) % 2)
    record += struct.pack(">hH", 18, len(bytes(secret))) + bytes(secret)
    record += struct.pack(">hH", -1, 0)
    entry = struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record
    box = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    grown = len(box) - length
    for parent in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(parent, 0, start) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + grown)
    data[start : start + length] = box
    path = tmp_path / "elsewhere.mov"
    path.write_bytes(data)
    monkeypatch.chdir(tmp_path)
    with never_opened(secret), pytest.raises(GreenroomError):
        list(create_source(path, Settings()))
