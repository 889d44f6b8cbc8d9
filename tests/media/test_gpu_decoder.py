"""Decoding on a GPU: whatever it does, the pictures, times and errors are the processor's."""

from __future__ import annotations

import logging
from fractions import Fraction
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
import pytest
from gpu_decoding import FakeWay

from greenroom.cuda import CupyDevice
from greenroom.media.decoded_frames import flattened
from greenroom.media.decoders import Decoder
from greenroom.media.gpu_contexts import WAYS, GpuError
from greenroom.media.gpu_decoder import GpuDecoder
from greenroom.media.kept_packets import KeptPackets
from greenroom.media.surface_frame import SurfaceFrame, downloaded, surface_format

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpu_decoding import Change

    from greenroom.media.gpu_contexts import Way

FRAMES: Final = 72
SIZE: Final = 96, 64
STREAMS: Final = {
    "usual.mp4": {},
    "long groups.mkv": {"g": "600"},
    "open groups.ts": {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:scenecut=0"},
    "short groups.mp4": {"g": "2"},
    "key frames only.mkv": {"g": "1"},
    "many references.mp4": {"x264-params": "bframes=8:b-pyramid=normal:ref=6:keyint=20"},
}
# A picture, as it is compared: its time, and the sum of its samples by place.
Seen = tuple[int | None, int | None, bytes]


def video(
    path: Path,
    options: dict[str, str],
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
) -> Path:
    """Write pictures that all differ, at a rate that varies."""
    rng = np.random.default_rng(1)
    still = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.time_base = Fraction(1, 100)
        for number in range(FRAMES):
            shifted = np.roll(still, (number, 2 * number), (0, 1))
            frame = av.VideoFrame.from_ndarray(shifted, "rgb24")
            frame.pts, frame.time_base = 100 + 4 * number + number % 3, Fraction(1, 100)
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode(None))
    return path


def decoded(
    path: Path, make: Callable[[Any], Decoder], *, again: bool = False
) -> tuple[list[Seen], list[str]]:
    """Decode a file; return its pictures, and their formats, which tell who decoded them."""
    seen: list[Seen] = []
    formats: list[str] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = make(stream)
        for _ in range(2 if again else 1):
            seen.clear()
            formats.clear()
            for packet in container.demux(stream):
                for picture in decoder.decode(packet):
                    planes = flattened(picture, "yuv420p").planes
                    samples = b"".join(plane.tobytes() for plane in planes)
                    seen.append((picture.pts, picture.duration, samples))
                    formats.append(picture.format.name)
            container.seek(0)
            decoder.restart()
    return seen, formats


def with_gpu(change: Change | None = None) -> Callable[[Any], Decoder]:
    """Return what makes a decoder with a GPU."""
    way = FakeWay("fake", (), stays=False, change=change)
    return lambda stream: GpuDecoder(stream, None, "a file", [way])


