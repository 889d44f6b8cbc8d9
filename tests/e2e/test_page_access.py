"""Who is let in to the page, in a browser: restarts, new tokens, and other programs."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import pytest
from web.fake_session import FakeSession

from e2e.browser import DEADLINE_S, chromium, eventually
from e2e.test_page import address, start
from e2e.test_run import Running, greenroom
from greenroom.web.access import Access, knows_connection_owners
from greenroom.web.gallery import Gallery
from greenroom.web.server import PageServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"])]

KEY: Final = b"0123456789abcdef" * 2
KEPT: Final = "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])"
# A browser that only notes what it was told to open.
NOTE: Final = "#!{python}\nimport sys\nopen({path!r}, 'w').write(' '.join(sys.argv[1:]))\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open an empty tab, in a browser that knows nothing; no cookie may be left in it."""
    context = browser.new_context(viewport={"width": 900, "height": 700})
    context.set_default_timeout(1000 * DEADLINE_S)
    yield context.new_page()
    assert context.cookies() == []
    context.close()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Draw greenroom's own backgrounds once for all tests."""
    made = Gallery(tmp_path_factory.mktemp("backgrounds"))
    made.items()
    return made


@pytest.fixture
def serve(tmp_path: Path, gallery: Gallery) -> Iterator[Callable[..., PageServer]]:
    """Return a function that starts the page of the synthetic person, with a key or a port."""
    session = FakeSession(tmp_path / "greenroom.toml")
    servers = []

    def begin(key: bytes = KEY, port: int = 0) -> PageServer:
        server = PageServer(
            session, run_checks=session.run_checks, port=port, access=Access(key), gallery=gallery
        )
        server.start()
        servers.append(server)
        return server

    yield begin
    for server in servers:
        server.stop()
    session.close()


class Impostor(ThreadingHTTPServer):
    """Another user's program at a port of this machine, which keeps all that it is told."""

    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        self.told: list[str] = []
        super().__init__(("127.0.0.1", port), ImpostorHandler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def end(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()
        self.thread.join()


class ImpostorHandler(BaseHTTPRequestHandler):
    """Claims whatever may be of use to it."""

    server: Impostor

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.told.append(f"{self.requestline}\n{self.headers}\n{body}")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"nonce": "' + b"n" * 43 + b'", "proof": "AAAA", "token": "mine"}')

    do_GET = do_POST = do_PATCH = _take  # noqa: N815 - as http.server wants them


def is_in(page: Page) -> None:
    """Wait until a page shows what is sent."""
    page.wait_for_selector("#headline[data-state=person]")


def is_out(page: Page, words: str) -> None:
    """Wait until a page says that it is not let in, and how to get in."""
    page.locator("#outside-title", has_text=words).wait_for()
    assert page.is_visible("#outside >> text=greenroom page --print")
    assert not page.is_visible("#view")
    assert not page.is_visible("header")


def test_the_token_leaves_the_address(page: Page, serve: Callable[..., PageServer]) -> None:
    """What is let in keeps the run's token in this tab alone, and a reload is let in, too."""
    server = serve()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    is_in(page)
    assert page.url == f"http://127.0.0.1:{server.port}/"
    assert page.evaluate(KEPT) == (
        f'[{{"greenroom-token":"{server.access.token}"}},{{}},""]'.replace("'", '"')
    )
    assert all(server.access.token not in url.partition("#")[0] for url in asked)
    page.reload()
    is_in(page)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("", "This address is incomplete"),
        ("?token={token}", "This address is incomplete"),
        ("#token=wrong", "This page is logged out"),
        ("#code=wrong", "This address has expired"),
    ],
)
def test_who_is_not_let_in_is_told_how(
    page: Page, serve: Callable[..., PageServer], end: str, words: str
) -> None:
    """An address without the token, or with a wrong one, leads to a page that says what to do."""
    server = serve()
    page.goto(f"http://127.0.0.1:{server.port}/{end.format(token=server.access.token)}")
    is_out(page, words)
    assert page.url == f"http://127.0.0.1:{server.port}/"
    page.goto(server.url)  # in the same tab, where the address differs after the # alone
    is_in(page)


def test_a_code_lets_in_once(page: Page, serve: Callable[..., PageServer]) -> None:
    """What may be seen on a command line opens one page."""
    server = serve()
    url = f"http://127.0.0.1:{server.port}/#code={server.access.code()}"
    page.goto(url)
    is_in(page)
    other = page.context.new_page()
    other.goto(url)
    is_out(other, "This address has expired")


def test_an_open_tab_survives_a_restart(page: Page, serve: Callable[..., PageServer]) -> None:
    """It goes on by itself when greenroom is back at its port, with the next run's token."""
    first = serve()
    page.goto(first.url)
    is_in(page)
    page.evaluate("document.title = ''; window.isTheSame = true")
    first.stop()
    page.wait_for_selector("#offline:not([hidden])")
    second = serve(port=first.port)
    page.wait_for_selector("#offline", state="hidden")
    is_in(page)
    assert second.access.token in page.evaluate(KEPT)
    assert first.access.token not in page.evaluate(KEPT)
    page.click("#cover")
    page.wait_for_selector("#headline[data-state=cover]")
    assert page.evaluate("window.isTheSame")


