"""Work of ``greenroom plate record``: the empty room, learned from a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from greenroom.cli.downloads import fetch_weights
from greenroom.cli.preflight import DEMO, check_plate_recording
from greenroom.cli.progress import progress_bar
from greenroom.engine.demo import demo_source
from greenroom.engine.engine import VirtualBackground
from greenroom.files.room_plate import check_plate_output, record_plate
from greenroom.sources import create_source

if TYPE_CHECKING:
    from greenroom.settings import Settings
    from greenroom.sources import Source

__all__ = ["record"]

_RATE: Final = 25


def record(
    source: str, output: Path, settings: Settings, *, seconds: float, overwrite: bool
) -> None:
    """Learn the room in some seconds of a video, and save it.

    Raises
    ------
    GreenroomError
        Of the subclass for the first argument that cannot be used, or for what failed.
    """
    check_plate_recording(source, output, settings.changed(overwrite=overwrite))
    fetch_weights(settings)
    settings = settings.changed(overwrite=overwrite, background="color:black", plate=None)
    opened = _open(source, settings, seconds)
    try:
        check_plate_output(output, opened.info, settings)
        with VirtualBackground(settings) as engine, progress_bar(opened.info.name) as progress:
            known = record_plate(
                opened,
                output,
                settings,
                engine,
                seconds=seconds,
                progress=progress,
            )
    finally:
        opened.close()
    typer.echo(f"{output}: {100 * known:.0f} % of the room is known")


def _open(name: str, settings: Settings, seconds: float) -> Source:
    """Open the source to record from."""
    if name == DEMO and not Path(name).exists():
        return demo_source(settings, max(1, round(_RATE * seconds)))
    return create_source(name, settings)
