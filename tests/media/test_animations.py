"""Pictures that move, as input and as background, at the times at which browsers show them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
import pytest
from PIL import Image

from greenroom.backgrounds import Scene, create_background
from greenroom.errors import GreenroomError
from greenroom.files.convert import convert
from greenroom.media.animation import count_frames
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.media.frame import Frame

COLOURS: Final = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
LENGTHS_MS: Final = (200, 50, 300)
KINDS: Final = ("webp", "png", "avif", "gif")


def animation(path: Path, lengths_ms: tuple[int, ...] = LENGTHS_MS, **options: Any) -> Path:
    """Write pictures of one colour each, shown for so long."""
    first, *others = (Image.new("RGB", (64, 48), colour) for colour in COLOURS)
    first.save(path, save_all=True, append_images=others, duration=list(lengths_ms), **options)
    return path


def colour_of(frame: Frame) -> int:
    """Return which of the colours a frame is nearest to."""
    mean = frame.to_rgb().mean((0, 1))
    return int(np.argmin([np.abs(mean - colour).sum() for colour in COLOURS]))


def gif_with_lengths(path: Path, hundredths: int) -> Path:
    """Write a GIF that asks for so many hundredths a picture, also where Pillow would not."""
    data = bytearray(animation(path).read_bytes())
    place = 0
    for _ in COLOURS:
        place = data.index(b"\x21\xf9\x04", place) + 4
        data[place : place + 2] = hundredths.to_bytes(2, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_as_input(tmp_path: Path, kind: str) -> None:
    """Every frame comes at its time and stays as long as the file says."""
    frames = list(create_source(animation(tmp_path / f"a.{kind}"), Settings()))
    assert [colour_of(frame) for frame in frames] == [0, 1, 2]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.2, 0.25])
    lengths = [float((one.duration or 0) * (one.time_base or Fraction(0))) for one in frames]
    assert lengths == pytest.approx([0.2, 0.05, 0.3])
    assert {frame.format for frame in frames} == {"yuv420p"}


@pytest.mark.parametrize("kind", KINDS)
def test_as_background(tmp_path: Path, kind: str) -> None:
    """It moves at its own speed and begins again."""
    background = create_background(Settings(background=str(animation(tmp_path / f"a.{kind}"))))
    assert isinstance(background, Scene)
    layout = Layout(64, 48, "gbrp")
    shown = [colour_of(background.at(layout, time_s)) for time_s in (0.0, 0.1, 0.22, 0.4, 0.6)]
    assert shown == [0, 0, 1, 2, 0]
    background.close()


@pytest.mark.parametrize("hundredths", [0, 1, 2, 3])
def test_short_lengths_of_gifs(tmp_path: Path, hundredths: int) -> None:
    """What asks for less than 20 ms is shown for 100 ms, as browsers do, everywhere."""
    path = gif_with_lengths(tmp_path / "fast.gif", hundredths)
    length_s = hundredths / 100 if hundredths >= 2 else 0.1
    source = create_source(path, Settings())
    assert [frame.time_s for frame in source] == pytest.approx([0, length_s, 2 * length_s])
    assert source.info.rate == pytest.approx(1 / length_s)
    background = create_background(Settings(background=str(path)))
    assert isinstance(background, Scene)
    times_s = [place * length_s for place in (0, 1.5, 2.5, 3.5)]
    shown = [background.at(Layout(64, 48, "gbrp"), time_s) for time_s in times_s]
    assert [colour_of(frame) for frame in shown] == [0, 1, 2, 0]
    background.close()
    convert(path, tmp_path / "out.mkv", background="none")
    with av.open(str(tmp_path / "out.mkv")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0, length_s, 2 * length_s], abs=2e-3)


def test_short_lengths_of_webp(tmp_path: Path) -> None:
    """The same holds for other animations."""
    path = animation(tmp_path / "fast.webp", (10, 10, 30))
    frames = list(create_source(path, Settings()))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2])


def test_still_picture_in_front(tmp_path: Path) -> None:
    """The picture that a PNG has for readers that know no animations is not shown."""
    path = animation(tmp_path / "a.png", (50, 50), default_image=True)
    assert count_frames(path, 99) == 2
    assert [colour_of(frame) for frame in create_source(path, Settings())] == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_outputs(tmp_path: Path, kind: str) -> None:
    """It becomes a video, or numbered pictures; one picture cannot hold it, and that is said."""
    path = animation(tmp_path / f"a.{kind}")
    assert convert(path, tmp_path / "out.mp4", background="none").frames == 3
    assert convert(path, tmp_path / "out%d.png", background="none").frames == 3
    with pytest.raises(GreenroomError, match=r"more frames than the 1 picture.* give a video"):
        convert(path, tmp_path / "out.png", background="none")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("kind", ["webp", "png", "avif"])
def test_cut_off(tmp_path: Path, kind: str) -> None:
    """An animation that ends early is refused."""
    path = animation(tmp_path / f"a.{kind}")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(GreenroomError, match=r"cut off|damaged"):
        list(create_source(path, Settings()))
