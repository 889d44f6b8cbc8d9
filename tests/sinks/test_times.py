"""Times in what is written: they begin at 0, sound stays with the picture, the end stays."""

from __future__ import annotations

import contextlib
import io
import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from rewriting import again

from greenroom.errors import SourceError, TruncatedError
from greenroom.media.frame import fraction
from greenroom.settings import Settings
from greenroom.sources import create_source
from greenroom.sources.movie_header import movie_length_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

RATE = 24
SAMPLE_RATE = 48000
CLOCK = Fraction(1, 90000)
WRAP_S = 2**33 / 90000
SIZE = (64, 48)
FRAMES = 24
FLASH = 12
# The containers count milliseconds; sound is heard to the sample within them.
TICK_S = 0.0021
# Nothing is moved to 0, and times are written as they are given.
AS_GIVEN = {"avoid_negative_ts": "disabled"}
IN_TS = AS_GIVEN | {"mpegts_copyts": "1"}


def gray(value: int) -> av.VideoFrame:
    """Make a picture of one gray."""
    picture = np.full((SIZE[1], SIZE[0], 3), value, np.uint8)
    return av.VideoFrame.from_ndarray(picture, "rgb24").reformat(threads=1, format="yuv420p")


def pictures(
    container: Any,
    times: Sequence[int],
    time_base: Fraction,
    *,
    codec: str = "libx264",
    last: int = 0,
    options: dict[str, str] | None = None,
) -> tuple[Any, list[Any]]:
    """Encode gray pictures of which one is white; packets of a last length if it is given."""
    stream = container.add_stream(codec, rate=RATE, options=options or {})
    stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
    stream.codec_context.time_base = time_base
    stream.codec_context.flags |= av.codec.context.Flags.frame_duration
    packets = []
    for number, time in enumerate(times):
        frame = gray(255 if number == FLASH else 20)
        frame.pts, frame.time_base = time, time_base
        following = times[number + 1] if number + 1 < len(times) else time + last
        frame.duration = following - time
        packets += stream.encode(frame)
    return stream, packets + stream.encode(None)


def clicking(
    path: Path, start_s: float, sound_s: float | None = None, **values: dict[str, str]
) -> Path:
    """Write a second in which a picture flashes when the sound clicks."""
    is_ts = path.suffix == ".ts"
    begin_s = start_s if sound_s is None else sound_s
    options = values.get("container", IN_TS if is_ts else AS_GIVEN)
    with av.open(str(path), "w", format="mpegts" if is_ts else None, options=options) as container:
        times = [round((start_s + number / RATE) / CLOCK) for number in range(FRAMES)]
        _, packets = pictures(container, times, CLOCK, options=values.get("codec"))
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        samples = np.zeros(SAMPLE_RATE + 1024, np.float32)
        click = round((start_s + FLASH / RATE - begin_s) * SAMPLE_RATE)
        samples[click : click + 240] = 0.9
        for place in range(0, SAMPLE_RATE, 1024):
            part = av.AudioFrame.from_ndarray(
                np.tile(samples[place : place + 1024], (2, 1)), "fltp", "stereo"
            )
            part.rate, part.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
            part.pts = place + round(begin_s * SAMPLE_RATE)
            packets += sound.encode(part)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            container.mux(packet)
    return path


def shown_s(path: Path) -> list[float]:
    """Decode every picture, and say when it is shown."""
    with av.open(str(path)) as container:
        return [frame.time or 0.0 for frame in container.decode(video=0)]


def flash_and_clicks(path: Path) -> tuple[list[float], list[float]]:
    """Say when pictures are white, and when the sound begins to be loud."""
    with av.open(str(path)) as container:
        flashes = [
            frame.time or 0.0
            for frame in container.decode(video=0)
            if frame.to_ndarray(format="gray").mean() > 128
        ]
    clicks = []
    with av.open(str(path)) as container:
        for part in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(part.to_ndarray()).max(axis=0) > 0.3)
            if len(loud):
                clicks.append((part.time or 0.0) + loud[0] / part.sample_rate)
    heard = np.array(clicks)
    return flashes, list(heard[np.diff(heard, prepend=-np.inf) > 0.1])


