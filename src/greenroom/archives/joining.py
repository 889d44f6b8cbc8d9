"""Joining of a video's parts, which are not encoded again, with the source's other streams."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenroom.archives.part_files import PartReader
from greenroom.archives.processing import encoder_facts
from greenroom.archives.report import QualityReport
from greenroom.errors import SeamError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import View
from greenroom.sinks.frame_encoder import FrameEncoder
from greenroom.sinks.staging import writing
from greenroom.sinks.video_file import VideoFile
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import av

    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings

    Packet = av.Packet[Any]
    Facts = dict[str, Any]

__all__ = ["JoinSummary", "join"]


@dataclass(frozen=True, slots=True)
class JoinSummary:
    """Results of joining.

    Attributes
    ----------
    frames : int
        Frames of the whole video.
    covered : int
        Of these, frames without a valid matte.
    quality : QualityReport
        What was measured when the segments were processed.
    """

    frames: int
    covered: int
    quality: QualityReport


def join(
    source: str | Path,
    parts: Sequence[Path],
    target: str | Path,
    settings: Settings,
) -> JoinSummary:
    """Write a video from its parts, with sound, subtitles, chapters and tags of the source.

    Nothing is encoded. The output is written atomically, as by `greenroom.files.convert`.

    Parameters
    ----------
    source : path
        The video that was divided.
    parts : sequence of Path
        The part of each segment, in order. They stay.
    target : path
        See `greenroom.files.convert`.
    settings : Settings
        Those with which the parts were made.

    Raises
    ------
    SeamError
        If the parts are not of one video and encoder, or two neighbours do not agree on the
        frame where the second one begins: one was decoded wrongly. Then nothing is written, and
        the video has to be processed as a whole.
    SettingsError, SourceError, SinkError
        As `greenroom.files.convert`; then nothing is written.
    """
    readers = [PartReader(path) for path in parts]
    target = Path(target)
    _check_order(source, target, readers)
    opened = create_source(source, settings)
    opened.close()
    info = opened.info.without_streams() if settings.view is View.MATTE else opened.info
    file = VideoFile(target, settings, info)
    try:
        with writing(target):
            _write(file, _Encoded(target, settings, info, readers), target)
        file.commit()
    except BaseException:
        file.abort()
        raise
    return JoinSummary(
        frames=sum(reader.report["frames"] for reader in readers),
        covered=sum(reader.report["covered"] for reader in readers),
        quality=QualityReport.joined(
            [QualityReport.from_text(reader.report["quality"]) for reader in readers]
        ),
    )


def _write(file: VideoFile, encoded: _Encoded, target: Path) -> None:
    file.open(encoded.encoder.add_to)
    encoded.check(target)
    packets = encoded.packets()
    last = next(packets)
    for packet in packets:
        file.mux([last])
        last = packet
    file.finish([last], encoded.end_pts)


class _Encoded:
    """The packets of all parts, with times of one stream."""

    def __init__(
        self, target: Path, settings: Settings, info: SourceInfo, readers: Sequence[PartReader]
    ) -> None:
        self._readers = readers
        header = readers[0].header
        layout = header["layout"]
        colour = Colour(**layout["colour"])
        given = Layout(layout["width"], layout["height"], layout["format"], colour)
        self._time_base = Fraction(*header["time_base"])
        self.end_pts: int = readers[-1].report["end_pts"]
        self.encoder = FrameEncoder(target, settings, info)
        like = Frame.filled(given, (0, 0, 0), alpha=255 if header["alpha"] else None)
        self.encoder.prepare(like.shown_at(0, self._time_base))

    def check(self, target: Path) -> None:
        """Check that all parts were encoded alike, and as this file says."""
        expected = encoder_facts(self.encoder)
        for reader in self._readers:
            header = reader.header
            for name, value in (self._readers[0].header | expected).items():
                if header.get(name) != value:
                    message = (
                        f"part {reader.report['number']} of '{target}' was encoded otherwise "
                        f"({name}: {header.get(name)!r} instead of {value!r}). Process the whole "
                        f"video with one version of greenroom, on machines of one kind."
                    )
                    raise SeamError(message, target)

    def packets(self) -> Iterator[Packet]:
        """Yield the packets in decoding order."""
        times = self._decoding_times()
        last: int | None = None
        stream = self.encoder.stream
        for reader in self._readers:
            for packet in reader.packets():
                packet.stream = stream
                packet.time_base = self._time_base
                packet.dts = dts = next(times)
                if dts > (packet.pts or 0) or (last is not None and dts <= last):
                    message = "the parts' frames are not encoded in an order that can be joined"
                    raise SeamError(message)
                last = dts
                yield packet

    def _decoding_times(self) -> Iterator[int]:
        """Yield a decoding time for each packet.

        Encoders decode a frame when the one that is shown some frames before is shown, the same
        number for all. At the beginning of the stream they count back from its first frame.
        """
        shown = sorted(one.pts for reader in self._readers for one in reader.times)
        ahead: list[int] = []
        for reader in self._readers:
            first = min(one.pts for one in reader.times)
            before = [one.dts - first for one in reader.times if one.dts < first]
            ahead = max(ahead, before, key=len)
        yield from (shown[0] + early for early in ahead)
        yield from shown[: len(shown) - len(ahead)]


def _check_order(source: str | Path, target: Path, readers: Sequence[PartReader]) -> None:
    """Check that the parts follow each other, and that no frame is lost or doubled between."""
    number = len(readers)
    found = [(one.report["number"], one.report["count"]) for one in readers]
    if not found or found != [(index, number) for index in range(number)]:
        message = (
            f"the parts of '{target}' are not those of one video in order: expected numbers 0 to "
            f"{number - 1} of {number}, not {', '.join(f'{part} of {of}' for part, of in found)}."
        )
        raise SeamError(message, target)
    for index, reader in enumerate(readers):
        following = readers[index + 1].report["first"] if index + 1 < number else None
        if reader.report["next"] != following:
            message = (
                f"'{source}' cannot be divided at segment {index + 1}: decoded from there it "
                f"does not look as it does in one piece. Process it as a whole."
            )
            raise SeamError(message, source)
