"""Sinks: one suite that all pass, and what is special about each."""

from __future__ import annotations

import io
import logging
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from greenroom.errors import ExistsError, SettingsError, SinkError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame, fraction
from greenroom.media.layout import Layout
from greenroom.media.source_info import SourceInfo
from greenroom.settings import Settings
from greenroom.sinks import Sink, Y4MSink, create_sink, written_name
from greenroom.sources import create_source
from greenroom.testing import MemorySink, PersonSource

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("out.mp4", "out.m4v", "out.mov", "out.mkv", "out.webm", "out%03d.png", "out%03d.jpg")
INFO = SourceInfo("made up", Fraction(25), Fraction(1, 25))


def files(folder: Path) -> set[str]:
    """Name everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def decoded(path: Path) -> list[av.VideoFrame]:
    """Decode all frames of a video."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("name", FILES)
class TestEveryFile:
    """What all sinks for files promise."""

    def test_appears_when_it_is_closed(self, name: str, tmp_path: Path) -> None:
        """Nothing has the final name before `close`; all frames are in it afterwards."""
        sink = create_sink(tmp_path / name, Settings(), INFO)
        frames = list(PersonSource(frames=4))
        for frame in frames:
            sink.write(frame)
            assert all(hidden.startswith(".") for hidden in files(tmp_path))
        sink.close()
        written = sorted(tmp_path.iterdir())
        assert len(written) == (4 if "%" in name else 1)
        results = [frame for path in written for frame in decoded(path)]
        for frame, result in zip(frames, results, strict=True):
            difference = result.to_ndarray(format="rgb24").astype(int) - frame.to_rgb()
            assert np.abs(difference).mean() < 6

    def test_leaves_nothing_when_it_is_aborted(self, name: str, tmp_path: Path) -> None:
        """`abort` removes everything, whatever was written."""
        for count in (0, 1, 4):
            sink = create_sink(tmp_path / name, Settings(), INFO)
            for frame in PersonSource(frames=count):
                sink.write(frame)
            sink.abort()
            assert files(tmp_path) == set()

    def test_replaces_only_when_asked(self, name: str, tmp_path: Path) -> None:
        """What is there stays, unless replacing it is allowed."""
        there = tmp_path / (name % 1 if "%" in name else name)
        there.write_text("mine")
        frame = PersonSource().frame(0)
        with pytest.raises(ExistsError, match="--overwrite"):
            create_sink(tmp_path / name, Settings(), INFO).write(frame)
        assert there.read_text() == "mine"
        assert files(tmp_path) == {there.name}
        sink = create_sink(tmp_path / name, Settings(overwrite=True), INFO)
        sink.write(frame)
        assert there.read_text() == "mine"
        sink.close()
        assert len(decoded(there)) == 1

    def test_full_range_and_matrix_are_kept(self, name: str, tmp_path: Path) -> None:
        """The colours that are decoded are those that were written, whatever they are called."""
        for number, colour in enumerate((Colour(1, 1), Colour(6, 1), Colour(1, 2), Colour(6, 2))):
            folder = tmp_path / str(number)
            folder.mkdir()
            frame = Frame.filled(Layout(64, 48, "yuv420p", colour), (200, 60, 30))
            sink = create_sink(folder / name, Settings(output_quality=90), INFO)
            sink.write(frame.shown_at(0, INFO.time_base))
            sink.close()
            (path,) = folder.iterdir()
            (read,) = create_source(path, Settings())
            assert np.abs(read.to_rgb().astype(int) - (200, 60, 30)).max() <= 6
            if path.suffix in (".mp4", ".mkv", ".mov"):
                assert read.layout.colour.is_full_range is colour.is_full_range
                assert read.layout.colour.matrix == colour.matrix


