"""The command: it listens, serves, drains at a signal, and says what is wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography import x509
from typer.testing import CliRunner

from greenroom.cli.app import app
from greenroom.hosted.tls import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes otherwise"),
]

DEADLINE_S = 30.0


class Running:
    """A service in a process of its own.

    Attributes
    ----------
    url : str
        What it printed.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.url = process.stdout.readline().removeprefix("greenroom: ").strip()

    def end(self, number: int) -> list[dict[str, str]]:
        """Send a signal, wait for the end, and return the log."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=DEADLINE_S)
        return [json.loads(line) for line in log.splitlines()]


@contextmanager
def running(*flags: str, data: Path | None = None) -> Iterator[Running]:
    """Run the command at a free port."""
    environment = dict(os.environ)
    if data is not None:
        environment["XDG_DATA_HOME"] = str(data)
    process = subprocess.Popen(
        [sys.executable, "-m", "greenroom", "serve", "--port", "0", "--workers", "1", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def fails(*flags: str) -> str:
    """Run the command, which fails; return what it says."""
    ran = CliRunner().invoke(app, ["serve", *flags])
    assert ran.exit_code in (1, 2)
    assert isinstance(ran.exception, SystemExit)
    return ran.output


def test_serves_and_ends() -> None:
    """It prints its address, serves the page, and ends with status 0 at SIGTERM."""
    with running("--max-sessions", "2") as service:
        assert service.url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{service.url}healthz").json() == {"ok": True}
        assert "<title>" in httpx.get(service.url).text
        assert httpx.get(f"{service.url}readyz").status_code == 200
        log = service.end(signal.SIGTERM)
        assert service.process.returncode == 0
        assert any("ends within 10 s" in line["message"] for line in log)


def test_encrypted(tmp_path: Path) -> None:
    """With a certificate of its own it speaks HTTPS, and keeps that for the next time."""
    kept = tmp_path / "greenroom" / "tls" / "self-signed.pem"
    made = []
    for _ in range(2):
        with running("--tls-self-signed", "--max-sessions", "1", data=tmp_path) as service:
            assert service.url.startswith("https://")
            trusted = ssl.create_default_context(cafile=str(kept))
            assert httpx.get(f"{service.url}healthz", verify=trusted).status_code == 200
            assert kept.stat().st_mode & 0o077 == 0
            service.end(signal.SIGINT)
            assert service.process.returncode == 0
        made.append(kept.read_bytes())
    assert made[0] == made[1]


def test_certificate_is_made_anew_for_other_names(tmp_path: Path) -> None:
    """It has all names that are asked for, and is made again when one is missing."""
    first = self_signed(["192.0.2.7"], tmp_path).read_bytes()
    assert self_signed(["192.0.2.7"], tmp_path).read_bytes() == first
    second = self_signed(["host.example"], tmp_path).read_bytes()
    certificate = x509.load_pem_x509_certificate(second)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "127.0.0.1", "host.example"} <= {str(name.value) for name in names}
    (tmp_path / "self-signed.pem").write_bytes(b"damaged")
    assert b"PRIVATE KEY" in self_signed([], tmp_path).read_bytes()


def test_tokens_are_made() -> None:
    """The lines for the file come on standard output, the token on standard error."""
    ran = CliRunner().invoke(app, ["serve", "--new-token", "anna"])
    assert ran.stdout.startswith('[[token]]\nname = "anna"\nsha256 = "')
    token = ran.stderr.rsplit(maxsplit=1)[-1]
    assert len(token) == 43
    assert token not in ran.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--host", "0.0.0.0"], "without --tokens only this machine is served"),  # noqa: S104
        (["--tls-cert", "cert.pem"], "both --tls-cert and --tls-key"),
        (["--udp-ports", "7"], "expected FIRST-LAST"),
        (["--udp-ports", "50000-40000"], "expected FIRST-LAST"),
        (["--ice-servers", "http://x"], "expected stun:HOST:PORT"),
        (["--ice-servers", "turn:x:1"], "with no credential"),
        (["--max-size", "big"], "expected WIDTHxHEIGHT"),
        (["--tokens", "/nowhere.toml"], "cannot be read"),
        (["--backgrounds", "/nowhere"], "is no folder"),
        (["--new-token", 'a"b'], "without quotes"),
    ],
)
def test_wrong_flags(flags: list[str], message: str) -> None:
    """Each is one sentence that says what was expected."""
    assert message in fails("--port", "0", *flags)


def test_port_in_use() -> None:
    """It says so, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is in use" in fails("--port", str(port))


def test_connections_that_send_nothing_are_closed() -> None:
    """Half a request is not waited for: others are served, and it is closed after seconds."""
    with running("--max-sessions", "1") as service:
        port = int(service.url.rstrip("/").rpartition(":")[2])
        slow = []
        for _ in range(300):
            one = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
            one.sendall(b"POST /sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
            slow.append(one)
        began_s = time.monotonic()
        assert httpx.get(f"{service.url}healthz").status_code == 200
        assert time.monotonic() - began_s < 3
        assert slow[-1].recv(100) == b""
        assert time.monotonic() - began_s < 15
        for one in slow:
            one.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_bodies_that_do_not_come(workers: str) -> None:
    """So many that they would take all connections are refused, and others are served."""
    with (
        running("--max-sessions", "2", "--workers", workers) as service,
        ExitStack() as stack,
    ):
        port = int(service.url.rstrip("/").rpartition(":")[2])
        slow = []
        for _ in range(300):
            one = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
            slow.append(stack.enter_context(one))
            one.sendall(
                b"POST /sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/sdp\r\n"
                b"Content-Length: 9\r\n\r\nv"
            )
        began_s = time.monotonic()
        assert httpx.get(f"{service.url}backgrounds").status_code == 200
        assert time.monotonic() - began_s < 3
        assert slow[-1].recv(100).startswith(b"HTTP/1.1 429 ")
        assert slow[0].recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.skipif(sys.platform != "linux", reason="others do not tell a process' descriptors")
def test_handshakes_that_never_end(tmp_path: Path) -> None:
    """Half-open TLS connections take few descriptors, end after seconds, and keep nobody out."""
    kept = tmp_path / "greenroom" / "tls" / "self-signed.pem"
    with (
        running("--tls-self-signed", "--max-sessions", "1", data=tmp_path) as service,
        ExitStack() as stack,
    ):
        port = int(service.url.rstrip("/").rpartition(":")[2])
        half_open = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S))
            for _ in range(300)
        ]
        trusted = ssl.create_default_context(cafile=str(kept))
        began_s = time.monotonic()
        assert httpx.get(f"{service.url}healthz", verify=trusted).status_code == 200
        assert time.monotonic() - began_s < 3
        assert len(list(Path(f"/proc/{service.process.pid}/fd").iterdir())) < 100
        for one in (half_open[0], half_open[-1]):
            with suppress(ConnectionError):
                assert one.recv(100) == b""
        assert time.monotonic() - began_s < 15
