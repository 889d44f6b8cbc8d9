"""The functions behind the commands: what they return, and that they fail closed in files."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

import greenroom
from greenroom.errors import ProcessingError
from greenroom.files.convert import convert, extract_matte
from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.sources import create_source
from greenroom.testing import (
    Fault,
    FaultySegmenter,
    PersonSegmenter,
    PersonSource,
    count_room_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Make = Callable[..., Path]
    UseSegmenter = Callable[[PersonSegmenter], None]

pytestmark = pytest.mark.usefixtures("no_thread_left")

BACKGROUNDS = ("color:teal", "blur", "picture", "video", "folder", "transparent")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> UseSegmenter:
    """Return a function that has every engine use this segmenter instead of a model."""

    def choose(segmenter: PersonSegmenter) -> None:
        def create(*_: object, **__: object) -> PersonSegmenter:
            return segmenter

        monkeypatch.setattr("greenroom.engine.stages.create_segmenter", create)
        # One that hangs is released after the run: there is no need to wait for it.
        monkeypatch.setattr("greenroom.engine.worker._BUSY_CLOSE_S", 0.01)

    return choose


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """Return a lossless clip of 6 frames of the synthetic person in the magenta room."""
    source = PersonSource(frames=6)
    path = tmp_path / "person.mkv"
    sink = create_sink(path, Settings(codec="ffv1"), source.info)
    for frame in source:
        sink.write(frame)
    sink.close()
    return path


@pytest.fixture
def background(make_picture: Make, make_video: Make, tmp_path: Path) -> Callable[[str], str]:
    """Return a function that makes a background of a kind, without any magenta in it."""

    def make(kind: str) -> str:
        green = np.full((36, 64, 3), (0, 160, 60), np.uint8)
        if kind == "picture":
            return str(make_picture(green, "backgrounds/green.png"))
        if kind == "video":
            return str(make_video([green, green // 2], name="green.mkv"))
        if kind == "folder":
            make_picture(green, "backgrounds/a.png")
            make_picture(green // 2, "backgrounds/b.png")
            return str(tmp_path / "backgrounds")
        return kind

    return make


def files(folder: Path) -> set[str]:
    """Name everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("kind", BACKGROUNDS)
@pytest.mark.parametrize("fault", Fault)
class TestFailClosed:
    """From file to file, a frame without a valid matte shows nothing of the room."""

    def test_stop_leaves_no_file(
        self,
        kind: str,
        fault: Fault,
        person: Path,
        tmp_path: Path,
        use: UseSegmenter,
        background: Callable[[str], str],
    ) -> None:
        """By default a failing model is an error that says when, and there is no output."""
        segmenter = FaultySegmenter({3: fault})
        use(segmenter)
        spec = background(kind)
        before = files(tmp_path)
        timeout_s = 0.2 if fault is Fault.HANG else 10
        try:
            with pytest.raises(ProcessingError, match=r"at 0\.120 s"):
                convert(person, tmp_path / "out.mkv", background=spec, timeout_s=timeout_s)
        finally:
            segmenter.released.set()
        assert files(tmp_path) == before

    def test_cover_goes_on(
        self,
        kind: str,
        fault: Fault,
        person: Path,
        tmp_path: Path,
        use: UseSegmenter,
        background: Callable[[str], str],
    ) -> None:
        """With ``cover`` every frame is written, and those that failed show no room at all."""
        failing = {0, 3} if fault is not Fault.HANG else {0, 1, 2, 3, 4, 5}
        segmenter = FaultySegmenter(dict.fromkeys(failing, fault))
        use(segmenter)
        try:
            summary = convert(
                person,
                tmp_path / "out.mkv",
                codec="ffv1",
                background=background(kind),
                on_failure="cover",
                timeout_s=0.1 if fault is Fault.HANG else 10,
            )
        finally:
            segmenter.released.set()
        assert summary.frames == 6
        assert summary.covered == len(failing)
        with av.open(str(tmp_path / "out.mkv")) as container:
            frames = [greenroom.Frame.from_av(one) for one in container.decode(video=0)]
        assert len(frames) == 6
        for number in failing:
            assert count_room_pixels(frames[number]) == 0
            alpha = frames[number].alpha
            assert (alpha is None) == (kind != "transparent")
            assert alpha is None or alpha.max() == 0


