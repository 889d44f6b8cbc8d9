"""What is written: the right colours in every kind of file, and names of every kind."""

from __future__ import annotations

import contextlib
import io
import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

import greenroom
from greenroom.errors import ExistsError, GreenroomError, SettingsError, SinkError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.source_info import SourceInfo
from greenroom.settings import Settings
from greenroom.sinks import Y4MSink, check_sink, create_sink
from greenroom.sources import create_source
from greenroom.testing import PersonSegmenter, PersonSource, count_room_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable

INFO = SourceInfo("made up", Fraction(25), Fraction(1, 25))
RUST = (200, 60, 30)
SMALL, HIGH = (64, 48), (1280, 720)
LAYOUTS = {
    "rgb": ("gbrp", Colour(0, 2)),
    "444 of BT.709": ("yuv444p", Colour(1, 1)),
    "444 of BT.601, full": ("yuv444p", Colour(6, 2)),
    "420 of BT.709": ("yuv420p", Colour(1, 1)),
    "420 of BT.601, full": ("yuv420p", Colour(6, 2)),
    "420 of BT.2020": ("yuv420p", Colour(9, 1)),
    "420 that says nothing": ("yuv420p", Colour()),
}
WRITTEN: tuple[tuple[str, str | None], ...] = (
    ("out.mp4", None),
    ("out.mp4", "hevc"),
    ("out.mov", None),
    ("out.mov", "prores"),
    ("out.mkv", None),
    ("out.mkv", "ffv1"),
    ("out.webm", None),
    ("out%d.png", None),
    ("out%d.jpg", None),
    ("out%d.webp", None),
)
WITH_ALPHA = ("out.mov", "out.mkv", "out.webm", "out%d.png", "out%d.webp")


