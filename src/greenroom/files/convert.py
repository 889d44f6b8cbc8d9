"""Conversion of videos, pictures, folders and pipes to another background."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from greenroom.engine.engine import VirtualBackground
from greenroom.errors import IncompleteError
from greenroom.files.pipeline import Pipeline
from greenroom.files.views import process_for
from greenroom.media.surface_frame import EncoderFrame
from greenroom.segmenters.best import with_best_model
from greenroom.settings import Settings, View
from greenroom.sinks import create_sink
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greenroom.media.frame import Frame
    from greenroom.media.timings import StageTime
    from greenroom.segmenters import SegmenterInfo
    from greenroom.sources import Source

__all__ = ["Summary", "convert", "convert_frames", "extract_matte"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """Results of a conversion.

    Attributes
    ----------
    input, output : str
        Source and target as given.
    frames : int
        Frames written.
    covered : int
        Of these, frames without a valid matte, which show only the background.
    seconds, first_frame_s : float
        Total wall time, and time to the first finished frame.
    segmenter : SegmenterInfo
        Model, file, runtime, device and threads.
    stages : dict
        Median and 95th percentile of each stage in milliseconds.
    compute : str
        Where all but the model's work was done: ``cpu``, or a GPU such as ``CUDA device 0``.
    decoder : str
        Where the input was decoded: ``cpu``, ``cuda`` (a GPU), or ``cuda, cpu`` if the GPU left
        off; empty if it is no video.
    encoder : str
        FFmpeg's name of the encoder, such as ``libx264`` or ``h264_nvenc``; empty if there is none.
    """

    input: str
    output: str
    frames: int
    covered: int
    seconds: float
    first_frame_s: float
    segmenter: SegmenterInfo
    stages: dict[str, StageTime]
    compute: str = "cpu"
    decoder: str = ""
    encoder: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values, for JSON."""
        return asdict(self)


def convert(
    source: str | Path,
    target: str | Path,
    settings: Settings | None = None,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    **values: Any,
) -> Summary:
    """Convert a file to another background.

    Parameters
    ----------
    source : path
        A video, a picture, a folder of pictures, a pattern such as ``frames/%04d.png``, or
        ``-`` for standard input.
    target : path
        A video, a picture, a folder, a pattern, or ``-`` for Y4M on standard output. It
        is written atomically.
    settings : Settings, optional
        All settings at once.
    progress : callable, optional
        Called with the number of finished frames, and the expected number or None.
    **values
        Single settings by name, such as ``background="blur:0.5"``; they take precedence.

    Returns
    -------
    Summary
        Counts and timings.

    Raises
    ------
    SettingsError, SourceError, BackgroundError, ModelError, ProcessingError, SinkError
        Then the target is not written.
    IncompleteError
        If some pictures of a folder cannot be read; the others are written.
    """
    settings = (settings or Settings()).changed(**values)
    return _run(source, target, settings, progress, process_for(settings))


def extract_matte(
    source: str | Path,
    target: str | Path,
    settings: Settings | None = None,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    **values: Any,
) -> Summary:
    """Write the matte of every frame as a gray picture or video, 255 where the person is.

    A lossless video is ``.mkv``. Parameters, result and errors are those of `convert`; the
    background is not used.
    """
    settings = (settings or Settings()).changed(**values, background="color:black")
    return _run(source, target, settings, progress, VirtualBackground.process_matte)


def convert_frames(
    engine: VirtualBackground,
    frames: Source,
    target: str | Path,
    *,
    name: str | Path = "",
    process: Callable[[VirtualBackground, Frame], Frame] = VirtualBackground.process,
    progress: Callable[[int, int | None], None] | None = None,
) -> Summary:
    """Convert the frames of a source, which is closed at the end, with an engine, by its settings.

    Parameters
    ----------
    engine : VirtualBackground
        New, or one that was reset and whose timings were cleared: both give the same.
    frames : Source
        Open.
    target : path
        See `convert`.
    name : str
        That of the source in the summary; by default its own.
    process : callable
        Makes a frame of the target with the engine.
    progress : callable, optional
        See `convert`.

    Returns
    -------
    Summary
        Its timings are those of the engine since they were cleared.

    Raises
    ------
    SettingsError, SourceError, ProcessingError, SinkError, IncompleteError
        As `convert`.
    """
    info, covered = frames.info, engine.failures
    if process is VirtualBackground.process_matte or engine.settings.view is View.MATTE:
        info = info.without_streams()
    sink = create_sink(target, engine.settings, info)

    def process_one(frame: Frame) -> Frame:
        if info.pictures:
            engine.reset()
        if process is VirtualBackground.process and sink.takes_surfaces:
            return engine.process(frame, leave=EncoderFrame.left)
        return process(engine, frame)

    def on_frame(done: int) -> None:
        if progress is not None:
            progress(done, info.frames)

    statistics = Pipeline(frames, process_one, sink, on_frame=on_frame).run()
    summary = Summary(
        input=str(name) or info.name,
        output=str(target),
        frames=statistics.frames,
        covered=engine.failures - covered,
        seconds=statistics.seconds,
        first_frame_s=statistics.first_frame_s or 0.0,
        segmenter=engine.info,
        stages=engine.timings.summary(),
        compute=engine.compute,
        decoder=frames.decoder,
        encoder=sink.encoder,
    )
    if info.unreadable:
        raise IncompleteError(info.unreadable, len(info.pictures), summary)
    return summary


def _run(
    source: str | Path,
    target: str | Path,
    settings: Settings,
    progress: Callable[[int, int | None], None] | None,
    process: Callable[[VirtualBackground, Frame], Frame],
) -> Summary:
    with ExitStack() as opened:
        frames = create_source(source, settings)
        opened.callback(frames.close)
        engine = opened.enter_context(VirtualBackground(with_best_model(settings)))
        return convert_frames(
            engine, frames, target, name=source, process=process, progress=progress
        )