def length_s(path: Path) -> float:
    """Return how long the pictures of a file last, as its header says."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.duration:
            return float(stream.duration * fraction(stream.time_base))
        return (container.duration or 0) / 1e6


class TestStart:
    """Recordings that begin at any time."""

    @pytest.mark.parametrize("target", ["mp4", "mov", "mkv"])
    @pytest.mark.parametrize(
        ("name", "start_s", "sound_s"),
        [
            ("hour.ts", 3600, None),
            ("wrap.ts", WRAP_S - 0.5, None),
            ("negative.ts", -10, None),
            ("sound first.ts", 3600, 3599.5),
            ("picture first.ts", WRAP_S - 0.2, WRAP_S + 0.1),
            ("hour.mkv", 3600, None),
            ("late.mkv", 5, 4.8),
            ("zero.mkv", 0, None),
        ],
    )
    def test_all_pictures_are_there_with_their_sound(
        self, tmp_path: Path, name: str, start_s: float, sound_s: float | None, target: str
    ) -> None:
        """Times begin at 0, every picture decodes, and the flash keeps its click."""
        before = clicking(tmp_path / name, start_s, sound_s)
        after = again(before, tmp_path / f"out.{target}")
        times_s = shown_s(after)
        assert len(times_s) == FRAMES
        lead_s = 0 if sound_s is None else max(0, start_s - sound_s)
        assert lead_s - TICK_S <= times_s[0] < lead_s + 0.05
        (given_flash_s,), (given_click_s,) = flash_and_clicks(before)
        (flash_s,), (click_s,) = flash_and_clicks(after)
        assert click_s - flash_s == pytest.approx(given_click_s - given_flash_s, abs=TICK_S)

    @pytest.mark.parametrize("target", ["mp4", "webm"])
    def test_pictures_alone(self, tmp_path: Path, target: str) -> None:
        """Without sound the first picture is at 0."""
        before = tmp_path / "in.ts"
        with av.open(str(before), "w", format="mpegts", options=IN_TS) as container:
            times = [round((WRAP_S - 0.5) / CLOCK) + 3750 * number for number in range(FRAMES)]
            container.mux(pictures(container, times, CLOCK)[1])
        times_s = shown_s(again(before, tmp_path / f"out.{target}"))
        np.testing.assert_allclose(times_s, np.arange(FRAMES) / RATE, atol=TICK_S)

    def test_chapters_and_subtitles_move_along(self, tmp_path: Path) -> None:
        """They stay where they were, seen from the pictures; what is over before these is not."""
        before = tmp_path / "in.mkv"
        with av.open(str(before), "w", options=AS_GIVEN) as container:
            container.set_chapters(
                [
                    {
                        "id": number + 1,
                        "start": start,
                        "end": start + 400,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": f"part {number}"},
                    }
                    for number, start in enumerate((99_000, 99_800, 100_200))
                ]
            )
            times = [9_000_000 + 3750 * number for number in range(FRAMES)]
            _, packets = pictures(container, times, CLOCK)
            text: Any = container.add_mux_stream("subrip")
            for start, length in ((98_000, 500), (99_900, 300), (100_500, 200)):
                line = av.Packet(b"line")
                line.stream, line.time_base = text, Fraction(1, 1000)
                line.pts = line.dts = start
                line.duration = length
                packets.append(line)
            for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
                container.mux(packet)
        with av.open(str(again(before, tmp_path / "out.mkv"))) as container:
            chapters = [
                (one["metadata"]["title"], float(one["start"] * fraction(one["time_base"])))
                for one in container.chapters()
            ]
            lines = [
                (float(one.pts * one.time_base), float(one.duration * one.time_base))
                for one in container.demux(subtitles=0)
                if one.size and one.pts is not None and one.duration is not None
            ]
        assert chapters == [("part 1", 0), ("part 2", 0.2)]
        np.testing.assert_allclose(lines, [(0, 0.2), (0.5, 0.2)], atol=TICK_S)

    def test_clock_that_wraps_again(self, tmp_path: Path) -> None:
        """A recording of two days has its 33-bit clock wrap more than once."""
        before = tmp_path / "in.ts"
        step = 3500 * 90_000
        with av.open(str(before), "w", format="mpegts", options=IN_TS) as container:
            times = [20 * 3600 * 90_000 + step * number for number in range(60)]
            options = {"bf": "0", "g": "1"}
            container.mux(pictures(container, times, CLOCK, options=options)[1])
        source = create_source(before, Settings())
        assert [round((frame.pts or 0) / step, 3) for frame in source] == list(range(60))

    def test_joined_recordings(self, tmp_path: Path) -> None:
        """Where the clock goes back, time goes on: for the sound as for the pictures."""
        parts = [clicking(tmp_path / f"{start}.ts", start) for start in (3600, 10)]
        before = tmp_path / "in.ts"
        before.write_bytes(b"".join(part.read_bytes() for part in parts))
        after = again(before, tmp_path / "out.mp4", allow_truncated=True)
        assert len(shown_s(after)) == 2 * FRAMES
        flashes_s, clicks_s = flash_and_clicks(after)
        assert 1.0 < flashes_s[1] - flashes_s[0] < 1.2
        np.testing.assert_allclose(clicks_s, flashes_s, atol=0.025)

    def test_beginning_in_mid_broadcast(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Pictures before the first that needs no other are left out, and that is said."""
        whole = clicking(tmp_path / "whole.ts", 100, codec={"g": "6", "bf": "0"})
        before = tmp_path / "in.ts"
        before.write_bytes(whole.read_bytes()[188 * 20 :])
        with caplog.at_level(logging.WARNING, "greenroom"):
            after = again(before, tmp_path / "out.mp4")
        assert "in the middle of a broadcast" in caplog.text
        assert FRAMES - 12 <= len(shown_s(after)) < FRAMES
        (flash_s,), (click_s,) = flash_and_clicks(after)
        assert click_s == pytest.approx(flash_s, abs=TICK_S)

    def test_sound_of_another_program(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Sound by a clock that is hours away is left out, and hours of nothing are not written."""
        before = clicking(tmp_path / "in.ts", 5 * 3600, 0)
        with caplog.at_level(logging.WARNING, "greenroom"):
            after = again(before, tmp_path / "out.mp4")
        assert "it belongs to another program" in caplog.text
        np.testing.assert_allclose(shown_s(after), np.arange(FRAMES) / RATE, atol=TICK_S)

    @pytest.mark.parametrize("b_frames", ["0", "3"])
    def test_file_without_times_of_showing(self, tmp_path: Path, b_frames: str) -> None:
        """AVI counts pictures as they are decoded: they come evenly, in time with the sound."""
        before = tmp_path / "in.avi"
        with av.open(str(before), "w") as container:
            times = list(range(FRAMES))
            options = {"bf": b_frames}
            _, packets = pictures(container, times, Fraction(1, RATE), options=options)
            for packet in packets:
                container.mux(packet)
        after = again(before, tmp_path / "out.mp4")
        np.testing.assert_allclose(shown_s(after), np.arange(FRAMES) / RATE, atol=TICK_S)
        assert length_s(after) == pytest.approx(FRAMES / RATE, abs=TICK_S)

    def test_standard_input(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What comes through a pipe begins at 0, too."""
        with clicking(tmp_path / "in.ts", WRAP_S - 0.5).open("rb") as file:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
            times_s = [frame.time_s or 0.0 for frame in create_source("-", Settings())]
        np.testing.assert_allclose(times_s, np.arange(FRAMES) / RATE, atol=TICK_S)


SCREEN = ((0, 100, 250, 300, 700, 720, 800), 30_000)
SHORT = ((*range(0, 3000, 100), 3040), 40)


class TestEnd:
    """How long the last picture is shown."""

    def recorded(self, path: Path, times: Iterable[int], last: int, *, b_frames: str = "0") -> Path:
        """Write pictures at times in milliseconds, the last one for so long."""
        codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
        with av.open(str(path), "w") as container:
            _, packets = pictures(
                container,
                list(times),
                Fraction(1, 1000),
                codec=codec,
                last=last,
                options={"bf": b_frames} if codec == "libx264" else {},
            )
            container.mux(packets)
        return path

    @pytest.mark.parametrize(
        ("target", "codec"),
        [
            ("mp4", "h264"),
            ("mp4", "hevc"),
            ("mp4", "av1"),
            ("mp4", "vp9"),
            ("mov", "h264"),
            ("mov", "prores"),
            ("mkv", "h264"),
            ("mkv", "hevc"),
            ("mkv", "ffv1"),
            ("webm", "vp9"),
            ("webm", "av1"),
        ],
    )
    @pytest.mark.parametrize(("times", "last"), [SCREEN, SHORT], ids=["screen", "short"])
    def test_is_kept_by_every_codec(
        self, tmp_path: Path, target: str, codec: str, times: tuple[int, ...], last: int
    ) -> None:
        """A last picture of half a minute stays so long, and a short one becomes no longer."""
        before = self.recorded(tmp_path / "in.mkv", times, last)
        after = again(before, tmp_path / f"out.{target}", codec=codec)
        assert length_s(after) == pytest.approx((times[-1] + last) / 1000, abs=TICK_S)
        np.testing.assert_allclose(shown_s(after), np.array(times) / 1000, atol=TICK_S)

    @pytest.mark.parametrize("source", ["mp4", "mov", "mkv", "webm"])
    @pytest.mark.parametrize(("times", "last"), [SCREEN, SHORT], ids=["screen", "short"])
    def test_is_kept_of_every_container(
        self, tmp_path: Path, source: str, times: tuple[int, ...], last: int
    ) -> None:
        """It is so whatever is read, and again when what was written is."""
        path = self.recorded(tmp_path / f"in.{source}", times, last)
        for target in ("out.mp4", "out.mkv"):
            path = again(path, tmp_path / target)
            assert length_s(path) == pytest.approx((times[-1] + last) / 1000, abs=TICK_S)

    @pytest.mark.parametrize("source", ["mp4", "mov"])
    @pytest.mark.parametrize("target", ["mp4", "mkv"])
    @pytest.mark.parametrize(
        ("times", "last"), [SCREEN, SHORT, ((0, 100, 800), 30000)], ids=["screen", "short", "few"]
    )
    def test_is_kept_where_another_picture_is_decoded_last(
        self, tmp_path: Path, source: str, target: str, times: tuple[int, ...], last: int
    ) -> None:
        """In MP4 only the header of the movie says it, then."""
        before = self.recorded(tmp_path / f"in.{source}", times, last, b_frames="2")
        after = again(before, tmp_path / f"out.{target}")
        assert length_s(after) == pytest.approx((times[-1] + last) / 1000, abs=TICK_S)

    @pytest.mark.parametrize("codec", ["h264", "hevc"])
    @pytest.mark.parametrize("target", ["mp4", "mov"])
    @pytest.mark.parametrize(
        ("times", "last"),
        [
            SCREEN,
            SHORT,
            ((0, 100, 800), 30000),
            ((*range(0, 2800, 40), 2900), 180),
            ((*range(0, 500, 40), *range(520, 2000, 120)), 40),
            ((0,), 700),
        ],
        ids=["screen", "short", "few", "late", "slower", "one"],
    )
    def test_header_and_tables_say_the_same(
        self, tmp_path: Path, target: str, codec: str, times: tuple[int, ...], last: int
    ) -> None:
        """Some players go by the header of the movie, others by the tables of its tracks."""
        before = self.recorded(tmp_path / "in.mkv", times, last)
        after = again(before, tmp_path / f"out.{target}", codec=codec)
        expected_s = pytest.approx((times[-1] + last) / 1000, abs=TICK_S)
        assert length_s(after) == expected_s
        assert float(movie_length_s(after) or 0) == expected_s
        np.testing.assert_allclose(shown_s(after), np.array(times) / 1000, atol=TICK_S)

    @pytest.mark.parametrize("place", range(4, 40, 4))
    @pytest.mark.parametrize("value", [b"\0\0\0\0", b"\0\0\0\1", b"\xff\xff\xff\xff"])
    def test_header_of_the_movie_that_is_damaged(
        self, tmp_path: Path, place: int, value: bytes
    ) -> None:
        """Whatever is in it, the file is read to its end or refused as one that cannot be read."""
        path = self.recorded(tmp_path / "in.mp4", (0, 100, 200), 100, b_frames="2")
        data = bytearray(path.read_bytes())
        where = data.index(b"mvhd") - 12 + place
        data[where : where + 4] = value
        path.write_bytes(data)
        with contextlib.suppress(SourceError):
            frames = list(create_source(path, Settings()))
            assert len(frames) == 3
            assert (frames[-1].duration or 0) * fraction(frames[-1].time_base or 0) < 2 * 86_400

    def test_sound_that_goes_on_is_no_length_of_the_picture(self, tmp_path: Path) -> None:
        """The movie ends with its sound; the last picture is as long as the others."""
        path = clicking(tmp_path / "in.mp4", 0, sound_s=0.5)
        *_, last = create_source(path, Settings())
        assert last.duration is not None
        assert last.duration * fraction(last.time_base or 0) == pytest.approx(1 / RATE, abs=TICK_S)

    def test_rounded_by_the_container(self, tmp_path: Path) -> None:
        """At a constant rate the last picture is as long as the others, to the container's tick."""
        before = clicking(tmp_path / "in.mkv", 0)
        *_, last = create_source(before, Settings())
        assert last.duration == 42

    def test_windows_media_says_the_length_of_the_whole(self, tmp_path: Path) -> None:
        """Sound that is longer than the pictures does not make a file look cut off; a cut does."""
        path = tmp_path / "in.wmv"
        with av.open(str(path), "w") as container:
            times = [round(1000 * number / RATE) for number in range(FRAMES)]
            _, packets = pictures(container, times, Fraction(1, 1000), codec="wmv2")
            sound: Any = container.add_stream("wmav2", rate=SAMPLE_RATE, layout="stereo")
            sound.bit_rate = 128_000
            sound.codec_context.open()
            size = sound.codec_context.frame_size
            for place in range(0, 3 * SAMPLE_RATE // 2, size):
                part = av.AudioFrame.from_ndarray(np.zeros((2, size), np.float32), "fltp", "stereo")
                part.rate, part.pts = SAMPLE_RATE, place
                part.time_base = Fraction(1, SAMPLE_RATE)
                packets += sound.encode(part)
            packets += sound.encode(None)
            for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
                container.mux(packet)
        assert len(list(create_source(path, Settings()))) == FRAMES
        data = path.read_bytes()
        for share in (0.5, 0.97):
            path.write_bytes(data[: int(share * len(data))])
            with pytest.raises(TruncatedError):
                list(create_source(path, Settings()))
