"""What a container cannot hold is left out before the work begins; tags are where players look."""

from __future__ import annotations

import itertools
import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from rewriting import again

from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.sources import create_source

if TYPE_CHECKING:
    from pathlib import Path

RATE = 25
SAMPLE_RATE = 48000
FRAMES = 25
CONTAINERS = ("mp4", "mov", "mkv")
PAIRS = list(itertools.product(CONTAINERS, (*CONTAINERS, "webm")))
TAGS = {
    "title": "A title",
    "artist": "Somebody",
    "album": "An album",
    "date": "2024-05-06",
    "comment": "A comment",
    "genre": "Talk",
    "copyright": "Nobody",
}
PLACE = "+48.1374+011.5755/"


def write(
    path: Path,
    *,
    sound: str | None = None,
    tags: dict[str, str] | None = None,
    fonts: tuple[str, ...] = (),
    options: dict[str, str] | None = None,
) -> Path:
    """Write a second of gray pictures, with silence by an encoder, or packets that say a codec."""
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata.update(tags or {})
        video: Any = container.add_stream("libx264", rate=RATE, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        packets: list[Any] = []
        track: Any = None
        if sound in ("truehd", "mlp"):
            track = container.add_mux_stream(sound, rate=SAMPLE_RATE)
            for number in range(20):
                packet = av.Packet(bytes(80))
                packet.stream, packet.time_base = track, Fraction(1, 20)
                packet.pts = packet.dts = number
                packets.append(packet)
        elif sound is not None:
            track = container.add_stream(sound, rate=SAMPLE_RATE, layout="stereo")
            packets += silence(track)
        for name in fonts:
            container.add_attachment(name, "application/x-truetype-font", b"font" * 100)
        for number in range(FRAMES):
            picture = np.full((48, 64, 3), 9 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            packets += video.encode(frame)
        packets += video.encode(None)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            container.mux(packet)
    return path


def silence(track: Any) -> list[Any]:
    """Encode a second of silence."""
    codec = track.codec_context
    codec.open()
    size = codec.frame_size or 1024
    packets: list[Any] = []
    for place in range(0, SAMPLE_RATE, size):
        part = av.AudioFrame(format=codec.format.name, layout="stereo", samples=size)
        for plane in part.planes:
            plane.update(bytes(plane.buffer_size))
        part.rate, part.pts, part.time_base = SAMPLE_RATE, place, Fraction(1, SAMPLE_RATE)
        packets += track.encode(part)
    packets += track.encode(None)
    return packets


def tags_of(path: Path) -> dict[str, str]:
    """Return a file's tags, by names in small letters."""
    with av.open(str(path)) as container:
        return {name.lower(): value for name, value in container.metadata.items()}


class TestStreams:
    """Sound and attachments."""

    @pytest.mark.parametrize(
        ("sound", "name", "target"),
        [
            ("truehd", "truehd", "mp4"),
            ("truehd", "truehd", "mov"),
            ("mlp", "mlp", "mp4"),
            ("flac", "flac", "mov"),
            ("libopus", "opus", "mov"),
        ],
    )
    def test_that_fail_in_the_header_are_left_out(
        self,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        sound: str,
        name: str,
        target: str,
    ) -> None:
        """A warning names them when the first frame is written, and the pictures are all there."""
        before = write(tmp_path / "in.mkv", sound=sound)
        settings = Settings()
        reader = create_source(before, settings)
        sink = create_sink(tmp_path / f"out.{target}", settings, reader.info)
        with caplog.at_level(logging.WARNING, "greenroom"):
            for number, frame in enumerate(reader):
                sink.write(frame)
                if number == 0:
                    assert f"audio stream 1 of '{before}' is left out: {name}" in caplog.text
        sink.close()
        with av.open(str(tmp_path / f"out.{target}")) as container:
            assert [stream.type for stream in container.streams] == ["video"]
            assert sum(1 for _ in container.decode(video=0)) == FRAMES

    def test_samples_whose_channels_have_no_names(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Two channels are stereo, so that MP4 takes PCM out of Matroska."""
        before = write(tmp_path / "in.mkv", sound="pcm_s16le")
        with caplog.at_level(logging.WARNING, "greenroom"):
            after = again(before, tmp_path / "out.mp4")
        assert caplog.text == ""
        with av.open(str(after)) as container:
            heard = sum(part.samples for part in container.decode(audio=0))
        assert heard == pytest.approx(SAMPLE_RATE, abs=1024)

    def test_fonts_of_subtitles(self, tmp_path: Path) -> None:
        """Matroska to Matroska carries the attached fonts."""
        before = write(tmp_path / "in.mkv", fonts=("one.ttf",))
        with av.open(str(again(before, tmp_path / "out.mkv"))) as container:
            (font,) = [one for one in container.streams if one.type == "attachment"]
            assert (cast("Any", font).name, cast("Any", font).data) == ("one.ttf", b"font" * 100)


class TestTags:
    """What is said of the file."""

    @pytest.mark.parametrize(("source", "target"), PAIRS)
    def test_are_found_in_every_container(self, tmp_path: Path, source: str, target: str) -> None:
        """Title, artist and the like have the names that players look for."""
        before = write(tmp_path / f"in.{source}", tags=TAGS)
        after = again(before, tmp_path / f"out.{target}")
        assert TAGS.items() <= tags_of(after).items()
        if target in ("mp4", "mov"):  # the atoms of iTunes and QuickTime
            data = after.read_bytes()
            assert all(atom in data for atom in (b"\xa9nam", b"\xa9ART", b"\xa9alb", b"\xa9day"))
            assert (b"mdir" in data) == (target == "mp4")

    @pytest.mark.parametrize("target", CONTAINERS)
    def test_of_the_file_itself_are_its_own(self, tmp_path: Path, target: str) -> None:
        """Brands, muxer and counts of the source are not said of the result."""
        stale = {"NUMBER_OF_FRAMES": "7", "_STATISTICS_TAGS": "BPS", "major_brand": "isom"}
        before = write(tmp_path / "in.mkv", tags=stale)
        found = tags_of(again(before, tmp_path / f"out.{target}"))
        assert not {"number_of_frames", "_statistics_tags"} & found.keys()
        assert found.get("major_brand") in {"mp4": ("isom",), "mov": ("qt  ",)}.get(target, (None,))

    @pytest.mark.parametrize(("source", "target"), PAIRS)
    def test_place_is_left_out_unless_asked_for(
        self, tmp_path: Path, source: str, target: str
    ) -> None:
        """Where it was recorded is said nowhere in the file, or where players look for it."""
        names = ("location", "com.apple.quicktime.location.ISO6709")
        before = write(
            tmp_path / f"in.{source}",
            tags=dict.fromkeys(names, PLACE) | {"title": "A title"},
            options={"movflags": "use_metadata_tags"} if source == "mov" else None,
        )
        assert PLACE in tags_of(before).values()
        after = again(before, tmp_path / f"out.{target}")
        assert b"48.1374" not in after.read_bytes()
        assert tags_of(after)["title"] == "A title"
        kept = again(before, tmp_path / f"kept.{target}", keep_location=True)
        assert tags_of(kept)["location"] == PLACE

    @pytest.mark.parametrize("target", ["mp4", "mkv"])
    @pytest.mark.parametrize(
        ("name", "place"),
        [
            ("XYZ", "here"),
            ("GEOTAG", "48.1374,11.5755"),
            ("Coordinates", "48.1374 N 11.5755 E"),
            ("comment", "GPS 48.1374, 11.5755"),
            ("description", "taken at +48.1374+011.5755+519/"),
            ("comment", "lat=48.1374 lon=11.5755"),
            ("comment", "48°08'14\" N 11°34'31\" E"),
        ],
    )
    def test_place_is_left_out_under_whatever_name(
        self, tmp_path: Path, target: str, name: str, place: str
    ) -> None:
        """A tag that holds coordinates says the place, too; those beside it stay."""
        before = write(tmp_path / "in.mkv", tags={name: place, "title": "A title"})
        assert place in tags_of(before).values()
        found = tags_of(again(before, tmp_path / f"out.{target}"))
        assert place not in found.values()
        assert found["title"] == "A title"
        assert place in tags_of(again(before, tmp_path / "kept.mkv", keep_location=True)).values()

    @pytest.mark.parametrize(
        "comment",
        [
            "2024-05-06T07:08:09+0200",
            "https://example.org/a-12-1234/b",
            "about GPS and latitude",
            "20° and 3/4",
            "+49 89 123456",
        ],
    )
    def test_other_numbers_are_no_place(self, tmp_path: Path, comment: str) -> None:
        """Dates, addresses and words are carried."""
        before = write(tmp_path / "in.mkv", tags={"comment": comment})
        assert tags_of(again(before, tmp_path / "out.mkv"))["comment"] == comment

    def test_names_of_quicktime(self, tmp_path: Path) -> None:
        """What a telephone says under its own names is found under the common ones."""
        names = ("title", "author", "creationdate")
        before = write(
            tmp_path / "in.mov",
            tags={f"com.apple.quicktime.{name}": f"the {name}" for name in names},
            options={"movflags": "use_metadata_tags"},
        )
        found = tags_of(again(before, tmp_path / "out.mp4"))
        assert [found[name] for name in ("title", "artist", "date")] == [
            f"the {name}" for name in names
        ]


class TestTimecode:
    """The tag that makes a track in MP4 and MOV."""

    @pytest.mark.parametrize("target", ["mp4", "mov"])
    @pytest.mark.parametrize(
        ("timecode", "is_carried"),
        [("10:00:00:00", True), ("10:00:00;00", False), ("ten o'clock", False)],
    )
    def test_is_carried_where_it_counts_the_pictures(
        self, tmp_path: Path, target: str, timecode: str, *, is_carried: bool
    ) -> None:
        """One that cannot be counted at 25 pictures a second is left out, and nothing fails."""
        before = write(tmp_path / "in.mkv", tags={"timecode": timecode})
        after = again(before, tmp_path / f"out.{target}")
        with av.open(str(after)) as container:
            assert sum(1 for _ in container.decode(video=0)) == FRAMES
            assert (
                tags_of(after).get("timecode") == timecode
                or any(stream.metadata.get("timecode") == timecode for stream in container.streams)
            ) == is_carried

    @pytest.mark.parametrize("target", ["mp4", "mov", "mkv"])
    def test_of_digital_video(self, tmp_path: Path, target: str) -> None:
        """DV has its time code and 25 pictures a second, not 60000."""
        before = tmp_path / "in.dv"
        with av.open(str(before), "w", format="dv") as container:
            video: Any = container.add_stream("dvvideo", rate=25)
            video.width, video.height, video.pix_fmt = 720, 576, "yuv420p"
            sound: Any = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="stereo")
            for number in range(5):
                frame = av.VideoFrame.from_ndarray(np.full((576, 720, 3), 90, np.uint8), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(video.encode(frame))
                part = av.AudioFrame.from_ndarray(np.zeros((1, 3840), np.int16), "s16", "stereo")
                part.rate, part.pts = SAMPLE_RATE, 1920 * number
                part.time_base = Fraction(1, SAMPLE_RATE)
                container.mux(sound.encode(part))
        after = again(before, tmp_path / f"out.{target}")
        with av.open(str(after)) as container:
            assert container.streams.video[0].average_rate == 25
            assert len(container.streams.audio) == 1
            assert sum(1 for _ in container.decode(video=0)) == 5
