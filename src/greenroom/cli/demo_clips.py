"""Work of ``greenroom demo``: clips, their backgrounds and a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import typer

from greenroom.backgrounds.builtin import builtin_path
from greenroom.cli.downloads import fetch_weights
from greenroom.cli.progress import progress_bar
from greenroom.engine.demo import demo_source, portrait_photograph
from greenroom.errors import SinkError
from greenroom.files.convert import convert
from greenroom.files.pipeline import Pipeline
from greenroom.media.colour import FULL_RANGE_RGB
from greenroom.media.frame import Frame
from greenroom.media.image_files import decode_picture
from greenroom.media.layout import Layout
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.sinks import PictureSink, create_sink
from greenroom.sources import create_source

if TYPE_CHECKING:
    from greenroom.settings import Settings

__all__ = ["demo"]

_SIZE: Final = (1280, 720)
_FRAMES: Final = 100


def demo(*, out: Path, settings: Settings) -> None:
    """Make the clips, replace their backgrounds, and write a contact sheet.

    Raises
    ------
    GreenroomError
        Of the subclass for the first argument that cannot be used, or for what failed.
    """
    fetch_weights(settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"folder '{out}' cannot be made: {str(error.strerror).lower()}."
        raise SinkError(message, out) from error
    settings = settings.changed(overwrite=True)
    _write_before(out / "before.mp4", settings)
    _write_picture(out / "beach.png", settings)
    backgrounds = {"picture": str(out / "beach.png"), "blur": "blur", "colour": "color:teal"}
    for name, background in backgrounds.items():
        _write_after(
            out / f"after-{name}.mp4", out / "before.mp4", settings.changed(background=background)
        )
    sheet = [out / "before.mp4", *(out / f"after-{name}.mp4" for name in backgrounds)]
    _write_sheet(out / "contact-sheet.png", sheet, settings)
    typer.echo(f"Look at {out / 'contact-sheet.png'}.")
    if portrait_photograph() is None:
        typer.echo(
            "greenroom: the person is drawn. With a photograph instead: pip install "
            "'greenroom[demo]'",
            err=True,
        )


def _write_before(path: Path, settings: Settings) -> None:
    source = demo_source(settings, _FRAMES)
    with progress_bar(path.name) as progress:
        Pipeline(
            source,
            lambda frame: frame,
            create_sink(path, settings, source.info),
            on_frame=None if progress is None else lambda done: progress(done, _FRAMES),
        ).run()
    typer.echo(f"{path}: {_FRAMES} frames of {_SIZE[0]}x{_SIZE[1]}")


def _write_picture(path: Path, settings: Settings) -> None:
    sink = PictureSink([path], settings)
    sink.write(decode_picture(builtin_path("beach"), MAX_SIDE_PX))
    sink.close()


def _write_after(path: Path, before: Path, settings: Settings) -> None:
    with progress_bar(path.name) as progress:
        summary = convert(before, path, settings, progress=progress)
    rate = summary.frames / summary.seconds
    typer.echo(f"{path}: {summary.frames} frames, {rate:.0f} frames/s ({rate / 25:.1f}x real time)")


def _write_sheet(path: Path, clips: list[Path], settings: Settings) -> None:
    """Write a contact sheet: four frames of every clip, one row a clip."""
    width, height = _SIZE[0] // 3, _SIZE[1] // 3
    small = Layout(width, height, "gbrp", FULL_RANGE_RGB)
    rows = []
    for clip in clips:
        source = create_source(clip, settings)
        pictures = [
            frame.converted(small).to_rgb()
            for number, frame in enumerate(source)
            if number % (_FRAMES // 4) == _FRAMES // 8
        ]
        source.close()
        rows.append(np.hstack(pictures))
    sink = PictureSink([path], settings)
    sink.write(Frame.from_rgb(np.vstack(rows)))
    sink.close()