def files(folder: Path) -> set[str]:
    """Name everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def write(path: Path, frames: Iterable[Frame], **values: Any) -> Path:
    """Write frames, and return the first file."""
    sink = create_sink(path, Settings(**values), INFO)
    try:
        for number, frame in enumerate(frames):
            sink.write(frame.shown_at(number, INFO.time_base))
    except BaseException:
        sink.abort()
        raise
    sink.close()
    return path.with_name(path.name.replace("%d", "1"))


def shown(path: Path) -> Any:
    """Return the mean colour of the first frame that is read back."""
    source = create_source(path, Settings())
    frame = next(iter(source))
    source.close()
    return frame.to_rgb().mean(axis=(0, 1))


class TestColours:
    """What is read back is what was written, whatever the frame is made of."""

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize(("name", "codec"), WRITTEN)
    def test_are_those_of_the_frame(
        self, tmp_path: Path, layout: str, name: str, codec: str | None
    ) -> None:
        """Matrix and range are converted or said, so that one colour comes back as it was."""
        format_, colour = LAYOUTS[layout]
        frame = Frame.filled(Layout(*SMALL, format_, colour), RUST)  # type: ignore[arg-type]
        path = write(tmp_path / name, [frame] * 3, output_quality=95, codec=codec)
        np.testing.assert_allclose(shown(path), RUST, atol=5)

    @pytest.mark.parametrize("layout", ["rgb", "420 of BT.601, full", "420 that says nothing"])
    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
    def test_of_high_definition(self, tmp_path: Path, layout: str, name: str) -> None:
        """They are so too where players assume another matrix."""
        format_, colour = LAYOUTS[layout]
        frame = Frame.filled(Layout(*HIGH, format_, colour), RUST)  # type: ignore[arg-type]
        np.testing.assert_allclose(shown(write(tmp_path / name, [frame])), RUST, atol=5)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("name", WITH_ALPHA)
    def test_of_frames_with_alpha(self, tmp_path: Path, layout: str, name: str) -> None:
        """They are so where the frame has coverage, too."""
        format_, colour = LAYOUTS[layout]
        frame = Frame.filled(Layout(*SMALL, format_, colour), RUST, alpha=255)  # type: ignore[arg-type]
        path = write(tmp_path / name, [frame], output_quality=95, background="transparent")
        np.testing.assert_allclose(shown(path), RUST, atol=5)

    @pytest.mark.parametrize(("name", "codec"), WRITTEN)
    def test_of_a_matte(self, tmp_path: Path, name: str, codec: str | None) -> None:
        """Black, gray and white of a matte are those that FFmpeg decodes."""
        values = np.repeat(np.array([0, 128, 255], np.uint8), 16)[:, None] * np.ones(64, np.uint8)
        matte = Frame((values,), Layout(64, 48, "gray", Colour(2, 2)))
        path = write(tmp_path / name, [matte] * 3, output_quality=95, codec=codec)
        with av.open(str(path)) as container:
            picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
        for row, value in ((6, 0), (24, 128), (42, 255)):
            np.testing.assert_allclose(picture[row, 8:-8], value, atol=3)


class TestPixelsThatAreNotSquare:
    """Anamorphic video."""

    @pytest.mark.parametrize(
        ("name", "codec"),
        [
            ("out.mp4", None),
            ("out.mov", "prores"),
            ("out.mkv", None),
            ("out.mkv", "ffv1"),
            ("out.mkv", "av1"),
            ("out.webm", None),
        ],
    )
    @pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(8, 9)])
    def test_are_shown_as_they_were(
        self, tmp_path: Path, name: str, codec: str | None, aspect: Fraction
    ) -> None:
        """Every kind of file has the shape of the source: it says so, or its pixels are square."""
        info = replace(INFO, sample_aspect_ratio=aspect)
        sink = create_sink(tmp_path / name, Settings(codec=codec), info)
        frame = Frame.filled(Layout(72, 48, "yuv420p"), RUST)
        sink.write(frame.shown_at(0, INFO.time_base))
        sink.close()
        source = create_source(tmp_path / name, Settings())
        (width, height), said = next(iter(source)).size, source.info.sample_aspect_ratio
        source.close()
        assert width * said / height == Fraction(72, 48) * aspect

    def test_alpha_is_scaled_along(self, tmp_path: Path) -> None:
        """What can be seen through stays where it was in the picture."""
        info = replace(INFO, sample_aspect_ratio=Fraction(2))
        frame = Frame.filled(Layout(64, 48, "yuv420p"), RUST)
        alpha = np.zeros((48, 64), np.uint8)
        alpha[:, 32:] = 255
        sink = create_sink(tmp_path / "out.webm", Settings(), info)
        sink.write(replace(frame, alpha=alpha).shown_at(0, INFO.time_base))
        sink.close()
        source = create_source(tmp_path / "out.webm", Settings())
        seen = next(iter(source)).to_rgb()
        source.close()
        assert seen.shape == (48, 128, 3)
        assert seen[:, :56].max() < 20
        assert np.abs(seen[:, 72:].mean(axis=(0, 1)) - RUST).max() < 12

    def test_matte_keeps_its_pixels(self, tmp_path: Path) -> None:
        """A matte is that of the pixels, whatever their shape."""
        info = replace(INFO, sample_aspect_ratio=Fraction(4, 3))
        sink = create_sink(tmp_path / "out.mkv", Settings(), info)
        sink.write(Frame.filled(Layout(72, 48, "gray"), (9, 9, 9)).shown_at(0, INFO.time_base))
        sink.close()
        source = create_source(tmp_path / "out.mkv", Settings())
        assert next(iter(source)).size == (72, 48)
        source.close()

    def test_shape_that_cannot_be(self, tmp_path: Path) -> None:
        """A file that claims an absurd shape does not lead to a picture of that size."""
        info = replace(INFO, sample_aspect_ratio=Fraction(60000, 1))
        sink = create_sink(tmp_path / "out.webm", Settings(), info)
        sink.write(Frame.filled(Layout(64, 48, "yuv420p"), RUST).shown_at(0, INFO.time_base))
        sink.close()
        assert files(tmp_path) == {"out.webm"}


class TestAlpha:
    """Frames that may be seen through."""

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.webm"])
    def test_never_become_opaque(self, tmp_path: Path, name: str) -> None:
        """What lies under no coverage is not shown because earlier frames had no alpha."""
        layout = Layout(*SMALL, "yuv420p", Colour(1, 1))
        hidden = Frame.filled(layout, (255, 0, 255), alpha=0)
        try:
            path = write(tmp_path / name, [Frame.filled(layout, (0, 90, 0)), hidden])
        except GreenroomError:
            assert files(tmp_path) == set()
        else:
            assert [count_room_pixels(frame, 40) for frame in create_source(path, Settings())] == [
                0,
                0,
            ]

    def test_background_that_becomes_transparent(self, tmp_path: Path) -> None:
        """A change to ``transparent`` in mid-video shows no room in a file without alpha."""
        source = PersonSource(frames=4)
        sink = create_sink(tmp_path / "out.mkv", Settings(), source.info)
        with greenroom.VirtualBackground(
            background="color:teal", segmenter=PersonSegmenter()
        ) as engine:
            try:
                for number, frame in enumerate(source):
                    if number == 2:
                        engine.update(background="transparent")
                    sink.write(engine.process(frame))
                sink.close()
            except GreenroomError:
                sink.abort()
                assert files(tmp_path) == set()
                return
        for frame in create_source(tmp_path / "out.mkv", Settings()):
            assert count_room_pixels(frame, 40) == 0


class TestCodecs:
    """What ``codec``, ``quality`` and ``preset`` say."""

    FITTING = tuple(
        itertools.chain(
            itertools.product(("mp4", "mov", "mkv"), ("h264", "hevc")),
            itertools.product(("mp4", "mkv", "webm"), ("av1", "vp9")),
            itertools.product(("mov", "mkv"), ("prores",)),
            itertools.product(("mp4", "mkv"), ("ffv1",)),
        )
    )

    @pytest.mark.parametrize(("kind", "codec"), FITTING)
    def test_every_one_that_fits(
        self, tmp_path: Path, kind: str, codec: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """It is written in the right colours, and nothing is said about it."""
        frame = Frame.filled(Layout(*SMALL, "yuv420p", Colour(1, 1)), RUST)
        path = write(tmp_path / f"out.{kind}", [frame] * 3, codec=codec)
        with av.open(str(path)) as container:
            name = container.streams.video[0].codec_context.codec.canonical_name
            assert name == codec
        np.testing.assert_allclose(shown(path), RUST, atol=5)
        said = capfd.readouterr()
        assert (said.out, said.err) == ("", "")

    @pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
    def test_one_frame(self, tmp_path: Path, codec: str) -> None:
        """A picture makes a video of one frame, every time."""
        frame = PersonSource().frame(0)
        for number in range(6):
            path = write(tmp_path / f"{number}.mp4", [frame], codec=codec)
            assert len(list(create_source(path, Settings()))) == 1

    @pytest.mark.parametrize(
        ("kind", "codec"),
        [
            ("webm", "h264"),
            ("webm", "prores"),
            ("webm", "ffv1"),
            ("mp4", "prores"),
            ("mov", "vp9"),
            ("mov", "av1"),
            ("mov", "ffv1"),
        ],
    )
    def test_those_that_do_not_fit(self, tmp_path: Path, kind: str, codec: str) -> None:
        """The sentence names the codec and the kind of file, and nothing is left."""
        frame = PersonSource().frame(0)
        wanted = rf"(?=.*\b{kind}\b).*{codec}"
        with pytest.raises((SettingsError, SinkError), match=wanted) as caught:
            write(tmp_path / f"out.{kind}", [frame], codec=codec)
        assert "invalid argument" not in str(caught.value)
        assert files(tmp_path) == set()

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("out.mp4", {"codec": "theora"}),
            ("out.mp4", {"codec": "hevc", "preset": "hasty"}),
            ("out.mov", {"codec": "av1"}),
        ],
    )
    def test_mistakes_are_told_before_the_first_frame(
        self, tmp_path: Path, name: str, values: dict[str, Any]
    ) -> None:
        """A codec that cannot be is refused when the file is named, before a model is loaded."""
        with pytest.raises(SettingsError, match=values["codec"]):
            create_sink(tmp_path / name, Settings(**values), INFO)

    @pytest.mark.parametrize("codec", ["libx264rgb", "mjpeg", "mpeg4", "qtrle", "png"])
    def test_encoders_by_name_keep_the_colours(self, tmp_path: Path, codec: str) -> None:
        """Frames are converted to what the encoder takes."""
        frame = Frame.filled(Layout(*SMALL, "yuv420p", Colour(1, 1, 1, 1)), RUST)
        path = write(tmp_path / "out.mov", [frame], codec=codec)
        np.testing.assert_allclose(shown(path), RUST, atol=5)

    def test_quality_counts_under_both_names(self, tmp_path: Path) -> None:
        """``libx264`` is ``h264``: the quality that was asked for is used."""
        rng = np.random.default_rng(4)
        noise = Frame.from_rgb(rng.integers(0, 256, (48, 64, 3), np.uint8))
        frames = [noise.converted(Layout(*SMALL, "yuv420p", Colour(1, 1)))] * 3
        sizes = {
            (codec, quality): write(
                tmp_path / f"{codec}-{quality}.mkv", frames, codec=codec, output_quality=quality
            )
            .stat()
            .st_size
            for codec in ("h264", "libx264")
            for quality in (5, 95)
        }
        assert sizes["h264", 5] < sizes["h264", 95] / 2
        assert sizes["libx264", 5] < sizes["libx264", 95] / 2

    @pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
    def test_unknown_preset(
        self, tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A preset that the encoder does not know is named, and the encoder itself is silent."""
        with pytest.raises(SettingsError, match=r"preset.*'fastish'"):
            write(tmp_path / "out.mkv", [PersonSource().frame(0)], codec=codec, preset="fastish")
        assert files(tmp_path) == set()
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("codec", ["ffv1", "prores"])
    def test_preset_where_there_is_none(self, tmp_path: Path, codec: str) -> None:
        """A preset for an encoder that has none is refused rather than left unheard."""
        with pytest.raises(SettingsError, match="preset"):
            write(tmp_path / "out.mkv", [PersonSource().frame(0)], codec=codec, preset="slow")
        assert files(tmp_path) == set()


