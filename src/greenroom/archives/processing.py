"""Processing of one segment of a long video, to a part that can be joined with the others."""

from __future__ import annotations

import io
import zlib
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import av

from greenroom import __version__
from greenroom.archives.part_files import PartWriter
from greenroom.archives.report import QualityMeter
from greenroom.engine.engine import VirtualBackground
from greenroom.files.pipeline import Pipeline
from greenroom.files.views import process_for
from greenroom.sinks.frame_encoder import FrameEncoder
from greenroom.sinks.sink import Sink
from greenroom.sinks.staging import writing
from greenroom.sources import Source, VideoSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.archives.segments import Segment
    from greenroom.media.frame import Frame
    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings

__all__ = ["FrameMark", "SegmentSummary", "encoder_facts", "process_segment"]


class FrameMark(NamedTuple):
    """A decoded frame, as two segments recognise the same one.

    Attributes
    ----------
    pts : int or None
        Its time.
    check : int
        CRC-32 of its samples.
    """

    pts: int | None
    check: int

    @classmethod
    def of(cls, frame: Frame) -> FrameMark:
        """Return the mark of a frame in the host's memory."""
        check = 0
        for plane in frame.planes:
            for row in plane:  # rows may be padded
                check = zlib.crc32(row, check)
        return cls(frame.pts, check)


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """Results of a segment.

    Attributes
    ----------
    number : int
        Of the segment.
    frames : int
        Frames written.
    covered : int
        Of these, frames without a valid matte.
    seconds : float
        Time that it took, with the warm-up.
    """

    number: int
    frames: int
    covered: int
    seconds: float


def process_segment(
    segment: Segment,
    source: str | Path,
    part: Path,
    settings: Settings,
    *,
    target: str | Path,
    engine: VirtualBackground | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> SegmentSummary:
    """Process one segment of a video.

    Parameters
    ----------
    segment : Segment
    source : path
        The video that was divided.
    part : Path
        File for the encoded packets, which `greenroom.archives.joining.join` reads. It is
        replaced if it exists, and appears when it is complete.
    settings : Settings
        Those with which it was divided.
    target : path
        Name of the whole output, which decides about codec and format.
    engine : VirtualBackground, optional
        One with these settings, which is then warm. It is reset, and stays open.
    progress : callable, optional
        Called with the number of frames processed, and of those expected, warm-up included.

    Raises
    ------
    SettingsError, SourceError, BackgroundError, ModelError, ProcessingError, SinkError
        As `greenroom.files.convert`; then there is no part.
    """
    with ExitStack() as opened:
        frames = _SegmentSource(str(source), settings, segment)
        opened.callback(frames.close)
        if engine is None:
            engine = opened.enter_context(VirtualBackground(settings))
        maker = engine
        maker.reset()
        maker.resume(segment.first_s, segment.background_s)
        info = frames.info
        process = process_for(settings)
        meter = QualityMeter()
        measured = meter.watching(process)
        before = maker.failures
        start = segment.start

        def process_one(frame: Frame) -> Frame:
            nonlocal before, start
            if start is not None and (frame.pts or 0) >= start:
                before, start = maker.failures, None
            return (measured if start is None else process)(maker, frame)

        def report() -> dict[str, Any]:
            return {
                "number": segment.number,
                "count": segment.count,
                "covered": maker.failures - before,
                "first": frames.first,
                "next": frames.following,
                "quality": meter.report.to_text(),
            }

        encoder = FrameEncoder(Path(target), settings, info)
        sink = _PartSink(part, encoder, segment.start, report)
        expected = segment.warm_up_frames + segment.frames
        statistics = Pipeline(
            frames,
            process_one,
            sink,
            on_frame=None if progress is None else lambda done: progress(done, expected),
        ).run()
        return SegmentSummary(
            segment.number, sink.frames, maker.failures - before, statistics.seconds
        )


def encoder_facts(encoder: FrameEncoder) -> dict[str, Any]:
    """Return what parts of one video have to have in common, for JSON."""
    stream, codec = encoder.stream, encoder.codec
    assert stream is not None
    assert codec is not None
    return {
        "greenroom": __version__,
        "libraries": {name: list(version) for name, version in av.library_versions.items()},
        "encoder": codec.encoder,
        "options": encoder.options,
        "size": [stream.width, stream.height],
        "pixel_format": stream.pix_fmt,
        "extradata": (stream.codec_context.extradata or b"").hex(),
    }


class _SegmentSource(Source):
    """The frames of a segment, those of its warm-up before them.

    Attributes
    ----------
    first, following : FrameMark or None
        The first frame that is written, and the first one after the segment.
    """

    def __init__(self, name: str, settings: Settings, segment: Segment) -> None:
        self._source = VideoSource(name, settings)
        self._segment = segment
        self.info: SourceInfo = self._source.info
        self.first: FrameMark | None = None
        self.following: FrameMark | None = None
        if segment.place is not None:
            try:
                self._source.begin_at(segment.place)
            except BaseException:
                self._source.close()
                raise

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        warm_up, start, end = self._segment.warm_up, self._segment.start, self._segment.end
        is_warming = warm_up is None
        has_begun = False
        for frame in self._source:
            time = frame.pts or 0
            if end is not None and time >= end:
                self.following = FrameMark.of(frame)
                return
            is_warming = is_warming or warm_up is None or time >= warm_up
            if not is_warming:
                continue
            if not has_begun and (start is None or time >= start):
                has_begun = True
                self.first = FrameMark.of(frame)
            yield frame

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()


class _PartSink(Sink):
    """Encodes the frames of a segment, from its start on."""

    def __init__(
        self,
        part: Path,
        encoder: FrameEncoder,
        start: int | None,
        report: Callable[[], dict[str, Any]],
    ) -> None:
        self._part = part
        self._encoder = encoder
        self._start = start
        self._report = report
        # The encoder's: with parameter sets outside of the packets, as in all containers.
        self._container = av.open(io.BytesIO(), "w", format="matroska")
        self._writer: PartWriter | None = None
        self.frames = 0

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        if not self.frames and self._start is not None and (frame.pts or 0) < self._start:
            return
        with writing(self._part):
            if self._writer is None:
                self._writer = self._open(frame)
            self.frames += 1
            self._add(self._writer, self._encoder.encode(frame))

    def close(self) -> None:
        """See `Sink.close`."""
        try:
            with writing(self._part):
                self._finish()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """See `Sink.abort`."""
        if self._writer is not None:
            self._writer.abort()

    def _finish(self) -> None:
        if self._writer is None:
            message = "there are no frames in this segment"
            raise ValueError(message)
        self._add(self._writer, self._encoder.finish())
        end = {"frames": self.frames, "end_pts": self._encoder.end_pts}
        self._writer.finish(self._report() | end)

    def _open(self, frame: Frame) -> PartWriter:
        """Open the encoder, and the part."""
        self._encoder.prepare(frame)
        self._encoder.add_to(self._container).codec_context.open()
        time_base = frame.time_base
        assert time_base is not None
        header = encoder_facts(self._encoder) | {
            "layout": asdict(frame.layout),
            "alpha": frame.alpha is not None,
            "time_base": [time_base.numerator, time_base.denominator],
        }
        return PartWriter(self._part, header)

    @staticmethod
    def _add(writer: PartWriter, packets: list[av.Packet[Any]]) -> None:
        for packet in packets:
            writer.add(packet)
