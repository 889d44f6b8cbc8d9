"""Sound, subtitles, chapters and tags: copied as they are, in sync with the new pictures."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from rewriting import again

from greenroom.media.colour import Colour
from greenroom.media.frame import Frame, fraction
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

LAYOUT = Layout(64, 36, "yuv420p", Colour(1, 1))
FRAMES = 25
RATE = 25
SAMPLE_RATE = 48000
# Matroska counts milliseconds, and both ends are rounded.
TICK_S = 0.0011
# What each kind of file can hold, by name of the encoder.
SOUNDS = {
    "mp4": ("aac", "libmp3lame", "ac3", "libopus", "flac"),
    "mov": ("aac", "pcm_s16le", "ac3"),
    "mkv": ("aac", "libmp3lame", "libopus", "flac", "pcm_s16le", "ac3"),
    "webm": ("libopus",),
}
COPIES = [
    (source, target, sound)
    for source, target in itertools.product(SOUNDS, SOUNDS)
    for sound in SOUNDS[source]
    if sound in SOUNDS[target]
]


@dataclass(frozen=True)
class Carried:
    """What is in a file besides the pictures."""

    packets: list[bytes]
    times_s: list[float]


def write(
    path: Path,
    *,
    sounds: tuple[str, ...] = ("aac",),
    delay_s: float = 0,
    picture_delay_s: float = 0,
) -> Path:
    """Write a second of gray pictures with a track of noise for each encoder named."""
    with av.open(str(path), "w") as container:
        codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
        video: Any = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = *LAYOUT.size, "yuv420p"
        tracks = [
            cast("AudioStream", container.add_stream(name, rate=SAMPLE_RATE, layout="stereo"))
            for name in sounds
        ]
        for number, track in enumerate(tracks):
            track.metadata["language"] = ("eng", "deu", "fra")[number]
        for number in range(FRAMES):
            frame = Frame.filled(LAYOUT, (9 * number, 90, 120)).to_av()
            frame.pts = number + round(picture_delay_s * RATE)
            frame.time_base = Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number, track in enumerate(tracks):
            for packet in encoded(track, round(delay_s * SAMPLE_RATE), number):
                container.mux(packet)
    return path


def encoded(track: AudioStream, start: int, seed: int) -> Iterator[av.Packet[Any]]:
    """Encode a second of noise."""
    codec = track.codec_context
    rng = np.random.default_rng(seed)
    size = codec.frame_size or 1024
    for place in range(0, SAMPLE_RATE, size):
        samples = (20000 * rng.uniform(-1, 1, (1, 2 * size))).astype(np.int16)
        part = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
        part.rate, part.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        part.pts = start + place
        yield from track.encode(part)
    yield from track.encode(None)


def carried(path: Path, kind: str, index: int = 0) -> Carried:
    """Return the packets of a stream, and their times from the first picture on."""
    with av.open(str(path)) as container:
        first_s = first_picture_s(container)
    with av.open(str(path)) as container:
        stream = [one for one in container.streams if one.type == kind][index]
        packets = [packet for packet in container.demux(stream) if packet.size]
        return Carried(
            [bytes(packet) for packet in packets],
            [float((one.pts or 0) * fraction(one.time_base)) - first_s for one in packets],
        )


def first_picture_s(container: InputContainer) -> float:
    """Say when the first picture is shown."""
    time_s = next(container.decode(video=0)).time
    assert time_s is not None
    return time_s


def assert_same(before: Carried, after: Carried) -> None:
    """Check that packets are the same to the bit, at the same times."""
    assert len(before.packets) > 10
    assert after.packets == before.packets
    np.testing.assert_allclose(after.times_s, before.times_s, atol=2 * TICK_S)


class TestSound:
    """Tracks of sound."""

    @pytest.mark.parametrize(("source", "target", "sound"), COPIES)
    def test_every_codec_is_copied_in_sync(
        self, tmp_path: Path, source: str, target: str, sound: str
    ) -> None:
        """What both containers can hold is carried to the bit, at its distance from the picture."""
        before = write(tmp_path / f"in.{source}", sounds=(sound,))
        after = again(before, tmp_path / f"out.{target}")
        assert_same(carried(before, "audio"), carried(after, "audio"))

    @pytest.mark.parametrize("target", ["mp4", "mov", "mkv"])
    @pytest.mark.parametrize(("sound_s", "picture_s"), [(0.5, 0.0), (0.0, 0.48), (2.0, 1.6)])
    @pytest.mark.parametrize("source", ["mp4", "mkv"])
    def test_either_may_start_later(
        self, tmp_path: Path, source: str, target: str, sound_s: float, picture_s: float
    ) -> None:
        """Sound that starts before or after the picture does so in the copy."""
        before = write(tmp_path / f"in.{source}", delay_s=sound_s, picture_delay_s=picture_s)
        after = again(before, tmp_path / f"out.{target}")
        assert_same(carried(before, "audio"), carried(after, "audio"))

    def test_all_tracks_are_carried(self, tmp_path: Path) -> None:
        """Each track keeps its place, its language, and whether it is played by default."""
        path = tmp_path / "in.mkv"
        write(path, sounds=("aac", "ac3", "flac"))
        default = av.stream.Disposition.default
        with av.open(str(path)) as container:
            wanted = [bool(one.disposition & default) for one in container.streams.audio]
        after = again(path, tmp_path / "out.mkv")
        with av.open(str(after)) as container:
            tracks = container.streams.audio
            assert [track.codec_context.name for track in tracks] == ["aac", "ac3", "flac"]
            assert [track.metadata["language"] for track in tracks] == ["eng", "deu", "fra"]
            assert [bool(track.disposition & default) for track in tracks] == wanted
        for index in range(3):
            assert_same(carried(path, "audio", index), carried(after, "audio", index))

    def test_one_that_does_not_fit_does_not_hold_back_the_others(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The track that WebM cannot hold is left out with a warning; the other is carried."""
        before = write(tmp_path / "in.mkv", sounds=("aac", "libopus"))
        with caplog.at_level(logging.WARNING, "greenroom"):
            after = again(before, tmp_path / "out.webm")
        assert "aac cannot be carried in webm" in caplog.text
        assert_same(carried(before, "audio", 1), carried(after, "audio", 0))

    def test_sound_that_goes_on_after_the_picture(self, tmp_path: Path) -> None:
        """The last picture does not end the sound."""
        before = write(tmp_path / "in.mp4", delay_s=1.5)
        after = again(before, tmp_path / "out.mkv")
        assert max(carried(after, "audio").times_s) > 2.4

    @pytest.mark.parametrize("kind", ["mkv", "mp4"])
    def test_sound_that_is_cut_off_with_the_picture(self, tmp_path: Path, kind: str) -> None:
        """Of a file that is cut off, what is there of both is written when that is allowed."""
        path = tmp_path / f"in.{kind}"
        options = {"movflags": "faststart"} if kind == "mp4" else {}
        whole = write(tmp_path / "whole.mp4")
        with av.open(str(whole)) as source, av.open(str(path), "w", options=options) as target:
            copy_packets(source, target)
        data = path.read_bytes()
        path.write_bytes(data[: 2 * len(data) // 3])
        after = again(path, tmp_path / "out.mkv", allow_truncated=True)
        with av.open(str(after)) as container:
            assert 5 < sum(1 for _ in container.decode(video=0)) < FRAMES
        sound = carried(after, "audio").packets
        assert len(sound) > 5
        assert sound == carried(whole, "audio").packets[: len(sound)]


def copy_packets(source: InputContainer, target: OutputContainer) -> None:
    """Copy every stream packet for packet, in order of time."""
    streams = {
        stream.index: target.add_stream_from_template(cast("Any", stream), opaque=True)
        for stream in source.streams
    }
    packets = [packet for packet in source.demux() if packet.size and packet.dts is not None]
    for packet in sorted(packets, key=lambda one: (one.dts or 0) * fraction(one.time_base)):
        packet.stream = streams[packet.stream.index]
        target.mux(packet)


class TestSubtitles:
    """Tracks of text."""

    LINES: tuple[tuple[int, int, str], ...] = (
        (200, 400, "Guten Tag"),
        (600, 300, "und auf Wiedersehen"),
    )

    def subtitled(self, path: Path, codec: str) -> Path:
        """Write pictures, sound and subtitles."""
        bare = write(path.with_name("bare.mp4"))
        with av.open(str(bare)) as source, av.open(str(path), "w") as target:
            text = target.add_mux_stream(codec)
            text.metadata["language"] = "eng"
            copy_packets(source, target)
            for start_ms, length_ms, line in self.LINES:
                data = line.encode()
                if codec == "mov_text":
                    data = len(data).to_bytes(2, "big") + data
                packet = av.Packet(data)
                packet.stream, packet.time_base = text, Fraction(1, 1000)
                packet.pts = packet.dts = start_ms
                packet.duration = length_ms
                target.mux(packet)
        return path

    @pytest.mark.parametrize(
        ("source", "codec", "target"),
        [("mkv", "subrip", "mkv"), ("mp4", "mov_text", "mp4"), ("mp4", "mov_text", "mov")],
    )
    def test_are_copied_in_sync(self, tmp_path: Path, source: str, codec: str, target: str) -> None:
        """Every line comes at its time, in its language."""
        before = self.subtitled(tmp_path / f"in.{source}", codec)
        after = again(before, tmp_path / f"out.{target}")
        shown, copied = carried(before, "subtitle"), carried(after, "subtitle")
        assert [
            line for *_, line in self.LINES if any(line.encode() in one for one in shown.packets)
        ]
        assert copied.packets == shown.packets
        np.testing.assert_allclose(copied.times_s, shown.times_s, atol=2 * TICK_S)
        with av.open(str(after)) as container:
            assert container.streams.subtitles[0].metadata["language"] == "eng"

    def test_lines_that_are_shown_together(self, tmp_path: Path) -> None:
        """Two that begin at one time do so in the copy."""
        self.LINES = ((200, 400, "above"), (200, 400, "below"), (600, 300, "later"))
        before = self.subtitled(tmp_path / "in.mkv", "subrip")
        after = carried(again(before, tmp_path / "out.mkv"), "subtitle")
        assert after.times_s == pytest.approx([0.2, 0.2, 0.6], abs=2 * TICK_S)
        assert after.times_s[0] == after.times_s[1]

    @pytest.mark.parametrize(
        "line", ["GPS(11.5755,48.1374,19), D 5.3m", "[latitude: 48.1374] [longitude: 11.5755]"]
    )
    def test_that_tell_the_place_are_carried_only_when_asked(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str
    ) -> None:
        """A drone writes where it is into a track of text."""
        self.LINES = ((200, 400, line),)
        before = self.subtitled(tmp_path / "in.mkv", "subrip")
        with caplog.at_level(logging.WARNING, "greenroom"):
            after = again(before, tmp_path / "out.mkv")
        assert "it says where the pictures were taken" in caplog.text
        assert b"48.1374" not in after.read_bytes()
        kept = again(before, tmp_path / "kept.mkv", keep_location=True)
        assert carried(kept, "subtitle").packets == [line.encode()]

    def test_that_do_not_fit_are_left_out(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """MP4 holds no SubRip: a warning says so, and pictures and sound are there."""
        before = self.subtitled(tmp_path / "in.mkv", "subrip")
        with caplog.at_level(logging.WARNING, "greenroom"):
            after = again(before, tmp_path / "out.mp4")
        assert "cannot be carried in mp4" in caplog.text
        assert_same(carried(before, "audio"), carried(after, "audio"))


class TestDescription:
    """Chapters and tags."""

    @pytest.mark.parametrize("source", ["mkv", "mp4"])
    @pytest.mark.parametrize("target", ["mkv", "mp4", "mov", "webm"])
    def test_chapters_and_tags(self, tmp_path: Path, source: str, target: str) -> None:
        """Chapters keep their times and titles; so does the file its title."""
        path = tmp_path / f"in.{source}"
        with av.open(str(write(tmp_path / "bare.mp4"))) as bare, av.open(str(path), "w") as whole:
            whole.metadata["title"] = "Ein Titel"
            whole.set_chapters(
                [
                    {
                        "id": number + 1,
                        "start": 400 * number,
                        "end": 400 * number + 400,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": f"Teil {number}"},
                    }
                    for number in range(2)
                ]
            )
            copy_packets(bare, whole)
        after = again(path, tmp_path / f"out.{target}")
        with av.open(str(after)) as container:
            assert container.metadata["title"] == "Ein Titel"
            chapters = container.chapters()
        assert [chapter["metadata"]["title"] for chapter in chapters] == ["Teil 0", "Teil 1"]
        starts_s = [float(one["start"] * fraction(one["time_base"])) for one in chapters]
        np.testing.assert_allclose(starts_s, [0, 0.4], atol=TICK_S)

    def test_language_of_the_picture(self, tmp_path: Path) -> None:
        """What the file says of its pictures is said of the new ones."""
        path = tmp_path / "in.mkv"
        with av.open(str(path), "w") as container:
            video: Any = container.add_stream("libx264", rate=RATE)
            video.width, video.height, video.pix_fmt = *LAYOUT.size, "yuv420p"
            video.metadata["language"] = "deu"
            video.metadata["title"] = "Kamera 1"
            frame = Frame.filled(LAYOUT, (9, 90, 120)).to_av()
            frame.pts, frame.time_base = 0, Fraction(1, RATE)
            container.mux(video.encode(frame))
            container.mux(video.encode(None))
        with av.open(str(again(path, tmp_path / "out.mkv"))) as container:
            metadata = container.streams.video[0].metadata
        assert metadata["language"] == "deu"
        assert metadata["title"] == "Kamera 1"
