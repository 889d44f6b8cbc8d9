"""Streams from servers on this machine."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rtsp_server import RtspServer
from stream_server import StreamServer, encoded

from greenroom.errors import (
    CameraError,
    CameraForbiddenError,
    CameraFormatError,
    CameraLostError,
    CameraMissingError,
)
from greenroom.live.sources import create_live_source
from greenroom.settings import Settings
from greenroom.sources import stream
from greenroom.specs import source_kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from greenroom.media.frame import Frame
    from greenroom.sources.source import Source

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.usefixtures("no_thread_left"),
]


@pytest.fixture
def server() -> Iterator[StreamServer]:
    """Serve streams."""
    with StreamServer() as running:
        yield running


def opened(address: str) -> Source:
    """Open a stream."""
    return create_live_source(Settings(source=address))


def some(source: Source, count: int) -> list[Frame]:
    """Return the first frames, and close the source."""
    try:
        return list(itertools.islice(source, count))
    finally:
        source.close()


def test_pictures_that_a_camera_pushes_arrive_one_by_one(server: StreamServer) -> None:
    """A multipart stream of JPEGs is shown as it comes, each frame once."""
    source = opened(server.address("mjpeg"))
    frames = some(source, 12)
    assert source.info.negotiated == "160x120 MJPEG, 25 frames/s"
    gaps_s = np.diff([frame.time_s or 0 for frame in frames[2:]])
    assert 0.03 < np.median(gaps_s) < 0.06  # 25 a second, drawn and sent on a busy machine
    assert len({frame.planes[0].tobytes() for frame in frames}) == len(frames)


def test_a_damaged_picture_in_mid_stream_is_left_out(server: StreamServer) -> None:
    """Frames of which half is missing are counted, and those around them are shown."""
    server.cut = {3, 7}
    source = opened(server.address("mjpeg"))
    frames = some(source, 10)
    assert source.damaged == 2
    bright = [(frame.planes[0] > 130).mean() for frame in frames]
    assert min(bright) == pytest.approx(0.25, abs=0.03)
    assert max(bright) == pytest.approx(0.25, abs=0.03)


def test_a_transport_stream_is_shown(server: StreamServer) -> None:
    """MPEG-TS over HTTP keeps its first size and says its codec and rate."""
    source = opened(server.address("ts"))
    frames = some(source, 10)
    assert source.info.negotiated == "160x120 MPEG2VIDEO, 25 frames/s"
    assert {frame.size for frame in frames} == {(160, 120)}


def test_a_network_cameras_rtsp_is_shown() -> None:
    """RTSP is asked for over TCP, and its frames arrive at their rate."""
    with RtspServer() as server:
        source = opened(server.address)
        frames = some(source, 25)
    assert source.info.negotiated == "160x120 MPEG2VIDEO, 25 frames/s"
    assert {frame.size for frame in frames} == {(160, 120)}
    stamps_s = [frame.time_s or 0 for frame in frames]
    assert stamps_s[-1] - stamps_s[0] == pytest.approx(1.0, abs=0.4)


def test_a_file_on_a_server_is_played_in_real_time_and_ends(server: StreamServer) -> None:
    """What is stored is not shown as fast as it arrives, and its end is no loss."""
    frames = list(opened(server.address("clip.mkv")))
    assert len(frames) == 10
    gaps_s = np.diff([frame.time_s or 0 for frame in frames])
    assert gaps_s.mean() == pytest.approx(0.04, abs=0.01)


def test_a_playlist_on_a_server_is_played(server: StreamServer) -> None:
    """HLS leads on to parts on the server."""
    assert len(list(opened(server.address("list.m3u8")))) == 25


@pytest.mark.parametrize("scheme", ["file:", "subfile,,start,0,end,0,,:", "concat:"])
def test_a_playlist_on_a_server_leads_to_no_file(
    server: StreamServer, tmp_path: Path, scheme: str
) -> None:
    """A playlist that names a video of this machine does not get it."""
    secret = tmp_path / "part.ts"
    secret.write_bytes(encoded("mpegts", "mpeg2video", 25))
    server.listed = f"{scheme}{secret}"
    with pytest.raises(CameraError):
        list(opened(server.address("list.m3u8")))


def test_a_session_on_a_server_opens_no_port(server: StreamServer) -> None:
    """HTTP does not lead on to RTP."""
    with pytest.raises(CameraFormatError):
        opened(server.address("session.sdp"))


@pytest.mark.parametrize(
    "name", ["seethrough.webm", "lavfi:testsrc=size=64x48,format=rgba,colorchannelmixer=aa=0"]
)
def test_what_is_hidden_in_a_stream_is_black(server: StreamServer, name: str) -> None:
    """A stream with alpha is shown in front of black."""
    address = name if name.startswith("lavfi") else server.address(name)
    for frame in some(opened(address), 3):
        assert frame.planes[0].max() <= 20


def test_a_stream_that_breaks_off_is_lost(server: StreamServer) -> None:
    """The end of a stream that has none is a loss, after which it is looked for."""
    server.most = 5
    with pytest.raises(CameraLostError, match="was lost"):
        list(opened(server.address("mjpeg")))


def test_a_silent_stream_is_lost_within_its_time(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stays connected but sends nothing does not hang the source."""
    monkeypatch.setattr(stream, "_SILENCE_S", 0.4)
    server.most, server.breaks = 5, False
    began_s = time.monotonic()
    with pytest.raises(CameraLostError, match=r"nothing came for 0\.4 s"):
        list(opened(server.address("mjpeg")))
    assert time.monotonic() - began_s < 3


