"""Media that are not what most are: turned, see-through, gray, deep, cut off."""

from __future__ import annotations

import io
import itertools
import os
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from greenroom.backgrounds import create_background
from greenroom.errors import BackgroundError, GreenroomError, SourceError, TruncatedError
from greenroom.live.sources import create_live_source
from greenroom.settings import Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Plane = NDArray[np.uint8]
    Make = Callable[..., Path]

RUST = (200, 60, 30)
DEADLINE_S = 60


def flat(size: tuple[int, int] = (64, 48), rgb: tuple[int, ...] = RUST) -> Plane:
    """Return a picture of one colour."""
    return np.full((size[1], size[0], len(rgb)), rgb, np.uint8)


def write(
    path: Path,
    pictures: Sequence[Plane],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    *,
    aspect: Fraction = Fraction(1),
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """Encode RGB or RGBA pictures, 25 a second."""
    with av.open(str(path), "w", options=container or {}) as target:
        stream = cast("VideoStream", target.add_stream(codec, rate=25, options=options or {}))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.sample_aspect_ratio = aspect
        for number, picture in enumerate(pictures):
            name = "rgba" if picture.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(picture, name).reformat(threads=1, format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


def turned(path: Path, degrees: int) -> Path:
    """Write a rotation into the track header of an MP4: ISO/IEC 14496-12, 8.3.2."""
    turns = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    return shown_by(path, turns[degrees])


def shown_by(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a matrix that says how it is shown into the track header of an MP4 or MOV."""
    a, b, c, d = (65536 * value for value in matrix)
    data = bytearray(path.read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def with_much_beside(path: Path, kind: str) -> Path:
    """Write a turned film of one picture with a profile, EXIF or messages beside it."""
    if kind in ("png", "mjpeg"):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        exif = Image.Exif()
        exif[0x0131] = "a program"
        data = io.BytesIO()
        picture = Image.fromarray(flat())
        picture.save(data, "png" if kind == "png" else "jpeg", icc_profile=profile, exif=exif)
        with av.open(str(path), "w") as target:
            stream = cast("VideoStream", target.add_stream(kind, rate=25))
            stream.width, stream.height = picture.size
            stream.pix_fmt = "rgb24" if kind == "png" else "yuvj420p"
            packet = av.Packet(data.getvalue())
            packet.stream, packet.pts, packet.dts = stream, 0, 0
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            target.mux(packet)
    else:
        write(path, [flat()], kind)  # which says its own settings in a message
    return turned(path, 90)


def read(path: Path, **values: Any) -> list[Frame]:
    """Read every frame."""
    return list(create_source(path, Settings(**values)))


class TestTurned:
    """The rotation flag."""

    @pytest.mark.parametrize("degrees", [0, 90, 180, 270])
    def test_pixels_turn_with_the_picture(self, tmp_path: Path, degrees: int) -> None:
        """Pixels that are wider than high are higher than wide after a quarter turn."""
        path = write(tmp_path / "wide.mp4", [flat()], aspect=Fraction(16, 11))
        source = create_source(turned(path, degrees), Settings())
        (frame,) = source
        upright = degrees in (0, 180)
        assert frame.size == ((64, 48) if upright else (48, 64))
        assert source.info.sample_aspect_ratio == Fraction(*((16, 11) if upright else (11, 16)))

    @pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)])
    def test_mirrored(self, tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
        """A film that is to be shown mirrored, as front cameras' are, is mirrored."""
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:10, :20] = 255  # at the top, on the left
        path = shown_by(write(tmp_path / "film.mov", [picture], "png", "rgb24"), matrix)
        (frame,) = read(path)
        luma = frame.planes[0]
        a, b, c, d = matrix
        width, height = (64, 48) if a else (48, 64)
        assert frame.size == (width, height)
        down, right = d + b < 0, a + c < 0  # where the corner goes
        assert luma[-3 if down else 2, -3 if right else 2] > 200
        assert luma[2 if down else -3, 2 if right else -3] < 50

    @pytest.mark.parametrize("kind", ["png", "mjpeg", "libx264"])
    def test_what_is_beside_a_picture_is_freed_once(self, tmp_path: Path, kind: str) -> None:
        """Profiles and the like, for all that reads an orientation, survive the collector."""
        path = with_much_beside(tmp_path / "film.mov", kind)
        program = (
            "import gc, sys\n"
            "from greenroom import Settings\n"
            "from greenroom.backgrounds import create_background\n"
            "from greenroom.media.decoded_frames import orientation_of\n"
            "from greenroom.media.decoding import decoded, open_media, video_stream\n"
            "from greenroom.sources import create_source\n"
            "for _ in range(10):\n"
            "    (frame,) = create_source(sys.argv[1], Settings())\n"
            "    create_background(Settings(background=sys.argv[1])).close()\n"
            "    with open_media(sys.argv[1]) as container:\n"
            "        for picture in decoded(container, video_stream(container)):\n"
            "            found = orientation_of(picture)\n"
            "    del picture\n"
            "    gc.collect()\n"
            "print(frame.size, found)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("(48, 64) Orientation(transpose=True")

    @pytest.mark.parametrize("size", [(640, 480), (1280, 720), (64, 48)])
    def test_colours_stay(self, tmp_path: Path, size: tuple[int, int]) -> None:
        """Turning does not change what a file that names no matrix is taken for."""
        pictures = []
        for degrees in (0, 90):
            path = write(tmp_path / f"{degrees}.mp4", [flat(size)])
            pictures.append(read(turned(path, degrees))[0].to_rgb()[20, 20].astype(int))
        assert np.abs(pictures[0] - pictures[1]).max() <= 1

    @pytest.mark.parametrize("degrees", [90, 180, 270])
    @pytest.mark.parametrize("size", [(17, 9), (33, 64)])
    def test_odd_sizes(self, tmp_path: Path, degrees: int, size: tuple[int, int]) -> None:
        """Widths and heights that are odd turn as well."""
        path = write(tmp_path / "odd.mp4", [flat(size)], "png", "rgb24")
        (frame,) = read(turned(path, degrees))
        assert frame.size == (size if degrees == 180 else size[::-1])
        np.testing.assert_allclose(frame.to_rgb().mean(axis=(0, 1)), RUST, atol=3)


class TestSeeThrough:
    """Videos that have alpha themselves."""

    @pytest.mark.parametrize(
        ("name", "codec", "pix_fmt"),
        [
            ("in.mkv", "ffv1", "yuva420p"),
            ("in.mkv", "ffv1", "bgra"),
            ("in.mov", "prores_ks", "yuva444p10le"),
            ("in.mov", "qtrle", "argb"),
            ("in.mov", "png", "rgba"),
            ("in.webm", "libvpx", "yuva420p"),
            ("in.webm", "libvpx-vp9", "yuva420p"),
            ("in.mkv", "libvpx-vp9", "yuva420p"),
        ],
    )
    def test_is_seen_in_front_of_black(
        self, tmp_path: Path, name: str, codec: str, pix_fmt: str
    ) -> None:
        """As pictures are: what lies under no coverage is not shown, and frames are opaque."""
        picture = flat(rgb=(*RUST, 255))
        picture[:24] = (255, 0, 255, 0)
        options = {"auto-alt-ref": "0"} if "vpx" in codec else None
        path = write(tmp_path / name, [picture], codec, pix_fmt, options=options)
        background = create_background(Settings(background=str(path), fit="stretch"))
        frames = read(path)
        frames.append(background.cover(frames[0].layout, 0.0))
        background.close()
        played = create_live_source(Settings(source=str(path), loop=True))
        frames += itertools.islice(played, 2)
        played.close()
        for frame in frames:
            assert frame.alpha is None
            rgb = frame.to_rgb().astype(int)
            assert rgb[2:20].max() <= 4
            assert np.abs(rgb[28:46] - RUST).max() <= 5


class TestPixelFormats:
    """Whatever the samples are, the colours are right."""

    @pytest.mark.parametrize(
        ("name", "codec", "pix_fmt"),
        [
            ("in.mkv", "ffv1", "yuv422p10le"),
            ("in.mkv", "ffv1", "yuv444p16le"),
            ("in.mkv", "ffv1", "yuv420p12le"),
            ("in.mkv", "ffv1", "yuv411p"),
            ("in.mkv", "ffv1", "yuv410p"),
            ("in.mkv", "ffv1", "gbrp16le"),
            ("in.mkv", "ffv1", "bgr0"),
            ("in.mkv", "rawvideo", "uyvy422"),
            ("in.mkv", "rawvideo", "nv12"),
            ("in.avi", "rawvideo", "bgr24"),
            ("in.mp4", "libx264", "yuv444p"),
            ("in.mp4", "libx265", "yuv420p10le"),
            ("in.mp4", "mpeg4", "yuv420p"),
            ("in.webm", "libvpx-vp9", "yuv420p"),
            ("in.ts", "libx264", "yuv420p"),
            ("in.flv", "libx264", "yuv420p"),
            ("in.mjpeg", "mjpeg", "yuvj420p"),
        ],
    )
    def test_colour(self, tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
        """Every format that FFmpeg knows becomes 4:2:0 of eight bits in the same colour."""
        frame, *others = read(write(tmp_path / name, [flat()] * 5, codec, pix_fmt))
        assert len(others) == 4
        assert frame.format == "yuv420p"
        np.testing.assert_allclose(frame.to_rgb().mean(axis=(0, 1)), RUST, atol=5)

    @pytest.mark.parametrize(
        ("name", "codec"),
        [("in.avi", "rawvideo"), ("in.nut", "rawvideo"), ("in.mov", "png"), ("in.avi", "zmbv")],
    )
    def test_palette(self, tmp_path: Path, name: str, codec: str) -> None:
        """A video of 256 colours has them, as an input and as a background."""
        path = tmp_path / name
        palette = np.full((256, 4), (255, *RUST), np.uint8)  # ARGB
        with av.open(str(path), "w") as target:
            stream = cast("VideoStream", target.add_stream(codec, rate=25))
            stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
            samples: Any = np.ones((48, 64), np.uint8), palette
            frame = av.VideoFrame.from_ndarray(samples, "pal8")
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            target.mux([*stream.encode(frame), *stream.encode(None)])
        (shown,) = read(path)
        background = create_background(Settings(background=str(path)))
        for picture in (shown, background.cover(shown.layout, 0.0)):
            np.testing.assert_allclose(picture.to_rgb().mean(axis=(0, 1)), RUST, atol=3)
        background.close()

    def test_what_cannot_be_converted(self, tmp_path: Path) -> None:
        """A format that FFmpeg itself cannot convert is named."""
        path = tmp_path / "in.nut"
        with av.open(str(path), "w") as target:
            stream = target.add_stream("rawvideo", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr4"
            frame = av.VideoFrame(64, 48, "bgr4")
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            target.mux([*stream.encode(frame), *stream.encode(None)])
        with pytest.raises(SourceError, match="cannot be converted, bgr4"):
            read(path)
        with pytest.raises(BackgroundError, match="cannot be converted, bgr4"):
            create_background(Settings(background=str(path)))

    @pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
    def test_gray(self, tmp_path: Path, pix_fmt: str) -> None:
        """A gray video has the same gray, from black to white."""
        ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
        path = write(tmp_path / "gray.mkv", [np.dstack([ramp] * 3)], "ffv1", pix_fmt)
        (frame,) = read(path)
        assert np.abs(frame.to_rgb().astype(int) - ramp[:, :, None]).max() <= 2


def chunk(kind: bytes, body: bytes) -> bytes:
    """Make a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(depth: int, colour_type: int, pixel: bytes, extra: bytes = b"") -> bytes:
    """Write a PNG of 32x24 equal pixels, or groups of pixels that fill a byte."""
    row = b"\0" + pixel * (32 if depth >= 8 else 4 * depth)
    header = struct.pack(">IIBBBBB", 32, 24, depth, colour_type, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(24 * row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + data + chunk(b"IEND", b"")


PALETTE = chunk(b"PLTE", bytes([0, 0, 0, *RUST]))
PNGS = {
    "gray": (png(8, 0, b"\x78"), (120,) * 3),
    "gray of 16 bits": (png(16, 0, b"\x78\x78"), (120,) * 3),
    "gray of 1 bit": (png(1, 0, b"\xff"), (255,) * 3),
    "gray of 2 bits": (png(2, 0, b"\xaa"), (170,) * 3),
    "gray with alpha": (png(8, 4, b"\x78\xff"), (120,) * 3),
    "gray with no coverage": (png(8, 4, b"\x78\0"), (0,) * 3),
    "gray of 16 bits with alpha": (png(16, 4, b"\x78\x78\xff\xff"), (120,) * 3),
    "16 bits": (png(16, 2, b"\xc8\xc8\x3c\x3c\x1e\x1e"), RUST),
    "16 bits with alpha": (png(16, 6, b"\xc8\xc8\x3c\x3c\x1e\x1e\xff\xff"), RUST),
    "palette": (png(8, 3, b"\1", PALETTE), RUST),
    "palette with alpha": (png(8, 3, b"\1", PALETTE + chunk(b"tRNS", b"\xff\0")), (0,) * 3),
    "half covered": (png(8, 6, b"\xc8\x3c\x1e\x80"), (100, 30, 15)),
}


class TestPictures:
    """Pictures of every kind."""

    @pytest.mark.parametrize("kind", PNGS)
    def test_kinds_of_png(self, tmp_path: Path, kind: str) -> None:
        """Gray, deep, with a palette or with alpha: the colour is right, in front of black."""
        data, rgb = PNGS[kind]
        path = tmp_path / "picture.png"
        path.write_bytes(data)
        (frame,) = read(path)
        assert frame.size == (32, 24)
        assert frame.alpha is None
        assert np.abs(frame.to_rgb().astype(int) - rgb).max() <= 1

    @pytest.mark.parametrize("kind", ["jpg", "webp", "bmp", "tiff", "png"])
    @pytest.mark.parametrize("size", [(33, 17), (1280, 720)])
    def test_kinds_of_pictures(self, make_picture: Make, kind: str, size: tuple[int, int]) -> None:
        """Every kind has its colours at every size, whatever players assume of video."""
        (frame,) = read(make_picture(flat(size), f"picture.{kind}"))
        assert frame.size == size
        np.testing.assert_allclose(frame.to_rgb().mean(axis=(0, 1)), RUST, atol=2)

    @pytest.mark.parametrize("kind", ["jpg", "webp", "bmp", "tiff", "png"])
    @pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
    def test_cut_off(self, make_picture: Make, kind: str, part: float) -> None:
        """A picture of which a part is missing is an error, not a gray lower half."""
        noise = np.random.default_rng(6).integers(0, 256, (96, 128, 3), np.uint8)
        path = make_picture(noise, f"cut.{kind}")
        data = path.read_bytes()
        path.write_bytes(data[: int(part * len(data))])
        with pytest.raises(SourceError, match=path.name):
            read(path)


class TestCoverArt:
    """A picture that belongs to a film is not the film."""

    @pytest.mark.parametrize("art_first", [True, False])
    def test_beside_a_video(self, tmp_path: Path, make_picture: Make, *, art_first: bool) -> None:
        """The video is read, whichever comes first."""
        path = tmp_path / "film.mp4"
        cover = make_picture(flat(rgb=(0, 0, 250)), "cover.png").read_bytes()
        film = write(tmp_path / "bare.mp4", [flat()] * 5)
        with av.open(str(film)) as source, av.open(str(path), "w") as target:
            copy: Any = None
            if not art_first:
                copy = target.add_stream_from_template(source.streams.video[0], opaque=True)
            art: Any = target.add_stream("png", rate=1)
            art.width, art.height, art.pix_fmt = 64, 48, "rgb24"
            art.disposition = av.stream.Disposition.attached_pic
            if copy is None:
                copy = target.add_stream_from_template(source.streams.video[0], opaque=True)
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts = art, 0, 0
            target.mux(packet)
            for one in source.demux(video=0):
                if one.size:
                    one.stream = copy
                    target.mux(one)
        frames = read(path)
        assert len(frames) == 5
        np.testing.assert_allclose(frames[0].to_rgb().mean(axis=(0, 1)), RUST, atol=5)


def places_to_cut(path: Path) -> list[int]:
    """Return places all over a file, and those just before and after each of its packets."""
    length = path.stat().st_size
    with av.open(str(path)) as container:
        packets = [(one.pos or 0, one.size) for one in container.demux(video=0) if one.size]
    ends = {place for start, size in packets for place in (start, start + size)}
    return sorted(
        {length * part // 40 for part in range(1, 40)} | ends - {0, length} | {length - 1}
    )


class TestCutOff:
    """Files that end too early."""

    @pytest.mark.parametrize("count", [8, 40])
    @pytest.mark.parametrize(
        ("name", "codec", "container"),
        [
            ("in.mp4", "libx264", {"movflags": "faststart"}),
            ("in.mov", "mpeg4", {"movflags": "faststart"}),
            ("in.mp4", "libx264", {}),
            ("in.mkv", "libx264", {}),
            ("in.webm", "libvpx", {}),
        ],
    )
    def test_is_never_taken_for_the_whole(
        self, tmp_path: Path, name: str, codec: str, container: dict[str, str], count: int
    ) -> None:
        """Wherever a file with a header ends, either every frame comes or an error does."""
        rng = np.random.default_rng(count)
        pictures = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(count)]
        path = write(tmp_path / name, pictures, codec, container=container)
        data = path.read_bytes()
        short = {}
        for place in places_to_cut(path):
            path.write_bytes(data[:place])
            try:
                frames = len(read(path))
            except GreenroomError:
                continue
            if frames != count:
                short[place] = frames
        assert short == {}

    @pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
    def test_gives_what_is_there_when_asked(self, tmp_path: Path, name: str) -> None:
        """With ``allow_truncated`` the frames before the end come, each as it was."""
        pictures = [flat(rgb=(5 * number, 90, 200)) for number in range(40)]
        path = write(
            tmp_path / name,
            pictures,
            options={"g": "5"},
            container={"movflags": "faststart"} if name == "in.mp4" else {},
        )
        whole = read(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
        with pytest.raises(TruncatedError):
            read(path)
        part = read(path, allow_truncated=True)
        assert 10 < len(part) < 40
        for frame, expected in zip(part[:-1], whole, strict=False):
            assert frame.pts == expected.pts
            np.testing.assert_array_equal(frame.planes[0], expected.planes[0])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_named_pipe(tmp_path: Path) -> None:
    """A pipe that has a name is read once, from its beginning, like standard input."""
    os.mkfifo(tmp_path / "pipe")
    whole = write(tmp_path / "whole.mkv", [flat()] * 5)
    program = (
        "import sys; from greenroom.files.convert import convert;"
        "print(convert('pipe', 'out.mkv', background='none').frames)"
    )
    reader = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=-1, stderr=-1)
    feed = "import sys; open('pipe', 'wb').write(open(sys.argv[1], 'rb').read())"
    writer = subprocess.Popen([sys.executable, "-c", feed, whole], cwd=tmp_path, stderr=-1)
    try:
        out, errors = reader.communicate(timeout=DEADLINE_S / 4)
    finally:
        for process in (reader, writer):
            process.kill()
            process.communicate()
    assert (out, errors) == (b"5\n", b"")