class TestConvert:
    """``greenroom.convert``."""

    def test_summary(self, person: Path, tmp_path: Path, use: UseSegmenter) -> None:
        """It says what was done, by what and how long, and all of it can be JSON."""
        use(PersonSegmenter())
        summary = convert(person, tmp_path / "out.mp4", background="color:teal")
        assert (summary.input, summary.output) == (str(person), str(tmp_path / "out.mp4"))
        assert (summary.frames, summary.covered) == (6, 0)
        assert 0 < summary.first_frame_s <= summary.seconds
        assert (summary.decoder, summary.encoder) == ("cpu", "libx264")
        assert summary.segmenter.model == "synthetic"
        expected = {"segment", "matte", "plausibility", "background", "edges", "composite"}
        assert set(summary.stages) == expected
        assert json.loads(json.dumps(summary.to_dict()))["stages"]["segment"]["median_ms"] > 0

    def test_settings_and_values(self, person: Path, tmp_path: Path, use: UseSegmenter) -> None:
        """Single values go before the settings, which go before the defaults."""
        use(PersonSegmenter())
        settings = Settings(background="color:red", overwrite=True)
        convert(person, tmp_path / "out.mkv", settings)
        convert(person, tmp_path / "out.mkv", settings, background="color:blue")
        frame = next(iter(create_source(tmp_path / "out.mkv", Settings())))
        assert np.abs(frame.to_rgb()[2, 2].astype(int) - (0, 0, 255)).max() <= 6

    def test_progress_that_fails(self, person: Path, tmp_path: Path, use: UseSegmenter) -> None:
        """What the caller's own function raises comes out, and nothing is left."""
        use(PersonSegmenter())
        before = files(tmp_path)

        def progress(done: int, expected: int | None) -> None:
            assert expected == 6
            if done == 3:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            convert(person, tmp_path / "out.mp4", progress=progress)
        assert files(tmp_path) == before

    @pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.mov", "out.webm"])
    def test_pictures_become_a_video_of_their_colours(
        self, make_picture: Make, tmp_path: Path, target: str
    ) -> None:
        """A sequence of PNGs is RGB; the video that is made of it looks the same."""
        for number in range(3):
            make_picture(np.full((48, 64, 3), (200, 60, 30), np.uint8), f"in/{number}.png")
        convert(tmp_path / "in" / "%d.png", tmp_path / target, background="none")
        frames = list(create_source(tmp_path / target, Settings()))
        assert len(frames) == 3
        np.testing.assert_allclose(frames[1].to_rgb().mean(axis=(0, 1)), (200, 60, 30), atol=6)

    def test_its_own_transparent_video_can_be_read(
        self, person: Path, tmp_path: Path, use: UseSegmenter
    ) -> None:
        """What was written with alpha is an input like others, whatever comes out of it."""
        use(PersonSegmenter())
        convert(person, tmp_path / "cut.mkv", background="transparent")
        for spec in ("none", "color:teal", "blur"):
            convert(tmp_path / "cut.mkv", tmp_path / "out.mp4", background=spec, overwrite=True)
            assert len(list(create_source(tmp_path / "out.mp4", Settings()))) == 6

    def test_background_is_seen_at_its_own_colour(
        self,
        tmp_path: Path,
        person: Path,
        use: UseSegmenter,
        background: Callable[[str], str],
    ) -> None:
        """An RGB picture behind a YUV video has the picture's colours in the file."""
        use(PersonSegmenter())
        convert(person, tmp_path / "out.mp4", background=background("picture"), output_quality=95)
        for frame in create_source(tmp_path / "out.mp4", Settings()):
            assert np.abs(frame.to_rgb()[:8, :8].astype(int) - (0, 160, 60)).max() <= 5


class TestMatte:
    """``extract_matte``."""

    @pytest.mark.parametrize(
        ("target", "tolerance"),
        [("out.mkv", 0), ("out.mp4", 12), ("out.mov", 12), ("out.webm", 12), ("out%d.png", 0)],
    )
    def test_is_the_matte_of_each_frame(
        self, person: Path, tmp_path: Path, use: UseSegmenter, target: str, tolerance: int
    ) -> None:
        """Black is 0 and white is 255 in every kind of file, at the times of the input."""
        use(PersonSegmenter())
        extract_matte(person, tmp_path / target, output_quality=95)
        pictures: list[Any] = []
        names = sorted(tmp_path.glob("out*"))
        for name in names:
            with av.open(str(name)) as container:
                pictures += [
                    one.to_ndarray(format="rgb24")[:, :, 0] for one in container.decode(video=0)
                ]
        assert len(pictures) == 6
        with greenroom.VirtualBackground(segmenter=PersonSegmenter()) as engine:
            for picture, frame in zip(pictures, create_source(person, Settings()), strict=True):
                engine.process(frame)
                assert engine.matte is not None
                difference = np.abs(picture.astype(int) - engine.matte)
                assert np.percentile(difference, 99) <= tolerance
                assert picture.min() <= 2
                assert picture.max() >= 253

    def test_of_a_gray_video(self, tmp_path: Path) -> None:
        """A video without colour has a matte as well."""
        path = tmp_path / "gray.mkv"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
            for number in range(3):
                values = np.full((48, 64), 90, np.uint8)
                frame = av.VideoFrame.from_ndarray(values, "gray")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        assert extract_matte(path, tmp_path / "out.mkv").frames == 3
        assert extract_matte(tmp_path / "out.mkv", tmp_path / "again.mkv").frames == 3

    def test_carries_no_sound(self, person: Path, tmp_path: Path, use: UseSegmenter) -> None:
        """A matte is a picture, and its file has nothing else in it."""
        use(PersonSegmenter())
        extract_matte(person, tmp_path / "out.mkv")
        with av.open(str(tmp_path / "out.mkv")) as container:
            assert [stream.type for stream in container.streams] == ["video"]

    @pytest.mark.parametrize("fault", Fault)
    def test_cover_of_a_matte_is_black(
        self, person: Path, tmp_path: Path, use: UseSegmenter, fault: Fault
    ) -> None:
        """Where there is no valid matte there is nobody in it."""
        segmenter = FaultySegmenter(dict.fromkeys(range(6), fault))
        use(segmenter)
        timeout_s = 0.1 if fault is Fault.HANG else 10
        try:
            summary = extract_matte(
                person, tmp_path / "out.mkv", on_failure="cover", timeout_s=timeout_s
            )
        finally:
            segmenter.released.set()
        assert summary.covered == 6
        with av.open(str(tmp_path / "out.mkv")) as container:
            assert [one.to_ndarray().max() for one in container.decode(video=0)] == [0] * 6