class TestVideo:
    """Video files."""

    def test_time_stamps_are_those_of_the_frames(self, tmp_path: Path) -> None:
        """Uneven and late times come out as they went in."""
        times = [1000, 1040, 1041, 1500, 3000]
        frame = PersonSource().frame(0)
        for name in ("out.mp4", "out.mkv"):
            sink = create_sink(tmp_path / name, Settings(), INFO)
            for pts in times:
                sink.write(frame.shown_at(pts, Fraction(1, 1000)))
            sink.close()
            shown = [round(1000 * (one.time or 0)) for one in decoded(tmp_path / name)]
            assert shown == times

    def test_time_that_stands_still_goes_on(self, tmp_path: Path) -> None:
        """Equal time stamps are told apart, so that no frame is lost."""
        sink = create_sink(tmp_path / "out.mp4", Settings(), INFO)
        for pts in (0, 0, 0, 1):
            sink.write(PersonSource().frame(0).shown_at(pts, Fraction(1, 25)))
        sink.close()
        assert len(decoded(tmp_path / "out.mp4")) == 4

    @pytest.mark.parametrize("name", ["out.mov", "out.webm", "out.mkv", "out%d.png", "out%d.webp"])
    def test_alpha(self, name: str, tmp_path: Path) -> None:
        """Coverage comes back from every kind of file that can carry it."""
        frame = Frame.filled(Layout(64, 48, "yuv420p", Colour(1, 1)), (90, 120, 60), alpha=255)
        assert frame.alpha is not None
        frame.alpha[:, :32] = 0
        frame.alpha[:12] = 128
        settings = Settings(background="transparent", output_quality=100)
        sink = create_sink(tmp_path / name, settings, INFO)
        sink.write(frame.shown_at(0, INFO.time_base))
        sink.close()
        (path,) = tmp_path.iterdir()
        with av.open(str(path)) as container:
            # FFmpeg's own decoder of VP9 leaves the alpha out.
            decoder = {".webm": "libvpx-vp9"}.get(path.suffix)
            stream = container.streams.video[0]
            codec: Any = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
            packets = container.demux(stream)
            read = next(shown for packet in packets for shown in codec.decode(packet))
        alpha = read.reformat(threads=1, format="rgba").to_ndarray()[:, :, 3]
        assert np.abs(alpha.astype(int) - frame.alpha).max() <= 4

    def test_quality_preset_and_codec_matter(self, tmp_path: Path) -> None:
        """Lower quality is smaller; a codec is the one that was named."""
        noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
        frame = Frame.from_rgb(noise).converted(Layout(64, 48, "yuv420p", Colour(1, 1)))

        def size(name: str, **values: Any) -> int:
            sink = create_sink(tmp_path / name, Settings(**values), INFO)
            for pts in range(5):
                sink.write(frame.shown_at(pts, INFO.time_base))
            sink.close()
            return (tmp_path / name).stat().st_size

        assert (
            size("low.mp4", output_quality=10)
            < size("mid.mp4")
            < size("high.mp4", output_quality=95)
        )
        assert size("slow.mp4", preset="slow") != size("fast.mp4", preset="ultrafast")
        for codec, name in (("hevc", "hevc"), ("ffv1", "ffv1"), ("mpeg4", "mpeg4")):
            size(f"{codec}.mkv", codec=codec)
            with av.open(str(tmp_path / f"{codec}.mkv")) as container:
                assert container.streams.video[0].codec_context.name == name

    @pytest.mark.parametrize("codec", ["nonsense", "aac", "pcm_s16le"])
    def test_unknown_codecs(self, codec: str, tmp_path: Path) -> None:
        """A codec that is none, or none for video, is refused."""
        with pytest.raises(SettingsError, match=f"unknown codec '{codec}'"):
            create_sink(tmp_path / "out.mp4", Settings(codec=codec), INFO)
        assert files(tmp_path) == set()

    def test_no_frames(self, tmp_path: Path) -> None:
        """A video without frames is an error, and no file."""
        sink = create_sink(tmp_path / "out.mp4", Settings(), INFO)
        with pytest.raises(SinkError, match="no frames"):
            sink.close()
        assert files(tmp_path) == set()


