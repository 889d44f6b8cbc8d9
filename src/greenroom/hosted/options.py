"""Options of the service: all that ``greenroom serve`` has flags for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from greenroom.cluster.addresses import RAY_HERE, is_loopback, parse_ray_address
from greenroom.errors import SettingsError
from greenroom.hosted.rtc import IceServer, PeerOptions
from greenroom.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DEFAULT_PORT",
    "Part",
    "ServeOptions",
    "parse_ice_server",
    "parse_replicas",
    "parse_udp_ports",
]

DEFAULT_PORT: Final = 8478
_ICE_SCHEMES: Final = ("stun", "stuns", "turn", "turns")


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a machine that one process of a service has.

    Attributes
    ----------
    count : int
        How many processes have sessions, if this machine is divided evenly.
    name : str
        Which of them it is; empty if there is no other.
    """

    count: int = 1
    name: str = ""

    @property
    def cores(self) -> float:
        """Processors for its sessions."""
        return (os.cpu_count() or 1) / self.count

    @property
    def id_prefix(self) -> str:
        """What the ids of its sessions begin with, so that they name their owner."""
        return f"{self.name}." if self.name else ""


@dataclass(frozen=True)
class ServeOptions:
    """Options of a hosted service.

    Attributes
    ----------
    host : str
        Address to listen at.
    port : int
        TCP port of signalling and page; 0 takes a free one.
    tls_cert, tls_key : Path, optional
        Certificate chain and private key, PEM.
    tls_self_signed : bool
        Make a certificate, which browsers warn of.
    tokens : Path, optional
        File of tokens; without it, only this machine is served.
    ice_servers : tuple of IceServer
        STUN and TURN servers, which clients are told of too; none by default.
    udp_ports : range, optional
        Ports for media; any by default.
    public_address : str, optional
        Address that clients reach this machine at, where that is another than its own.
    max_sessions : int, optional
        Sessions at once; measured at the start by default.
    max_viewers : int
        Viewers of one session.
    max_size : (int, int)
        Largest size of video, width and height in either orientation.
    idle_s : float
        A session without a frame for this long is closed.
    grace_s : float
        How long sessions may go on after the service was asked to end.
    origins : tuple of str
        Origins of web pages elsewhere that may use the service, such as ``https://calls.example``.
    backgrounds : Path, optional
        Folder of pictures and videos that every client can choose.
    settings : Settings
        What sessions begin with.
    workers : int, optional
        Processes that have sessions, behind one that answers HTTP; one for each core by default.
        With 1, one process does both. An application that is made with `create_app` is always one.
    ray : str, optional
        Head of a cluster of Ray's whose machines have the sessions, ``HOST:PORT``, or `RAY_HERE`.
    replicas : (int, int)
        Least and most processes that have sessions in a cluster.
    part : Part
        Which of the processes this is.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_self_signed: bool = False
    tokens: Path | None = None
    ice_servers: tuple[IceServer, ...] = ()
    udp_ports: range | None = None
    public_address: str | None = None
    max_sessions: int | None = None
    max_viewers: int = 16
    max_size: tuple[int, int] = (1920, 1080)
    idle_s: float = 60.0
    grace_s: float = 10.0
    origins: tuple[str, ...] = ()
    backgrounds: Path | None = None
    settings: Settings = field(default_factory=Settings)
    workers: int | None = None
    ray: str | None = None
    replicas: tuple[int, int] = (1, 64)
    part: Part = Part()

    def check(self) -> None:
        """Refuse options that do not fit each other.

        Raises
        ------
        SettingsError
            If others than this machine would be served without tokens, or a key lacks its
            certificate.
        """
        if self.tokens is None and not is_loopback(self.host):
            message = (
                f"without --tokens only this machine is served, not {self.host}. Make a file of "
                "tokens (greenroom serve --new-token NAME >> tokens.toml) and give it with "
                "--tokens tokens.toml."
            )
            raise SettingsError(message, "tokens")
        if self.backgrounds is not None and not self.backgrounds.is_dir():
            message = f"--backgrounds: '{self.backgrounds}' is no folder"
            raise SettingsError(message, "backgrounds")
        if (self.tls_cert is None) != (self.tls_key is None):
            message = "expected both --tls-cert and --tls-key, or neither"
            raise SettingsError(message, "tls_cert")
        if self.tls_self_signed and self.tls_cert is not None:
            message = "expected --tls-self-signed or a certificate of your own, not both"
            raise SettingsError(message, "tls_self_signed")
        if self.ray is not None:
            self._check_cluster(self.ray)
        elif self.udp_ports is not None and len(self.udp_ports) < self.worker_count:
            message = (
                f"--udp-ports: expected at least one port for each of {self.worker_count} workers, "
                f"not {len(self.udp_ports)}"
            )
            raise SettingsError(message, "udp_ports")

    def _check_cluster(self, address: str) -> None:
        """Refuse what a cluster does not have."""
        if address != RAY_HERE:
            parse_ray_address(address)
        if self.workers is not None:
            message = (
                "expected --ray or --workers, not both: a cluster's processes are --replicas, one "
                "for each processor that they need"
            )
            raise SettingsError(message, "workers")
        if self.public_address is not None:
            message = (
                "--public-address is of one machine. With --ray, set GREENROOM_PUBLIC_ADDRESS on "
                "each machine before 'ray start'"
            )
            raise SettingsError(message, "public_address")
        least, most = self.replicas
        if not 1 <= least <= most:
            message = f"--replicas: expected MIN-MAX such as 2-16, not {least}-{most}"
            raise SettingsError(message, "replicas")

    @property
    def has_tls(self) -> bool:
        """Whether signalling is encrypted."""
        return self.tls_self_signed or self.tls_cert is not None

    @property
    def worker_count(self) -> int:
        """Processes that have sessions."""
        if self.workers is not None:
            return self.workers
        cores = os.cpu_count() or 1
        return cores if self.udp_ports is None else min(cores, len(self.udp_ports))

    def peer_options(self) -> PeerOptions:
        """Return the options of each connection."""
        return PeerOptions(
            ice_servers=self.ice_servers,
            udp_ports=self.udp_ports,
            public_address=self.public_address,
            loopback=is_loopback(self.host),
            max_size=self.max_size,
        )


def parse_udp_ports(text: str) -> range:
    """Read a range of ports.

    >>> parse_udp_ports("40000-40100")
    range(40000, 40101)

    Raises
    ------
    SettingsError
        If it is not one.
    """
    first, _, last = text.partition("-")
    if first.isdecimal() and last.isdecimal() and 1024 <= int(first) <= int(last) <= 65535:
        return range(int(first), int(last) + 1)
    message = f"--udp-ports: expected FIRST-LAST such as 40000-40100, from 1024 on, not {text!r}"
    raise SettingsError(message, "udp_ports")


def parse_replicas(text: str) -> tuple[int, int]:
    """Read how many processes a cluster may have.

    >>> parse_replicas("2-16"), parse_replicas("4")
    ((2, 16), (4, 4))

    Raises
    ------
    SettingsError
        If it does not say that.
    """
    least, dash, most = text.partition("-")
    if least.isdecimal() and (most.isdecimal() if dash else True):
        return int(least), int(most or least)
    message = f"--replicas: expected MIN-MAX such as 2-16, not {text!r}"
    raise SettingsError(message, "replicas")


def parse_ice_server(text: str) -> IceServer:
    """Read a STUN or TURN server: ``stun:HOST:PORT`` or ``turn:HOST:PORT,USER,CREDENTIAL``.

    Raises
    ------
    SettingsError
        If it is neither, or a TURN server lacks user and credential.
    """
    url, _, account = text.partition(",")
    username, _, credential = account.partition(",")
    scheme, _, rest = url.partition(":")
    if scheme not in _ICE_SCHEMES or not rest or (scheme.startswith("turn") and not credential):
        message = (
            "--ice-servers: expected stun:HOST:PORT or turn:HOST:PORT,USER,CREDENTIAL, not "
            f"{url!r} with {'a' if credential else 'no'} credential"
        )
        raise SettingsError(message, "ice_servers")
    return IceServer(url, username, credential)