def fails(at: int) -> Change:
    """Fail from a packet on."""

    def change(number: int, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
        if number >= at:
            raise av.error.ExternalError(542398533, "the GPU is lost")
        return pictures

    return change


def loses_times(at: int) -> Change:
    """Give pictures without a time from a packet on."""

    def change(number: int, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
        for picture in pictures if number >= at else ():
            picture.pts = None
        return pictures

    return change


def doubles(at: int) -> Change:
    """Give the last picture before a packet once more."""
    last: list[av.VideoFrame] = []

    def change(number: int, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
        if number >= at:
            return [*last, *pictures]
        last[:] = pictures[-1:] or last
        return pictures

    return change


FAULTS: Final = fails, loses_times, doubles


@pytest.mark.parametrize("name", STREAMS)
class TestEveryStream:
    """What holds for streams of all kinds."""

    @pytest.fixture
    def path(self, name: str, tmp_path: Path) -> Path:
        """Return the stream as a file."""
        return video(tmp_path / name, STREAMS[name])

    def test_gpu_decodes_after_a_comparison(self, path: Path) -> None:
        """The first pictures are the processor's, all others the GPU's, and all are equal."""
        expected, _ = decoded(path, Decoder)
        found, formats = decoded(path, with_gpu())
        assert found == expected
        assert len(found) == FRAMES
        first = formats.index("nv12")
        assert set(formats[:first]) == {"yuv420p"}
        assert set(formats[first:]) == {"nv12"}
        assert first <= FRAMES // 2

    def test_processor_goes_on_wherever_the_gpu_fails(self, path: Path) -> None:
        """No picture is lost or doubled, and none of the GPU's comes later."""
        expected, _ = decoded(path, Decoder)
        for at, fault in zip(range(FRAMES // 2, FRAMES + 2, 5), cycle(FAULTS), strict=False):
            found, formats = decoded(path, with_gpu(fault(at)))
            assert [one[:2] for one in found] == [one[:2] for one in expected]
            assert found == expected
            if "nv12" in formats:
                last = len(formats) - formats[::-1].index("nv12")
                assert set(formats[last:]) <= {"yuv420p"}

    def test_is_decoded_again_from_the_start(self, path: Path) -> None:
        """After a seek to the start the GPU gives all pictures again."""
        expected, _ = decoded(path, Decoder)
        found, formats = decoded(path, with_gpu(), again=True)
        assert found == expected
        assert set(formats) == {"nv12"}


def test_ten_bits(tmp_path: Path) -> None:
    """Pictures of ten bits are the GPU's, in the format that the processor decodes."""
    path = video(tmp_path / "deep.mkv", {}, "yuv420p10le")
    expected, _ = decoded(path, Decoder)
    gave: list[str] = []

    def seen(_number: int, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
        gave.extend(picture.format.name for picture in pictures)
        return pictures

    found, formats = decoded(path, with_gpu(seen))
    assert gave == ["p010le"] * FRAMES
    assert set(formats) == {"yuv420p10le"}
    assert found == expected


def brighter(_number: int, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
    """Change one sample of every picture by a level."""
    for picture in pictures:
        plane: Any = picture.planes[1]
        np.frombuffer(plane, np.uint8)[7] ^= 1
    return pictures


def later(_number: int, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
    """Change every time."""
    for picture in pictures:
        picture.pts = (picture.pts or 0) + 1
    return pictures


def test_ways_are_tried_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that cannot be opened or gives other pictures is left for the next; the log says why."""
    path = video(tmp_path / "video.mp4", {})
    ways = [
        FakeWay("first", (), stays=False, reason="errno 95"),
        FakeWay("second", (), stays=False, change=brighter),
        FakeWay("third", (), stays=False, change=later),
        FakeWay("fourth", (), stays=False),
    ]
    expected, _ = decoded(path, Decoder)
    with caplog.at_level(logging.INFO, logger="greenroom"):
        found, formats = decoded(path, lambda stream: GpuDecoder(stream, None, "a file", ways))
    assert found == expected
    assert "nv12" in formats
    said = caplog.text
    for part in ("decoded by the GPU", "first: errno 95", "second: its pictures differ by 1"):
        assert part in said
    assert "third: its pictures have other times" in said
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="greenroom"):
        found, formats = decoded(path, lambda stream: GpuDecoder(stream, None, "a file", ways[:3]))
    assert found == expected
    assert "nv12" not in formats
    assert "decoded by the processor: first: errno 95; second: " in caplog.text


def test_a_stream_that_is_only_opened_needs_no_gpu(tmp_path: Path) -> None:
    """Nothing is opened on the GPU before somebody wants the second picture."""
    opened = []

    class Counted(FakeWay):
        def open(self, stream: Any) -> Any:
            opened.append(stream)
            return super().open(stream)

    path = video(tmp_path / "video.mp4", {})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = GpuDecoder(stream, None, "a file", [Counted("counted", (), stays=False)])
        packets = container.demux(stream)
        while not decoder.decode(next(packets)):
            assert not opened
        assert not opened
        decoder.decode(next(packets))
    assert len(opened) == 1


def test_without_a_gpu_the_processor_decodes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """FFmpeg's real decoders of NVIDIA's are tried, and the log has a reason for each way."""
    path = video(tmp_path / "video.mp4", {})
    with av.open(str(path)) as container:
        for way in WAYS:
            try:
                way.open(container.streams.video[0])
            except GpuError:
                continue
            pytest.skip("this machine has an NVIDIA GPU")
    expected, _ = decoded(path, Decoder)
    with caplog.at_level(logging.INFO, logger="greenroom"):
        found, _ = decoded(path, lambda stream: GpuDecoder(stream, None, "a file", WAYS))
    assert found == expected
    for way in WAYS:
        assert f"{way.name}: " in caplog.text


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_on_a_gpu(way: Way, pixel_format: str, tmp_path: Path) -> None:
    """Where there is a GPU, it decodes, and its pictures are the processor's, where they are."""
    small = video(tmp_path / "small.mkv", {"preset": "ultrafast"})
    with av.open(str(small)) as container:
        try:
            way.open(container.streams.video[0])
        except GpuError as error:
            pytest.skip(str(error))
    codec = "libx264" if pixel_format == "yuv420p" else "libx265"
    path = video(tmp_path / "video.mkv", {}, pixel_format, (320, 240), codec)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = GpuDecoder(stream, None, "a file", [way])
        pictures = [one for packet in container.demux(stream) for one in decoder.decode(packet)]
    assert decoder.places == "cuda"
    assert (surface_format(pictures[-1]) is not None) is way.stays
    device = CupyDevice() if way.stays else None
    expected, _ = decoded(path, Decoder)
    for picture, (pts, _, samples) in zip(pictures, expected, strict=True):
        assert picture.pts == pts
        if device is None or surface_format(picture) is None:
            planes = flattened(downloaded(picture), "yuv420p").planes
        else:
            planes = SurfaceFrame.of(picture).uploaded(device).downloaded().planes
        found = np.concatenate([plane.ravel() for plane in planes])
        np.testing.assert_array_equal(found, np.frombuffer(samples, np.uint8))


@pytest.mark.parametrize(
    ("codec", "pixel_format", "reason"),
    [
        ("libx264", "yuv444p", "decodes no yuv444p"),
        ("mpeg4", "yuv420p", "mpeg4 is not a codec"),
        ("ffv1", "yuv420p", "ffv1 is not a codec"),
    ],
)
def test_streams_that_are_not_for_the_gpu(
    codec: str,
    pixel_format: str,
    reason: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A codec or format that GPUs do not decode to the same samples is the processor's."""
    path = tmp_path / "video.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixel_format
        for number in range(8):
            frame = av.VideoFrame(*SIZE, pixel_format)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with caplog.at_level(logging.INFO, logger="greenroom"):
        found, formats = decoded(path, with_gpu())
    assert len(found) == 8
    assert set(formats) == {pixel_format}
    assert reason in caplog.text


class TestKeptPackets:
    """What can be decoded again."""

    def packet(self, size: int = 10, *, key: bool = False) -> Any:
        """Make a packet."""
        packet = av.Packet(size)
        packet.is_keyframe = key
        return packet

    def test_two_groups_are_kept(self) -> None:
        """Older groups go, with the times of their pictures, once enough packets follow."""
        kept = KeptPackets()
        for number in range(1000):
            kept.add(self.packet(key=number % 50 == 0))
            kept.gave(number)
            assert len(kept) <= 150
        assert next(iter(kept)).is_keyframe  # type: ignore[union-attr]
        assert kept.has_given(999)
        assert kept.has_given(900)
        assert not kept.has_given(899)

    def test_groups_without_an_end_fill_it(self) -> None:
        """Too many packets, or too large ones, are more than is kept."""
        kept = KeptPackets()
        for _ in range(1500):
            kept.add(self.packet())
        assert not kept.is_full
        kept.add(None)
        assert len(kept) == 1501
        large = KeptPackets()
        for _ in range(9):
            large.add(self.packet(1 << 25))
        assert [kept.is_full, large.is_full] == [True, True]
        large.clear()
        assert not large.is_full
