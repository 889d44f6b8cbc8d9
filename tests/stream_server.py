"""A server of streams on this machine, as network cameras and others have it."""

from __future__ import annotations

import io
import socketserver
import threading
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import av
import cv2
import numpy as np

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["StreamServer", "UntilLeft", "encoded", "jpeg"]

SIZE = (160, 120)
RATE = 25


def picture(number: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Draw a frame with a bar that moves: RGB."""
    width, height = size
    x = np.arange(width)
    columns = np.where((x - 8 * number) % width < width // 4, 220, 40).astype(np.uint8)
    return np.repeat(np.repeat(columns[None, :, None], height, 0), 3, 2)


def jpeg(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """Return a frame as a JPEG."""
    done, data = cv2.imencode(".jpg", picture(number, size))
    assert done
    return data.tobytes()


def encoded(
    format_name: str, codec: str, frames: int, pixels: str = "yuv420p", *, hidden: bool = False
) -> bytes:
    """Return frames as a file of some format."""
    file = io.BytesIO()
    with av.open(file, "w", format=format_name) as container:
        stream = container.add_stream(codec, rate=Fraction(RATE))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixels
        stream.codec_context.gop_size = 5
        for number in range(frames):
            samples = picture(number)
            if hidden:
                samples = np.dstack([samples, np.zeros(samples.shape[:2], np.uint8)])
            frame = av.VideoFrame.from_ndarray(samples, "rgba" if hidden else "rgb24")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    return file.getvalue()


class UntilLeft(socketserver.BaseServer):
    """Serves on a thread of its own while the context is entered; `ended` tells its handlers."""

    def __enter__(self) -> Self:
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: StreamServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer by the path."""
        with suppress(BrokenPipeError, ConnectionResetError):  # whoever looked has gone
            getattr(self, f"_{self.path.strip('/').partition('.')[0]}")()

    def _head(self, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _mjpeg(self) -> None:
        """Send pictures one after the other for ever, as IP cameras do."""
        self._head("multipart/x-mixed-replace; boundary=frame")
        number = 0
        while not self.server.ended.wait(1 / RATE) and number < self.server.most:
            data = jpeg(number)
            if number in self.server.cut:
                data = data[: len(data) // 2]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            number += 1
        if number >= self.server.most and not self.server.breaks:
            self.server.ended.wait(30)  # it is silent from here on

    def _ts(self) -> None:
        """Send a transport stream about as fast as it is to be shown."""
        self._head("video/mp2t")
        data = encoded("mpegts", "mpeg2video", 100)
        for start in range(0, len(data), 1880):
            self.wfile.write(data[start : start + 1880])
            if self.server.ended.wait(4 * 1880 / len(data)):
                return

    def _list(self) -> None:
        """Send a playlist."""
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", self.server.listed]
        self._whole("\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode())

    def _part(self) -> None:
        """Send a transport stream at once."""
        self._whole(encoded("mpegts", "mpeg2video", 25))

    def _seethrough(self) -> None:
        """Send a film in which nothing can be seen."""
        self._whole(encoded("webm", "libvpx-vp9", 5, "yuva420p", hidden=True))

    def _session(self) -> None:
        """Send the description of a session."""
        self._head("application/sdp")
        self.wfile.write(b"v=0\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 50004 RTP/AVP 33\n")

    def _clip(self) -> None:
        """Send a whole file at once."""
        self._whole(encoded("matroska", "mpeg4", 10))

    def _whole(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _page(self) -> None:
        self._head("text/html")
        self.wfile.write(b"<html>This is a web page.</html>" * 100)

    def _forbidden(self) -> None:
        self._head("text/plain", 401)

    def _missing(self) -> None:
        self._head("text/plain", 404)

    def _silent(self) -> None:
        self.server.ended.wait(30)


class StreamServer(UntilLeft, ThreadingHTTPServer):
    """Serves what is asked for, until it is left.

    Attributes
    ----------
    most : int
        After so many pictures the stream of pictures breaks off.
    breaks : bool
        Whether the connection ends then, rather than be silent.
    cut : set of int
        Pictures of which only the first half is sent.
    listed : str
        What the playlist names.
    """

    daemon_threads = False
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.most = 10**9
        self.breaks = True
        self.cut: set[int] = set()
        self.listed = "part.ts"

    def address(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"