def test_another_program_at_the_port_is_told_nothing(
    page: Page, serve: Callable[..., PageServer]
) -> None:
    """A tab that was open gives up what does not know its key: no token, no header, no picture."""
    server = serve()
    page.goto(server.url)
    is_in(page)
    server.stop()
    page.wait_for_selector("#offline:not([hidden])")
    impostor = Impostor(server.port)
    try:
        page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"x"})
        is_out(page, "This page is logged out")
        said = len(impostor.told)
        page.wait_for_timeout(1500)
        page.goto(f"http://127.0.0.1:{server.port}/")
        kept = page.evaluate(KEPT)
    finally:
        impostor.end()
    assert said == 1
    assert impostor.told[0].startswith("POST /api/hello")
    for text in ("".join(impostor.told), kept):
        assert server.access.token not in text
        assert server.access.tab_key not in text
    assert "Authorization" not in "".join(impostor.told)
    assert "Cookie" not in "".join(impostor.told)


def test_another_port_gets_nothing(page: Page, serve: Callable[..., PageServer]) -> None:
    """A program at another port of this machine gets nothing from a tab that goes there."""
    server = serve()
    page.goto(server.url)
    is_in(page)
    impostor = Impostor()
    try:
        page.goto(f"http://127.0.0.1:{impostor.server_port}/")
        kept = page.evaluate(KEPT)
    finally:
        impostor.end()
    assert kept == '[{},{},""]'
    assert impostor.told
    assert server.access.token not in "".join(impostor.told)
    assert "Cookie" not in "".join(impostor.told)


def test_a_new_token_shuts_open_tabs_out(page: Page, serve: Callable[..., PageServer]) -> None:
    """They say so, and do not try again; the new address lets in."""
    server = serve()
    page.goto(server.url)
    is_in(page)
    server.access.renew()
    is_out(page, "This page is logged out")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(1500)
    assert asked == []
    page.goto(server.url)
    is_in(page)


def test_a_new_key_shuts_out_after_a_restart(page: Page, serve: Callable[..., PageServer]) -> None:
    """A tab that waited for greenroom while a new token was made is told so."""
    first = serve()
    page.goto(first.url)
    is_in(page)
    first.stop()
    page.wait_for_selector("#offline:not([hidden])")
    serve(key=b"x" * 32, port=first.port)
    is_out(page, "This page is logged out")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_who_is_out_can_read_why(
    page: Page, serve: Callable[..., PageServer], scheme: str, width: int
) -> None:
    """It fits every window, in light and dark."""
    server = serve()
    page.set_viewport_size({"width": width, "height": 700})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"http://127.0.0.1:{server.port}/")
    is_out(page, "This address is incomplete")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#outside").bounding_box()
    assert box is not None
    assert 0 < box["x"] < box["x"] + box["width"] < width


# With whole commands.


@pytest.fixture
def noting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the web browser one that writes its command line to a file, which is returned."""
    path, program = tmp_path / "opened", tmp_path / "browser"
    program.write_text(NOTE.format(python=sys.executable, path=str(path)))
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    return path


def opened(noted: Path, page: Page) -> str:
    """Return with what address the browser was started."""
    eventually(lambda: noted.exists() and noted.read_text(), page)
    return noted.read_text()


@pytest.mark.skipif(not knows_connection_owners(), reason="elsewhere the browser is given a file")
def test_a_run_is_opened_and_survives(page: Page, tmp_path: Path, noting: Path) -> None:
    """With --open and with greenroom page, no token is on a command line; a restart is survived."""
    with start(tmp_path, "--open") as running:
        whole = address(running)
        origin, _, token = whole.partition("/#token=")
        first = opened(noting, page)
        page.goto(first)
        is_in(page)
        printed = greenroom(tmp_path, "page", "--print")
        assert (printed.returncode, printed.stdout, printed.stderr) == (0, f"{whole}\n", "")
        noting.unlink()
        result = greenroom(tmp_path, "page")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        second = opened(noting, page)
        assert first != second
        for url in (first, second):
            assert url.startswith(f"{origin}/#code=")
            assert token not in url
        running.process.kill()
        page.wait_for_selector("#offline:not([hidden])")
    with again(tmp_path, origin) as running:
        address(running)
        page.wait_for_selector("#offline", state="hidden")
        is_in(page)
        renewed = greenroom(tmp_path, "page", "--new-token", "--print")
        assert renewed.returncode == 0
        is_out(page, "This page is logged out")
        page.goto(renewed.stdout.strip())
        is_in(page)
        assert greenroom(tmp_path, "cover", "on").stdout == "covered\n"
        page.wait_for_selector("#headline[data-state=cover]")


def again(home: Path, origin: str) -> Running:
    """Start greenroom anew at the port where it was."""
    return start(home, "--port", origin.rpartition(":")[2])


def test_nothing_to_open(tmp_path: Path) -> None:
    """Where greenroom does not run it is said how to start it; a new key is made all the same."""
    result = greenroom(tmp_path, "page")
    assert (result.returncode, result.stdout) == (1, "")
    assert "greenroom does not run" in result.stderr
    assert "greenroom run --open" in result.stderr
    result = greenroom(tmp_path, "page", "--new-token")
    assert (result.returncode, result.stdout) == (0, "")
    assert "pages that are still open are refused" in result.stderr
    (key,) = tmp_path.glob("**/page-*.key")
    assert key.stat().st_mode & 0o077 == 0
