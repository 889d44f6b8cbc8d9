"""Work of ``greenroom serve``: the service, or a new token for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import typer

from greenroom.errors import SettingsError
from greenroom.hosted.cluster import serve_with_ray
from greenroom.hosted.options import (
    ServeOptions,
    parse_ice_server,
    parse_replicas,
    parse_udp_ports,
)
from greenroom.hosted.server import serve as serve_until_ended
from greenroom.hosted.tokens import new_token as make_token
from greenroom.hosted.workers import serve_with_workers
from greenroom.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["serve"]

_SIZE: Final = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")


def serve(  # noqa: PLR0913 - one for each flag
    *,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_self_signed: bool,
    ice_servers: list[str] | None,
    udp_ports: str | None,
    public_address: str | None,
    tokens: Path | None,
    new_token: str | None,
    allow_origin: list[str] | None,
    workers: int | None,
    ray: str | None,
    replicas: str,
    max_sessions: int | None,
    max_viewers: int,
    max_size: str,
    idle_seconds: float,
    grace_seconds: float,
    backgrounds: Path | None,
    config: Path | None,
) -> None:
    """Serve until SIGTERM, or print a new token; the arguments are those of the command.

    Raises
    ------
    GreenroomError
        If an argument cannot be used, or the service could not start.
    """
    if new_token is not None:
        _print_token(new_token)
        return
    options = ServeOptions(
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_self_signed=tls_self_signed,
        tokens=tokens,
        ice_servers=tuple(parse_ice_server(text) for text in ice_servers or []),
        udp_ports=None if udp_ports is None else parse_udp_ports(udp_ports),
        public_address=public_address,
        max_sessions=max_sessions,
        max_viewers=max_viewers,
        max_size=_size(max_size),
        idle_s=idle_seconds,
        grace_s=grace_seconds,
        origins=tuple(allow_origin or ()),
        backgrounds=backgrounds,
        settings=Settings() if config is None else Settings.from_toml(config),
        workers=workers,
        ray=ray,
        replicas=parse_replicas(replicas),
    )
    if options.ray is not None:
        begin = serve_with_ray
    else:
        begin = serve_until_ended if options.worker_count == 1 else serve_with_workers
    begin(options, lambda url: typer.echo(f"greenroom: {url}"))


def _print_token(name: str) -> None:
    """Print the lines of a new token; the token itself goes to standard error."""
    token, lines = make_token(name)
    typer.echo(f"greenroom: the token of {name}, which is not kept: {token}", err=True)
    typer.echo(lines)


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if found is None:
        message = f"--max-size: expected WIDTHxHEIGHT such as 1280x720, not {text!r}"
        raise SettingsError(message, "max_size")
    return int(found[1]), int(found[2])
