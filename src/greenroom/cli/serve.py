"""``greenroom serve``: virtual backgrounds as a WebRTC service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from greenroom.cli.options import plain_command
from greenroom.errors import SettingsError
from greenroom.settings import Settings

__all__ = ["command"]

_PORT: Final = 8478
_SIZE: Final = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")
_NETWORK: Final = "Network"
_ACCESS: Final = "Access"
_LIMITS: Final = "Limits"
_CLUSTER: Final = "Several machines"
_BEGIN: Final = "What sessions begin with"


@plain_command
def serve(
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen at.", rich_help_panel=_NETWORK)
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="TCP port; 0 takes a free one.", rich_help_panel=_NETWORK
        ),
    ] = _PORT,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="Certificate chain for HTTPS, PEM.", rich_help_panel=_NETWORK),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="Its private key, PEM.", rich_help_panel=_NETWORK)
    ] = None,
    tls_self_signed: Annotated[
        bool,
        typer.Option(
            "--tls-self-signed",
            help="Make a certificate; browsers warn of it once.",
            rich_help_panel=_NETWORK,
        ),
    ] = False,
    ice_servers: Annotated[
        list[str] | None,
        typer.Option(
            "--ice-servers",
            metavar="URL",
            help=(
                "STUN or TURN server: stun:HOST:PORT or turn:HOST:PORT,USER,CREDENTIAL; may be "
                "given several times. None by default."
            ),
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    udp_ports: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST-LAST",
            help="Ports for media, such as 40000-40100; any by default.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    public_address: Annotated[
        str | None,
        typer.Option(
            metavar="IP",
            help="Address at which clients reach this machine, if that is another than its own.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="File of tokens; without it this machine alone is served.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    new_token: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Make a token, print its lines for the file of tokens, and end.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help=(
                "Web pages elsewhere that may use this server, such as https://calls.example; may "
                "be given several times."
            ),
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Processes that have sessions; one for each core by default.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help=(
                "Have sessions on the machines of a Ray cluster, by the address of its head such "
                "as 10.0.0.5:6379; without an address, Ray is started here."
            ),
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    replicas: Annotated[
        str,
        typer.Option(
            metavar="MIN-MAX",
            help="Processes that have sessions, by how many run; a processor each.",
            rich_help_panel=_CLUSTER,
        ),
    ] = "1-64",
    max_sessions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Sessions at once; measured at the start by default.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    max_viewers: Annotated[
        int, typer.Option(min=0, help="Viewers of one session.", rich_help_panel=_LIMITS)
    ] = 16,
    max_size: Annotated[
        str,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Largest video that is taken, upright or not.",
            rich_help_panel=_LIMITS,
        ),
    ] = "1920x1080",
    idle_seconds: Annotated[
        float,
        typer.Option(
            min=1,
            max=86400,
            help="A session without video for this long is closed.",
            rich_help_panel=_LIMITS,
        ),
    ] = 60.0,
    grace_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            max=86400,
            help="How long sessions may go on after SIGTERM.",
            rich_help_panel=_LIMITS,
        ),
    ] = 10.0,
    backgrounds: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of pictures and videos that every client can choose.",
            rich_help_panel=_BEGIN,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Settings that sessions begin with: see greenroom run --help for their names.",
            rich_help_panel=_BEGIN,
        ),
    ] = None,
) -> None:
    """Serve virtual backgrounds over WebRTC to browsers, OBS, FFmpeg and others.

    A browser opens the address that is printed, allows the camera, and gets its own picture back
    with another background. FFmpeg, OBS and GStreamer publish to /whip/NAME, and /whep/NAME shows
    it. SIGTERM ends it once its sessions have had time to go elsewhere.
    """
    if new_token is not None:
        _print_token(new_token)
        return
    from greenroom.hosted.options import (
        ServeOptions,
        parse_ice_server,
        parse_replicas,
        parse_udp_ports,
    )

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
        from greenroom.hosted.cluster import serve_with_ray as begin
    elif options.worker_count == 1:
        from greenroom.hosted.server import serve as begin
    else:
        from greenroom.hosted.workers import serve_with_workers as begin
    begin(options, lambda url: typer.echo(f"greenroom: {url}"))


command = serve


def _print_token(name: str) -> None:
    """Print the lines of a new token; the token itself goes to standard error."""
    from greenroom.hosted.tokens import new_token

    token, lines = new_token(name)
    typer.echo(f"greenroom: the token of {name}, which is not kept: {token}", err=True)
    typer.echo(lines)


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if found is None:
        message = f"--max-size: expected WIDTHxHEIGHT such as 1280x720, not {text!r}"
        raise SettingsError(message, "max_size")
    return int(found[1]), int(found[2])
