"""The example for nginx, in front of the service: TLS, limits, headers, and calls through it."""

from __future__ import annotations

import io
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from PIL import Image

pytest.importorskip("aiortc", reason="the extra 'hosted' is not installed")

from hosted.client import Client, PersonTrack, until
from hosted.service import SDP, asynchronous
from hosted.workers.served import served

from deploy.commands import await_port, configured, free_port
from greenroom.hosted.tls import self_signed
from greenroom.hosted.tokens import new_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1", "localhost"]),
    pytest.mark.skipif(NGINX is None, reason="nginx is not here"),
]
MAIN = """
daemon off;
pid {folder}/pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log {folder}/log;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site;
}}
"""


class Proxy:
    """nginx in front of a service.

    Attributes
    ----------
    url, plain_url : str
        With and without TLS.
    token : str
    trust : SSLContext
    """

    def __init__(self, port: int, plain_port: int, token: str, certificate: Path) -> None:
        self.url = f"https://localhost:{port}"
        self.plain_url = f"http://localhost:{plain_port}"
        self.token = token
        self.trust = ssl.create_default_context(cafile=certificate)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[httpx.AsyncClient]:
        """Ask the service through it."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(
            base_url=self.url, verify=self.trust, headers=headers, timeout=30, trust_env=False
        ) as http:
            yield http


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the files of both programs are."""
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def proxy(folder: Path) -> Iterator[Proxy]:
    """Return nginx with the example, in front of a service with tokens."""
    token, lines = new_token("anna")
    (folder / "tokens.toml").write_text(lines)
    certificate = self_signed(["localhost"], folder / "tls")
    with served("--workers=1", "--max-sessions=2", f"--tokens={folder / 'tokens.toml'}") as service:
        port, plain_port = free_port(), free_port()
        site = configured(
            "nginx.conf",
            {
                "server 127.0.0.1:8478;": f"server {service.url.removeprefix('http://')};",
                "listen 80;": f"listen 127.0.0.1:{plain_port};",
                "listen [::]:80;": "",
                "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
                "listen [::]:443 ssl http2;": "",
                "/etc/letsencrypt/live/greenroom.example/fullchain.pem": str(certificate),
                "/etc/letsencrypt/live/greenroom.example/privkey.pem": str(certificate),
            },
        )
        (folder / "site").write_text(site)
        (folder / "main").write_text(MAIN.format(folder=folder))
        assert NGINX is not None
        process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "main")])
        try:
            await_port(port)
            yield Proxy(port, plain_port, token, certificate)
        finally:
            process.terminate()
            process.wait(10)


@asynchronous
async def test_calls_go_through_up_to_limits(proxy: Proxy) -> None:
    """HTTP goes through the proxy and media past it; what is too large or too much does not."""
    async with proxy.asking() as http, Client(http, PersonTrack()) as client:
        assert (await http.get("/")).headers["strict-transport-security"]
        http.headers["Origin"] = proxy.url
        assert (await client.connect()).status_code == 201
        await until(lambda: client.count > 10, "frames")
        file = io.BytesIO()
        Image.effect_noise((1000, 800), 90).save(file, "PNG")
        assert len(file.getvalue()) > 2 * 65536
        sent = await http.post(f"{client.location}/backgrounds?name=a.png", content=file.getvalue())
        assert sent.status_code == 201
        assert (await http.delete(client.location)).status_code == 200
        # Then, as no session begins for a while after it:
        large = await http.post("/sessions", content=b"v" * 70_000, headers=SDP)
        assert large.status_code == 413
        assert "nginx" in large.text
        answers = [await http.post("/whip/room", content="noise", headers=SDP) for _ in range(20)]
        codes = [answer.status_code for answer in answers]
        assert 400 in codes
        assert "nginx" in answers[codes.index(429)].text


@asynchronous
async def test_what_is_the_operators_is_not_passed_on(proxy: Proxy) -> None:
    """Metrics and readiness stay inside, the token is asked for, and HTTP leads to HTTPS."""
    async with proxy.asking() as http:
        for path in ("/metrics", "/readyz"):
            assert (await http.get(path)).status_code == 404
        assert (await http.get("/healthz")).status_code == 200
        forged = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
        del http.headers["Authorization"]
        assert (await http.get("/schema", headers=forged)).status_code == 401
        foreign = await http.get("/schema", headers={"Origin": "https://elsewhere.example"})
        assert foreign.status_code == 403
        led = await http.get(proxy.plain_url)
        assert (led.status_code, led.headers["location"]) == (301, "https://localhost/")


@asynchronous
async def test_tokens_are_in_no_log(proxy: Proxy, folder: Path) -> None:
    """What clients send in headers is not written down."""
    async with proxy.asking() as http:
        assert (await http.get("/schema")).status_code == 200
    log = folder / "log"
    await until(lambda: "/schema" in log.read_text(), "the request in the log")
    assert proxy.token not in log.read_text()
