"""Work of ``greenroom plate record``: the empty room, learned from a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from greenroom.cli.downloads import fetch_weights
from greenroom.cli.progress import progress_bar
from greenroom.engine.demo import demo_source
from greenroom.engine.engine import VirtualBackground
from greenroom.files.room_plate import check_plate_output, record_plate
from greenroom.media.source_info import SourceInfo
from greenroom.segmenters import check_model
from greenroom.sources import check_source, create_source

if TYPE_CHECKING:
    from greenroom.settings import Settings
    from greenroom.sources import Source

__all__ = ["record"]

# Name of the demonstration source, unless a file has that name.
_DEMO: Final = "demo"
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
    settings = settings.changed(overwrite=overwrite, background="color:black", plate=None)
    is_demo = source == _DEMO and not Path(source).exists()
    info = None if is_demo else check_source(source, settings)
    check_plate_output(output, info or SourceInfo(source), settings)
    check_model(settings)
    fetch_weights(settings)
    opened: Source
    if is_demo:
        opened = demo_source(settings, max(1, round(_RATE * seconds)))
    else:
        opened = create_source(source, settings)
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
