"""A server of model files that behaves as badly as it is told to."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONTENT", "HOST", "ModelServer", "adapter_to"]

HOST: Final = "https://models.test"
CONTENT: Final = bytes(range(256)) * 400
_CUT: Final = 30_000


class ModelServer(ThreadingHTTPServer):
    """Serves ``CONTENT`` under ``/model``, and failures under their names.

    Attributes
    ----------
    asked : list of str
        The paths that were asked for, as they came.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.ended = threading.Event()
        self.both = threading.Barrier(2)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name = urlsplit(self.path).path.removeprefix("/")
        with contextlib.suppress(ConnectionError):
            getattr(self, f"_{name}", self._missing)()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _head(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _missing(self) -> None:
        self.send_error(404)

    def _model(self) -> None:
        self._head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT)

    def _unannounced(self) -> None:
        self._head()
        self.wfile.write(CONTENT)

    def _other(self) -> None:
        self._head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT[::-1])

    def _long(self) -> None:
        self._head()
        self.wfile.write(CONTENT + b"more")

    def _cut(self) -> None:
        self._head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT[:_CUT])

    def _cut_unannounced(self) -> None:
        self._head()
        self.wfile.write(CONTENT[:_CUT])

    def _cut_chunks(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self._head(Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:_CUT])
        self.close_connection = True

    def _chunks(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self._head(Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT + b"\r\n0\r\n\r\n")
        self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True

    def _page(self) -> None:
        self._head(Content_Type="text/html; charset=utf-8")
        self.wfile.write(b"<html>Log in</html>")

    def _hidden_page(self) -> None:
        self._head(Content_Type="application/octet-stream")
        self.wfile.write(b"\n<!DOCTYPE html><html>Log in</html>")

    def _pointer(self) -> None:
        self._head()
        self.wfile.write(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")

    def _silent(self) -> None:
        self.server.ended.wait()

    def _stalled(self) -> None:
        self._head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT[:_CUT])
        self.server.ended.wait()

    def _trickle(self) -> None:
        self._head(Content_Length=len(CONTENT))
        for number in range(len(CONTENT)):
            self.wfile.write(CONTENT[number : number + 1])
            if self.server.ended.wait(0.02):
                return

    def _moved(self) -> None:
        self._head(302, Location=f"{HOST}/model")

    def _downgraded(self) -> None:
        self._head(302, Location=f"{self.server.url}/model")

    def _together(self) -> None:
        self._head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT[:_CUT])
        self.server.both.wait(60)
        self.wfile.write(CONTENT[_CUT:])


def adapter_to(url: str) -> type[requests.adapters.HTTPAdapter]:
    """Make an adapter that leads what is asked of `HOST` to a server on this machine."""

    class Adapter(requests.adapters.HTTPAdapter):
        def send(
            self,
            request: requests.PreparedRequest,
            *args: Any,
            **options: Any,
        ) -> requests.Response:
            asked = request.url or ""
            request.url = asked.replace(HOST, url)
            response = super().send(request, *args, **options)
            request.url = response.url = asked
            return response

    return Adapter


def get_in_this_process(url: str, settings: Mapping[str, Any], cache: str) -> None:
    """Get a model, as a process of its own does it."""
    from pathlib import Path  # noqa: PLC0415 - only there

    from greenroom.segmenters.card import Card  # noqa: PLC0415
    from greenroom.segmenters.store import Store  # noqa: PLC0415

    requests.adapters.HTTPAdapter = adapter_to(url)  # type: ignore[misc]
    Store(cache_dir=Path(cache)).get(Card(**settings))
