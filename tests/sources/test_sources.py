"""Sources: one suite that all pass, and what is special about each."""

from __future__ import annotations

import logging
import re
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from greenroom.errors import SourceError, TruncatedError
from greenroom.settings import Settings
from greenroom.sources import Source, create_source
from greenroom.sources.demo_source import DemoSource
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Plane = NDArray[np.uint8]
    Make = Callable[..., Path]

KINDS = ("video", "picture", "folder", "sequence", "pipe", "demo", "person")
COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200))


def flat(rgb: tuple[int, int, int], size: tuple[int, int] = (32, 24)) -> Plane:
    """Return a picture of one colour."""
    return np.full((size[1], size[0], 3), rgb, np.uint8)


def mean_rgb(frame: Frame) -> tuple[int, ...]:
    """Return the mean colour of a frame."""
    return tuple(round(value) for value in frame.to_rgb().mean(axis=(0, 1)))


def assert_colour(frame: Frame, rgb: tuple[int, int, int], tolerance: int = 6) -> None:
    """Check the mean colour of a frame."""
    assert np.abs(np.subtract(mean_rgb(frame), rgb)).max() <= tolerance


@pytest.fixture
def open_source(
    make_video: Make, make_picture: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[Source, int]]]:
    """Return a function that opens a source of a kind and says how many frames it has."""
    opened: list[Any] = []

    def make(kind: str) -> tuple[Source, int]:
        pictures = [flat(colour) for colour in COLOURS]
        if kind == "demo":
            return DemoSource(
                np.full((32, 32, 3), 128, np.uint8), np.full((32, 32), 255, np.uint8), (64, 36), 3
            ), 3
        if kind == "person":
            return PersonSource(frames=3), 3
        if kind == "picture":
            return create_source(make_picture(pictures[0]), Settings()), 1
        if kind in ("folder", "sequence"):
            for number, picture in enumerate(pictures):
                make_picture(picture, f"frames/{number:04d}.png")
            name = "frames" if kind == "folder" else "frames/%04d.png"
            return create_source(tmp_path / name, Settings()), 3
        if kind == "pipe":
            path = tmp_path / "pipe.y4m"
            header = b"YUV4MPEG2 W32 H24 F25:1 Ip A1:1 C420mpeg2\n"
            path.write_bytes(header + 3 * (b"FRAME\n" + bytes([90]) * (32 * 24 * 3 // 2)))
            stream = path.open("rb")
            opened.append(stream)
            monkeypatch.setattr(sys, "stdin", stream)
            return create_source("-", Settings()), 3
        return create_source(make_video(pictures), Settings()), 3

    yield make
    for stream in opened:
        stream.close()


@pytest.mark.parametrize("kind", KINDS)
class TestEverySource:
    """What all sources promise."""

    def test_frames(self, kind: str, open_source: Callable[[str], tuple[Source, int]]) -> None:
        """The frames are as many as announced, of one layout, and rise in time if they have one."""
        source, count = open_source(kind)
        frames = list(source)
        source.close()
        assert len(frames) == count
        if kind != "video":  # where the container only tells how long it lasts
            assert source.info.frames in (count, None)
        assert {frame.layout for frame in frames} == {frames[0].layout}
        times = [frame.time_s for frame in frames]
        if kind in {"picture", "folder"}:
            assert set(times) == {None}
        else:
            assert None not in times
            assert times == sorted(set(times), key=lambda time: time or 0.0)
        assert source.info.rate > 0
        assert source.info.name

    def test_frames_share_no_memory(
        self, kind: str, open_source: Callable[[str], tuple[Source, int]]
    ) -> None:
        """A frame can be kept: those that follow do not change it."""
        source, _ = open_source(kind)
        kept = [(frame, frame.copy()) for frame in source]
        source.close()
        for frame, copy in kept:
            for plane, before in zip(frame.planes, copy.planes, strict=True):
                np.testing.assert_array_equal(plane, before)

    def test_closing(self, kind: str, open_source: Callable[[str], tuple[Source, int]]) -> None:
        """A source can be closed before its end, and twice."""
        source, _ = open_source(kind)
        next(iter(source))
        source.close()
        source.close()


class TestVideo:
    """Videos."""

    def test_variable_rate_keeps_its_time_stamps(self, make_video: Make) -> None:
        """Frames are shown when the file says, however unevenly."""
        times = [0, 40, 50, 400, 1000]
        path = make_video([flat(COLOURS[0])] * 5, times)
        frames = list(create_source(path, Settings()))
        assert [round(1000 * (frame.time_s or 0)) for frame in frames] == times

    @pytest.mark.parametrize("degrees", [0, 90, 180, 270])
    def test_rotation_flag(self, tmp_path: Path, degrees: int) -> None:
        """A clip that was filmed sideways comes out upright."""
        path = tmp_path / "turned.mp4"
        picture = np.zeros((32, 64, 3), np.uint8)
        picture[:16, :32] = 255  # the upper left quarter is white
        # What a player undoes by turning clockwise is stored turned counter-clockwise.
        stored = np.ascontiguousarray(np.rot90(picture, degrees // 90))
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width = stored.shape[:2]
            stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(stored, "rgb24").reformat(
                threads=1, format="yuv420p"
            )
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        path.write_bytes(with_rotation(path.read_bytes(), degrees))
        (frame_,) = create_source(path, Settings())
        assert frame_.size == (64, 32)
        shown = frame_.to_rgb()[:, :, 1].astype(int)
        assert shown[2:14, 2:30].min() > 200
        assert max(shown[18:, :].max(), shown[:, 34:].max()) < 50

    def test_ten_bits(self, tmp_path: Path) -> None:
        """Ten-bit video becomes eight-bit of the same colours."""
        path = tmp_path / "ten.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p10le"
            frame = av.VideoFrame.from_ndarray(flat(COLOURS[1]), "rgb24")
            container.mux(stream.encode(frame.reformat(threads=1, format="yuv420p10le")))
            container.mux(stream.encode(None))
        (decoded,) = create_source(path, Settings())
        assert decoded.format == "yuv420p"
        assert_colour(decoded, COLOURS[1])

    @pytest.mark.parametrize("transfer", [16, 18])
    def test_high_dynamic_range_is_tone_mapped(
        self, tmp_path: Path, transfer: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """PQ and HLG come out as BT.709, and a warning says so."""
        path = tmp_path / "hdr.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p10le"
            stream.colorspace, stream.color_primaries, stream.color_trc = 9, 9, transfer
            stream.color_range = 1
            frame = av.VideoFrame.from_ndarray(flat((120, 120, 120)), "rgb24")
            frame = frame.reformat(threads=1, format="yuv420p10le")
            frame.color_trc, frame.color_primaries = transfer, 9
            frame.colorspace, frame.color_range = 9, 1
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with caplog.at_level(logging.WARNING, "greenroom"):
            (decoded,) = create_source(path, Settings())
        assert "tone-mapped" in caplog.text
        colour = decoded.layout.colour
        assert (colour.matrix, colour.transfer, colour.primaries) == (1, 1, 1)
        assert np.ptp(mean_rgb(decoded)) <= 3  # gray stays gray

    def test_cover_art_is_not_the_video(self, tmp_path: Path, make_picture: Make) -> None:
        """A music file's cover picture is no video."""
        path = tmp_path / "song.m4a"
        cover = make_picture(flat(COLOURS[0]), "cover.png").read_bytes()
        with av.open(str(path), "w", format="mp4") as container:
            sound = container.add_stream("aac", rate=44100)
            art = container.add_stream("png", rate=1)
            art.width, art.height, art.pix_fmt = 32, 24, "rgb24"
            art.disposition = av.stream.Disposition.attached_pic
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            silence.rate = 44100
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts = art, 0, 0
            container.mux(packet)
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
        with pytest.raises(SourceError, match="no video"):
            create_source(path, Settings())

    def test_pixel_aspect_and_colour_are_known(self, tmp_path: Path) -> None:
        """The shape of pixels, the matrix and the range are those of the file."""
        path = tmp_path / "wide.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
            stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
            stream.colorspace, stream.color_range = 6, 2
            frame = av.VideoFrame.from_ndarray(flat(COLOURS[0]), "rgb24")
            container.mux(
                stream.encode(frame.reformat(threads=1, format="yuv420p", dst_color_range=2))
            )
            container.mux(stream.encode(None))
        source = create_source(path, Settings())
        (frame_,) = source
        assert source.info.sample_aspect_ratio == Fraction(16, 11)
        assert source.info.rate == Fraction(30000, 1001)
        assert frame_.layout.colour.matrix == 6
        assert frame_.layout.colour.is_full_range
        assert_colour(frame_, COLOURS[0])

    def test_damage_in_the_middle(self, tmp_path: Path) -> None:
        """A damaged frame is an error, or left out when that is allowed."""
        rng = np.random.default_rng(1)
        path = tmp_path / "damaged.mov"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 24, "rgb24"
            for _ in range(9):
                noise = rng.integers(0, 255, (24, 32, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
            container.mux(stream.encode(None))
        data = path.read_bytes()  # each packet is a picture with a header and a checksum of it
        fifth = [found.start() for found in re.finditer(b"IHDR", data)][4]
        path.write_bytes(data[:fifth] + bytes(16) + data[fifth + 16 :])
        with pytest.raises(TruncatedError, match="--allow-truncated"):
            list(create_source(path, Settings()))
        frames = list(create_source(path, Settings(allow_truncated=True)))
        assert len(frames) == 8


class TestPictures:
    """Pictures."""

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation(self, make_picture: Make, orientation: int) -> None:
        """A photo is turned as its EXIF orientation says, mirrored ones too."""
        upright = np.zeros((24, 32, 3), np.uint8)
        upright[:12, :16] = 255
        stored = {
            1: upright,
            2: upright[:, ::-1],
            3: upright[::-1, ::-1],
            4: upright[::-1],
            5: upright.transpose(1, 0, 2),
            6: np.rot90(upright),
            7: upright[::-1, ::-1].transpose(1, 0, 2),
            8: np.rot90(upright, -1),
        }[orientation]
        path = make_picture(np.ascontiguousarray(stored), "photo.jpg", orientation)
        (frame,) = create_source(path, Settings())
        assert frame.size == (32, 24)
        assert np.abs(frame.to_rgb().astype(int) - upright).max() <= 40
        assert np.abs(frame.to_rgb().astype(int) - upright).mean() <= 3

    def test_photographs_keep_their_chroma(self, make_picture: Make) -> None:
        """A PNG is taken as RGB, so that nothing is lost."""
        rng = np.random.default_rng(2)
        picture = rng.integers(0, 256, (24, 32, 3), np.uint8)
        (frame,) = create_source(make_picture(picture), Settings())
        np.testing.assert_array_equal(frame.to_rgb(), picture)

    def test_transparent_parts_are_black(self, make_picture: Make) -> None:
        """A picture with alpha is taken in front of black."""
        picture = np.full((24, 32, 4), (200, 100, 50, 255), np.uint8)
        picture[:12, :, 3] = 0
        (frame,) = create_source(make_picture(picture), Settings())
        assert frame.alpha is None
        assert frame.to_rgb()[:12].max() == 0
        np.testing.assert_array_equal(frame.to_rgb()[12:], picture[12:, :, :3])

    def test_sequence_goes_by_numbers(self, make_picture: Make, tmp_path: Path) -> None:
        """Numbers are in order of size, gaps are no matter, other files are left alone."""
        for number, colour in zip((2, 10, 11), COLOURS, strict=True):
            make_picture(flat(colour), f"f/shot{number}.png")
        make_picture(flat((1, 1, 1)), "f/shot3.txt.png")
        frames = list(create_source(tmp_path / "f" / "shot%d.png", Settings()))
        assert [frame.pts for frame in frames] == [0, 1, 2]
        for frame, colour in zip(frames, COLOURS, strict=True):
            assert_colour(frame, colour, 0)

    def test_sequence_has_one_size(self, make_picture: Make, tmp_path: Path) -> None:
        """A numbered picture of another size is scaled to the first."""
        make_picture(flat(COLOURS[0]), "f/0.png")
        make_picture(flat(COLOURS[1], (64, 48)), "f/1.png")
        frames = list(create_source(tmp_path / "f" / "%d.png", Settings()))
        assert [frame.size for frame in frames] == [(32, 24)] * 2

    def test_folder_keeps_sizes(self, make_picture: Make, tmp_path: Path) -> None:
        """Pictures of a folder have nothing to do with each other."""
        make_picture(flat(COLOURS[0]), "f/a.png")
        make_picture(flat(COLOURS[1], (64, 48)), "f/b.jpg")
        (tmp_path / "f" / ".hidden.png").write_bytes(b"")
        source = create_source(tmp_path / "f", Settings())
        assert source.info.pictures == ("a.png", "b.jpg")
        assert [frame.size for frame in source] == [(32, 24), (64, 48)]

    @pytest.mark.parametrize("pattern", ["f/%d%d.png", "f/%s.png", "f/none%03d.png", "no/%d.png"])
    def test_bad_patterns(self, tmp_path: Path, make_picture: Make, pattern: str) -> None:
        """A pattern that is none, or that no file fits, is an error."""
        make_picture(flat(COLOURS[0]), "f/1.png")
        with pytest.raises(SourceError, match="pattern"):
            create_source(tmp_path / pattern, Settings())


def with_rotation(mp4: bytes, degrees: int) -> bytes:
    """Write a rotation into the track header of an MP4: ISO/IEC 14496-12, 8.3.2."""
    turns = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    a, b, c, d = (65536 * value for value in turns[degrees])
    matrix = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    place = mp4.index(b"tkhd") + 4 + 40
    data = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    return mp4[:place] + data + mp4[place + len(data) :]
