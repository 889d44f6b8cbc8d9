"""Recording of a clean plate of the room from a few seconds of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.errors import SettingsError, SourceError
from greenroom.matting.plate_picture import share_known
from greenroom.media.frame import Frame
from greenroom.sinks import PictureSink
from greenroom.sinks.staging import Staging

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greenroom.engine.engine import VirtualBackground
    from greenroom.media.layout import Layout
    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings
    from greenroom.sources import Source

__all__ = ["check_plate_output", "record_plate"]

# Minimum share of the room that has to be known for a useful plate.
_MIN_KNOWN_SHARE: Final = 0.5


def check_plate_output(output: Path, info: SourceInfo, settings: Settings) -> None:
    """Check that the output can be written, before anything is read.

    Raises
    ------
    SettingsError, SinkError
        If it is not a ``.png``, exists already, or its folder is missing.
    """
    if output.suffix.lower() != ".png":
        message = f"output '{output}': expected the name of a .png, which holds what is not known."
        raise SettingsError(message)
    Staging(overwrite=settings.overwrite, inputs=info.files).check(output)


def record_plate(
    source: Source,
    output: Path,
    settings: Settings,
    engine: VirtualBackground,
    *,
    seconds: float,
    progress: Callable[[int, int | None], None] | None = None,
) -> float:
    """Record the room from some seconds of a source, and write its clean plate.

    The picture has the frames' size, is written atomically, and only the user may read it.

    Returns
    -------
    float
        The share of the room that is known, 0 to 1.

    Raises
    ------
    SettingsError
        If the output is not a ``.png``, or the input consists of unrelated pictures.
    SourceError
        If the source cannot be read, or less than half of the room became known; then
        nothing is written.
    ProcessingError, SinkError
        If a frame has no matte, or the output cannot be written.
    """
    check_plate_output(output, source.info, settings)
    if source.info.pictures:
        message = f"input '{source.info.name}': expected a video, in which the room is seen."
        raise SettingsError(message)
    layout = _watch(source, engine, seconds, progress)
    plate = engine.clean_plate
    picture = None if layout is None or plate is None else plate.to_picture(layout)
    known = 0.0 if picture is None else share_known(picture)
    if picture is None or known < _MIN_KNOWN_SHARE:
        message = (
            f"of the room in '{source.info.name}' only {100 * known:.0f} % became known within "
            f"{seconds:g} s, and half of it is needed. Step out of the picture, keep the camera "
            f"still, or take longer (--seconds)."
        )
        raise SourceError(message, source.info.name)
    sink = PictureSink([output], settings, source.info.files, private=True)
    try:
        rgb = Frame.from_rgb(np.ascontiguousarray(picture[..., :3]))
        alpha = np.ascontiguousarray(picture[..., 3])
        sink.write(Frame(rgb.planes, rgb.layout, alpha=alpha))
        sink.close()
    except BaseException:
        sink.abort()
        raise
    return known


def _watch(
    source: Source,
    engine: VirtualBackground,
    seconds: float,
    progress: Callable[[int, int | None], None] | None,
) -> Layout | None:
    """Process some seconds of a source; return the layout of its frames."""
    expected = round(seconds * source.info.rate)
    start_s: float | None = None
    layout = None
    for number, frame in enumerate(source):
        time_s = number / float(source.info.rate) if frame.time_s is None else frame.time_s
        start_s = time_s if start_s is None else start_s
        if time_s - start_s >= seconds:
            break
        engine.process_matte(frame)
        layout = frame.layout
        if progress is not None:
            progress(number + 1, expected)
    return layout