class TestNames:
    """Names of outputs."""

    @pytest.mark.parametrize(
        "name",
        [
            "10:30.mp4",
            "file:clip.mp4",
            "data:,clip.mkv",
            "50%.mp4",
            "ü ñ 'x'.mkv",
            "-.webm",
            "x" * 250 + ".mp4",
            "x" * 250 + ".png",
        ],
    )
    def test_every_name_that_a_file_can_have(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """A name is a name: never a protocol, never too long for the temporary one."""
        monkeypatch.chdir(tmp_path)
        write(Path(name), [PersonSource().frame(0)])
        assert files(tmp_path) == {name}

    @pytest.mark.parametrize("name", ["x" * 252 + ".png", "x" * 252 + ".mp4", "x" * 300])
    @pytest.mark.parametrize("pictures", [(), ("me.png",), ("me.png", "you.png")])
    def test_name_that_no_file_can_have(
        self, tmp_path: Path, name: str, pictures: tuple[str, ...]
    ) -> None:
        """It is refused as an output, whether a picture, several or a video is to have it."""
        with pytest.raises((SinkError, SettingsError)):
            check_sink(tmp_path / name, Settings(), replace(INFO, pictures=pictures))

    def test_suffix_in_capitals(self, tmp_path: Path) -> None:
        """``.MP4`` and ``.PNG`` are what they are in small letters."""
        for name in ("OUT.MP4", "OUT.PNG"):
            path = write(tmp_path / name, [PersonSource().frame(0)])
            assert len(list(create_source(path, Settings()))) == 1


class TestSeveralFiles:
    """Pictures that appear together."""

    @pytest.mark.parametrize("name", ["out%d.png", "out%d.jpg"])
    def test_all_or_none(self, tmp_path: Path, name: str) -> None:
        """When one name has been taken meanwhile, none of the others appears."""
        sink = create_sink(tmp_path / name, Settings(), INFO)
        for frame in PersonSource(frames=3):
            sink.write(frame)
        taken = tmp_path / name.replace("%d", "2")
        taken.write_text("mine")
        with pytest.raises(ExistsError):
            sink.close()
        assert files(tmp_path) == {taken.name}
        assert taken.read_text() == "mine"


class TestY4M:
    """Standard output."""

    def test_frames_of_one_size(self) -> None:
        """The format says the size once: frames of another are refused, or scaled to it."""
        stream = io.BytesIO()
        sink = Y4MSink(INFO, stream)
        sink.write(Frame.filled(Layout(16, 16, "gbrp"), (9, 9, 9)))
        with contextlib.suppress(GreenroomError):
            sink.write(Frame.filled(Layout(8, 8, "gbrp"), (9, 9, 9)))
        header, _, body = stream.getvalue().partition(b"\n")
        assert b"W16 H16" in header
        assert len(body) % (len(b"FRAME\n") + 3 * 16 * 16) == 0
