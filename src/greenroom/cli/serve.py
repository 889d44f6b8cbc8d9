"""``greenroom serve``: virtual backgrounds as a WebRTC service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from greenroom.cli.options import declared_command

__all__ = ["serve"]

_PORT: Final = 8478
_NETWORK: Final = "Network"
_ACCESS: Final = "Access"
_LIMITS: Final = "Limits"
_CLUSTER: Final = "Several machines"
_BEGIN: Final = "What sessions begin with"


@declared_command("greenroom.cli.service:serve")
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
