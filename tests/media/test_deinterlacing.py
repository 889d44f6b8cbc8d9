"""Interlaced video has no combs, and everything else stays as it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from greenroom.backgrounds import check_background, create_background
from greenroom.live.sources import create_live_source
from greenroom.media.deinterlacing import Deinterlacer
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.matte import Matte
from greenroom.settings import Settings
from greenroom.sources import check_source, create_source

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT, FRAMES = 160, 96, 8
FIELDS = {"t": (0, 1), "b": (1, 0), "p": (0, 0)}  # when each field was taken, in halves of a frame


def y4m(path: Path, order: str) -> Path:
    """Write a bright bar that moves by 4 pixels from field to field, as Y4M."""
    data = [f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 I{order} A1:1 C420mpeg2\n".encode()]
    for number in range(FRAMES):
        luma = np.full((HEIGHT, WIDTH), 40, np.uint8)
        for field, later in enumerate(FIELDS[order]):
            left = 20 + 4 * (2 * number + later)
            luma[field::2, left : left + 40] = 200
        data.append(b"FRAME\n" + luma.tobytes() + bytes([128]) * (WIDTH * HEIGHT // 2))
    path.write_bytes(b"".join(data))
    return path


def comb(luma: NDArray[np.uint8]) -> float:
    """Return the mean difference between a row and those above and below."""
    rows = luma.astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


def pictures(path: Path) -> list[av.VideoFrame]:
    """Decode a file by PyAV alone."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("order", ["t", "b"])
def test_what_moves_has_no_combs(
    tmp_path: Path, order: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each frame shows one field's moment, the first by the field order, at its own time."""
    path = y4m(tmp_path / "moving.y4m", order)
    with caplog.at_level(logging.WARNING):
        check_source(path, Settings())  # which reads no frames
        frames = list(create_source(path, Settings()))
    assert [frame.pts for frame in frames] == list(range(FRAMES))
    for number, frame in enumerate(frames):
        assert comb(frame.planes[0]) < 0.5
        bar = np.flatnonzero(frame.planes[0][HEIGHT // 2] > 120)
        assert abs(bar[0] - (20 + 8 * number)) <= 2  # not 4 later, as the other field
    assert caplog.text.count("is interlaced") == 1


def test_interlaced_background_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A background that is opened to be checked says nothing; one that is shown does, once."""
    path = y4m(tmp_path / "behind.y4m", "t")
    layout = Layout(WIDTH, HEIGHT, "yuv420p")
    with caplog.at_level(logging.WARNING):
        check_background(Settings(background=str(path)))
        assert "is interlaced" not in caplog.text
        background = create_background(Settings(background=str(path)))
        frame, matte = Frame.filled(layout, (0, 0, 0)), Matte(np.zeros((HEIGHT, WIDTH), np.uint8))
        for number in range(3 * FRAMES):
            background.render(frame, matte, number / 25)
    assert caplog.text.count("is interlaced") == 1


def test_interlaced_video_is_kept_if_asked_for(tmp_path: Path) -> None:
    """With the setting, fields are left as they are."""
    path = y4m(tmp_path / "moving.y4m", "t")
    frames = list(create_source(path, Settings(keep_interlaced=True)))
    for frame, picture in zip(frames, pictures(path), strict=True):
        assert comb(frame.planes[0]) > 5
        np.testing.assert_array_equal(frame.planes[0], picture.to_ndarray()[:HEIGHT])


def test_progressive_pictures_are_not_touched(tmp_path: Path) -> None:
    """They are given back themselves, each at once."""
    deinterlacer = Deinterlacer(lambda: None)
    for picture in pictures(y4m(tmp_path / "moving.y4m", "p")):
        (ready,) = deinterlacer.push(picture)
        assert ready is picture
    assert deinterlacer.finish() == []


def test_progressive_pictures_among_interlaced_ones(tmp_path: Path) -> None:
    """In a stream of both, they have the same samples, in their order."""
    mixed = pictures(y4m(tmp_path / "t.y4m", "t"))[:4]
    mixed += pictures(y4m(tmp_path / "p.y4m", "p"))[4:]
    deinterlacer = Deinterlacer(lambda: None)
    ready = [shown for picture in mixed for shown in deinterlacer.push(picture)]
    ready += deinterlacer.finish()
    assert [picture.pts for picture in ready] == list(range(FRAMES))
    for shown, picture in zip(ready[4:], mixed[4:], strict=True):
        np.testing.assert_array_equal(shown.to_ndarray(), picture.to_ndarray())


def test_a_change_of_size_loses_nothing(tmp_path: Path) -> None:
    """What is held of the old size comes out before the new one."""
    first = pictures(y4m(tmp_path / "t.y4m", "t"))
    second = [picture.reformat(width=64, height=48) for picture in first]
    deinterlacer = Deinterlacer(lambda: None)
    ready = [shown for picture in first + second for shown in deinterlacer.push(picture)]
    ready += deinterlacer.finish()
    assert [picture.width for picture in ready] == FRAMES * [WIDTH] + FRAMES * [64]


def test_backgrounds_and_played_files_have_no_combs(tmp_path: Path) -> None:
    """Where a file is shown rather than converted, it is the same."""
    path = y4m(tmp_path / "moving.y4m", "t")
    (frame, *_) = create_source(path, Settings())
    background = create_background(Settings(background=str(path), fit="stretch"))
    assert comb(background.cover(frame.layout, 0.0).planes[0]) < 0.5
    background.close()
    played = list(create_live_source(Settings(source=str(path))))
    assert len(played) == FRAMES
    assert max(comb(frame.planes[0]) for frame in played) < 0.5


def test_a_played_file_begins_again(tmp_path: Path) -> None:
    """A loop gives every frame each time, and what was held is not mixed into the next."""
    source = create_source(y4m(tmp_path / "moving.y4m", "t"), Settings())
    first = [frame.planes[0].copy() for frame in source]
    assert getattr(source, "rewind")()  # noqa: B009 - not of every source
    for before, after in zip(first, source, strict=True):
        np.testing.assert_array_equal(before, after.planes[0])
    source.close()


@pytest.mark.parametrize("default", [0, 1])
def test_the_default_one_of_several_videos_is_taken(
    tmp_path: Path, default: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A film says which of its videos is meant, and which was taken is said."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as target:
        streams = [target.add_stream("ffv1", rate=25) for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
            if number == default:
                stream.disposition = av.stream.Disposition.default
            else:
                stream.disposition = av.stream.Disposition(0)
        for number, stream in enumerate(streams):
            samples = np.full((48, 64), 100 + 100 * number, np.uint8)
            picture = av.VideoFrame.from_ndarray(samples, "gray")
            picture.pts = 0
            target.mux([*stream.encode(picture), *stream.encode(None)])
    with caplog.at_level(logging.WARNING):
        (frame,) = create_source(path, Settings())
    assert frame.to_rgb().mean() == pytest.approx(100 + 100 * default, abs=2)
    assert f"it has 2 videos in it: number {default + 1} is taken" in caplog.text