def test_a_server_that_does_not_answer_is_given_up(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening ends with an error though the server says nothing at all."""
    monkeypatch.setattr(stream, "_OPEN_S", 0.3)
    with pytest.raises(CameraMissingError, match=r"nothing came for 0\.3 s"):
        opened(server.address("silent"))


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("forbidden", CameraForbiddenError, "NAME:PASSWORD@127.0.0.1"),
        ("missing", CameraMissingError, "not on that server"),
        ("page", CameraError, "no video|web page"),
    ],
)
def test_each_refusal_has_its_own_error(
    server: StreamServer, path: str, kind: type[CameraError], words: str
) -> None:
    """A wrong password, a wrong path and a web page are told apart."""
    with pytest.raises(kind, match=words):
        opened(server.address(path))


def test_what_is_no_address_is_told_without_the_password() -> None:
    """An address that cannot be taken apart is an error of the source as any other."""
    with pytest.raises(CameraFormatError, match="'http:' is no address: Invalid IPv6") as raised:
        opened("http://me:secret@[::1/video")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_nobody_there_is_told_without_the_password(scheme: str) -> None:
    """A refused connection says so, and the password in the address is not repeated."""
    with pytest.raises(CameraMissingError, match="refused") as caught:
        opened(f"{scheme}://me:secret@127.0.0.1:9/cam")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:9/cam" in str(caught.value)


def test_a_stream_leads_to_no_file_of_this_machine(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A playlist from the network that names a local file is refused."""
    handler = server.RequestHandlerClass

    def listed(self: object) -> None:
        self._head("application/vnd.apple.mpegurl")  # type: ignore[attr-defined]
        self.wfile.write(  # type: ignore[attr-defined]
            b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
        )

    monkeypatch.setattr(handler, "_list", listed, raising=False)
    with pytest.raises(CameraError):
        opened(server.address("list.m3u8"))


def test_closing_from_another_thread_ends_the_stream(server: StreamServer) -> None:
    """Whoever reads stops soon after another thread has closed the source."""
    source = opened(server.address("mjpeg"))
    read = threading.Event()

    def reading() -> None:
        for _ in source:
            read.set()

    thread = threading.Thread(target=reading)
    thread.start()
    assert read.wait(5)
    source.close()
    thread.join(timeout=2)
    assert not thread.is_alive()


def test_addresses_are_told_from_names_and_paths() -> None:
    """Only known schemes are addresses: a drive letter or a name with a colon is none."""
    streams = ("rtsp://a/b", "HTTP://a", "https://a", "rtp://a:5004", "udp://@:1234")
    assert {source_kind(name) for name in streams} == {"stream"}
    names = ("0", "C:\\clip.mp4", "Camera: front", "/dev/video0", "file:a.mp4")
    assert {source_kind(name) for name in names} == {None}
    assert source_kind("lavfi:testsrc") == "test picture"


def test_a_test_picture_that_ffmpeg_does_not_know_says_how_one_looks() -> None:
    """A wrong lavfi graph is told with an example to copy."""
    with pytest.raises(CameraFormatError, match="testsrc2"):
        opened("lavfi:nonsense")