class TestCarriedStreams:
    """Sound, subtitles, chapters and tags of the source."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        """Return a video with sound that starts late, subtitles, chapters and tags."""
        path = tmp_path / "source.mkv"
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound = container.add_stream("aac", rate=48000, layout="stereo")
            sound.metadata["language"] = "eng"
            sound.metadata["title"] = "Ton"
            container.metadata["title"] = "Ein Titel"
            container.metadata["artist"] = "Jemand"
            container.set_chapters(
                [
                    {
                        "id": 1,
                        "start": 0,
                        "end": 400,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": "Anfang"},
                    }
                ]
            )
            rng = np.random.default_rng(3)
            for number in range(25):
                frame = Frame.filled(Layout(64, 48, "yuv420p"), (90, 10 * number, 40)).to_av()
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(video.encode(frame))
            for number in range(30):
                noise = rng.uniform(-0.5, 0.5, (2, 1024)).astype(np.float32)
                part = av.AudioFrame.from_ndarray(noise, "fltp", "stereo")
                part.rate, part.time_base = 48000, Fraction(1, 48000)
                part.pts = 12000 + 1024 * number
                container.mux(sound.encode(part))
            container.mux(video.encode(None))
            container.mux(sound.encode(None))
        return path

    @staticmethod
    def packets(path: Path) -> list[tuple[float, bytes]]:
        """Return time and bytes of every packet of sound."""
        with av.open(str(path)) as container:
            return [
                (float((packet.pts or 0) * fraction(packet.time_base)), bytes(packet))
                for packet in container.demux(audio=0)
                if packet.size
            ]

    @pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.mov"])
    def test_sound_is_copied_in_sync(self, name: str, source: Path, tmp_path: Path) -> None:
        """Every packet is there, to the bit, at its time; language, tags and chapters too."""
        reader = create_source(source, Settings())
        sink = create_sink(tmp_path / name, Settings(), reader.info)
        for frame in reader:
            sink.write(frame)
        reader.close()
        sink.close()
        before, after = self.packets(source), self.packets(tmp_path / name)
        assert [data for _, data in after] == [data for _, data in before]
        assert np.allclose([time for time, _ in after], [time for time, _ in before], atol=0.0015)
        with av.open(str(tmp_path / name)) as container:
            assert container.metadata["title"] == "Ein Titel"
            assert container.streams.audio[0].metadata["language"] == "eng"
            (chapter,) = container.chapters()
            assert chapter["metadata"]["title"] == "Anfang"
            assert chapter["end"] * fraction(chapter["time_base"]) == Fraction(2, 5)

    def test_what_cannot_be_carried_is_left_out(
        self, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """AAC does not fit into WebM: the video is written, and a warning says so."""
        reader = create_source(source, Settings())
        sink = create_sink(tmp_path / "out.webm", Settings(), reader.info)
        with caplog.at_level(logging.WARNING, "greenroom"):
            for frame in reader:
                sink.write(frame)
        reader.close()
        sink.close()
        assert "aac cannot be carried in webm" in caplog.text
        with av.open(str(tmp_path / "out.webm")) as container:
            assert len(container.streams) == 1


class TestPictures:
    """Picture files."""

    def test_lossless(self, tmp_path: Path) -> None:
        """A PNG has the samples of an RGB frame."""
        noise = np.random.default_rng(1).integers(0, 256, (9, 17, 3), np.uint8)
        sink = create_sink(tmp_path / "out.png", Settings(), INFO)
        sink.write(Frame.from_rgb(noise))
        sink.close()
        read = cv2.imread(str(tmp_path / "out.png"))
        assert read is not None
        assert_array_equal(read[:, :, ::-1], noise)

    def test_folder_by_name(self, tmp_path: Path) -> None:
        """Unrelated pictures go to a folder by their names; kinds that are not written, as PNG."""
        (tmp_path / "out").mkdir()
        info = SourceInfo("photos", pictures=("a.jpg", "b.bmp", "c.webp"))
        sink = create_sink(tmp_path / "out", Settings(), info)
        for number in range(3):
            sink.write(PersonSource().frame(number))
        sink.close()
        assert files(tmp_path / "out") == {"a.jpg", "b.png", "c.webp"}

    def test_jpeg_has_no_alpha(self, tmp_path: Path) -> None:
        """Transparency in a JPEG is refused, with a way out."""
        sink = create_sink(tmp_path / "out.jpg", Settings(), INFO)
        frame = Frame.filled(Layout(8, 8, "gbrp"), (1, 2, 3), alpha=9)
        with pytest.raises(SettingsError, match=r"\.png"):
            sink.write(frame)
        sink.abort()
        assert files(tmp_path) == set()


class TestY4M:
    """The pipe."""

    @pytest.mark.parametrize("format_", ["yuv420p", "yuv444p", "gbrp"])
    @pytest.mark.parametrize("size", [(64, 36), (17, 9), (1, 1)])
    def test_can_be_read_back(self, format_: Any, size: tuple[int, int], tmp_path: Path) -> None:
        """What is written is Y4M that FFmpeg reads, with the frames' samples."""
        source = PersonSource(size, 3, format=format_)
        stream = io.BytesIO()
        sink: Sink = Y4MSink(source.info, stream)
        for frame in source:
            sink.write(frame)
        sink.close()
        path = tmp_path / "pipe.y4m"
        path.write_bytes(stream.getvalue())
        read = list(create_source(path, Settings()))
        assert len(read) == 3
        if format_ == "yuv420p":
            for frame, back in zip(source, read, strict=True):
                for plane, other in zip(frame.planes, back.planes, strict=True):
                    assert_array_equal(plane, other)

    def test_closed_pipe(self, tmp_path: Path) -> None:
        """A reader that goes away is an error of the output."""
        path = tmp_path / "closed"
        stream = path.open("wb")
        stream.close()
        with pytest.raises(SinkError):
            Y4MSink(INFO, stream).write(PersonSource().frame(0))


