"""``greenroom cover``: the cover key of a shell."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from greenroom.desktop.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Run

TOKEN = "s3cret"  # noqa: S105 - of a server that only this test has
pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.usefixtures("no_thread_left")]
posix = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no SIGUSR1")


class Page(ThreadingHTTPServer):
    """A page that can be covered, as greenroom's own."""

    daemon_threads = False

    def __init__(self) -> None:
        self.covered = False
        self.broken = 0
        self.lacking: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/#token={TOKEN}"


class Handler(BaseHTTPRequestHandler):
    """Answers the two requests that the command makes."""

    server: Page
    protocol_version = "HTTP/1.0"
    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Tell the state."""
        assert self.path == "/api/status"
        self._answer({"covered": self.server.covered, "showing": "person"})

    def do_POST(self) -> None:
        """Cover or uncover."""
        assert self.path == "/api/cover"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._allowed():
            self.server.covered = body["on"]
        self._answer({"on": body["on"], "without_cover": self.server.lacking})

    def _allowed(self) -> bool:
        return self.headers["Authorization"] == f"Bearer {TOKEN}" and not self.server.broken

    def _answer(self, body: object) -> None:
        self.send_response(200 if self._allowed() else self.server.broken or 403)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Instance]:
    """Be an instance that runs, in a folder of the test's own."""
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: tmp_path / "state")
    with Instance() as running:
        yield running


@pytest.fixture
def page(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Serve the page of that instance, where proxies are configured."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with Page() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        instance.announce(url=server.url)
        yield server
        server.shutdown()
        thread.join()


def test_nothing_runs(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without an instance the command fails, and says how to start one."""
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: tmp_path / "state")
    result = run("cover", "on")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "greenroom: error: greenroom does not run, so nothing is sent. To start it: greenroom run\n"
    )


class TestByPage:
    """The usual way."""

    def test_on_and_off(self, run: Run, page: Page) -> None:
        """It does what it is told, whatever the state, and says what is so now."""
        for state, covered in (("on", True), ("on", True), ("off", False), ("off", False)):
            result = run("cover", state)
            words = "covered\n" if covered else "not covered\n"
            assert (result.status, result.out, result.err) == (0, words, "")
            assert page.covered is covered

    def test_a_sink_without_the_cover(self, run: Run, page: Page) -> None:
        """That is no success: the sink is named, and how to send nothing at all."""
        page.lacking = ["camera", "window"]
        result = run("cover", "on")
        assert (result.status, result.out) == (1, "")
        assert "camera, window has not taken it" in result.err
        assert f"end it: kill {os.getpid()}" in result.err
        assert run("cover", "off").out == "not covered\n"

    def test_toggle(self, run: Run, page: Page) -> None:
        """It changes over from what the page says, which others may have changed."""
        assert run("cover", "toggle").out == "covered\n"
        assert page.covered
        assert run("cover", "toggle").out == "not covered\n"
        page.covered = True
        assert run("cover", "toggle").out == "not covered\n"
        assert not page.covered

    def test_wrong_token(self, run: Run, page: Page, instance: Instance) -> None:
        """What the page answers is passed on, without the token."""
        instance.announce(url=page.url.replace(TOKEN, "wrong"))
        result = run("cover", "on")
        assert result.status == 1
        assert f"127.0.0.1:{page.server_port} answered 403 Forbidden" in result.err
        assert f"end it: kill {os.getpid()}" in result.err
        assert "wrong" not in result.err
        assert not page.covered

    def test_wrong_word(self, run: Run) -> None:
        """Another word than the three is wrong usage."""
        assert run("cover", "maybe").status == 2
        assert run("cover").status == 2


@posix
class TestBySignal:
    """Where the page does not answer."""

    @pytest.fixture
    def covered(self, instance: Instance) -> Iterator[list[bool]]:
        """Listen for the signal as an instance does; the last item is the state."""
        states = [False]

        def change_over(*_: object) -> None:
            states.append(not states[-1])
            instance.announce(covered=states[-1])

        def cover(*_: object) -> None:
            states.append(True)
            instance.announce(covered=True)

        before = signal.signal(signal.SIGUSR1, change_over)
        second = signal.signal(signal.SIGUSR2, cover)
        instance.announce(covered=False)
        yield states
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR2, second)

    @pytest.mark.parametrize("broken", [0, 500])
    def test_falls_back(
        self, run: Run, instance: Instance, page: Page, covered: list[bool], broken: int
    ) -> None:
        """Whether the page is closed or broken, the signal does it, once where needed."""
        page.broken = broken
        if not broken:
            with socket.socket() as closed:
                closed.bind(("127.0.0.1", 0))
                instance.announce(url=f"http://127.0.0.1:{closed.getsockname()[1]}/#token=x")
        for state, words in (
            ("on", "covered\n"),
            ("on", "covered\n"),
            ("toggle", "not covered\n"),
            ("off", "not covered\n"),
        ):
            result = run("cover", state)
            assert (result.status, result.out) == (0, words)
        assert covered == [False, True, False]

    def test_without_a_page(self, run: Run, covered: list[bool]) -> None:
        """An instance without a page can be covered too."""
        assert run("cover", "on").out == "covered\n"
        assert covered == [False, True]

    def test_page_that_hangs(
        self,
        run: Run,
        instance: Instance,
        covered: list[bool],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A page that takes the connection and says nothing is not waited for long."""
        monkeypatch.setattr("greenroom.cli.cover._TIMEOUT_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            instance.announce(url=f"http://127.0.0.1:{deaf.getsockname()[1]}/#token=x")
            assert run("cover", "on").out == "covered\n"
        assert covered == [False, True]

    def test_not_acted_upon(
        self,
        run: Run,
        instance: Instance,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A signal that changes nothing is no success: all that was tried is told."""
        monkeypatch.setattr("greenroom.cli.cover._TIMEOUT_S", 0.2)
        before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        instance.announce(covered=False)
        result = run("cover", "on")
        signal.signal(signal.SIGUSR2, before)
        assert (result.status, result.out) == (1, "")
        assert "could not be covered: it has no page; " in result.err
        assert f"process {os.getpid()} did not act on the signal within 0.2 s" in result.err

    def test_state_is_not_known(self, run: Run, instance: Instance) -> None:
        """No signal is sent to one that may not listen for it: it would end, or be uncovered."""
        instance.announce(url="")
        result = run("cover", "on")
        assert result.status == 1
        assert "does not say yet whether you are covered" in result.err