def test_memory_sink_is_a_sink() -> None:
    """The fake keeps the protocol, also when it is used from another thread."""
    sink: Sink = MemorySink()
    thread = threading.Thread(target=sink.write, args=(PersonSource().frame(0),))
    thread.start()
    thread.join()
    sink.close()
    sink.abort()
    assert isinstance(sink, MemorySink)
    assert len(sink.frames) == 1
    assert sink.closed
    assert sink.aborted


class TestNamesInAFolder:
    """What outputs are called beside one another."""

    def test_of_pictures(self, tmp_path: Path) -> None:
        """Phones' photographs become JPEGs, other kinds PNGs, and no two have one name."""
        names = ("1.HEIC", "1.jpg", "2.avif", "3.bmp", "3.png", "4.tif", "4.bmp", "5.webp")
        info = SourceInfo("photos", pictures=names)
        sink = create_sink(tmp_path, Settings(), info)
        for number in range(len(names)):
            sink.write(PersonSource().frame(number))
        sink.close()
        expected = {"1.HEIC.jpg", "1.jpg", "2.jpg", "3.bmp.png", "3.png", "4.png", "4.bmp.png"}
        assert files(tmp_path) == expected | {"5.webp"}

    @pytest.mark.parametrize(
        ("name", "opaque", "transparent"),
        [
            ("a.heic", "a.jpg", "a.png"),
            ("a.JPG", "a.JPG", "a.png"),
            ("a.webp", "a.webp", "a.webp"),
            ("a.bmp", "a.png", "a.png"),
            ("a.mov", "a.mov", "a.mov"),
            ("a.avi", "a.mp4", "a.mp4"),
        ],
    )
    def test_of_one(self, name: str, opaque: str, transparent: str) -> None:
        """A name stays where such a file can be written."""
        assert written_name(name, transparent=False) == opaque
        assert written_name(name, transparent=True) == transparent
