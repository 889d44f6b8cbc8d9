"""Video files decoded on a GPU: the frames, times and errors of a source without one."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
import pytest
from gpu_decoding import use_fake_gpu
from host_device import HostDevice
from numpy.testing import assert_array_equal

from greenroom import VirtualBackground
from greenroom.errors import TruncatedError
from greenroom.files.pipeline import Pipeline
from greenroom.media.surface_frame import SurfaceFrame
from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.sources import VideoSource, video_source
from greenroom.testing import PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from host_device import WatchedDevice

    from greenroom.media.frame import Frame

Size = tuple[int, int]
COUNT: Final = 48


def video(path: Path, size: Size = (96, 64), *, rotation: int = 0, fields: bool = False) -> Path:
    """Write a short H.264 video with B-frames."""
    options = {"x264-params": "tff=1"} if fields else {}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if fields:
            stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        rng = np.random.default_rng(3)
        still = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.roll(still, number, 1), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            if rotation:
                frame.rotation = rotation  # type: ignore[misc]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def place_of_decoding(path: Path, **values: Any) -> str:
    """Return where a file was decoded."""
    source = VideoSource(str(path), Settings(**values))
    assert source.decoder == "cpu"
    assert sum(1 for _ in source) == COUNT
    source.close()
    return source.decoder


def frames(path: Path, **values: Any) -> list[Frame]:
    """Return the frames of a file."""
    source = VideoSource(str(path), Settings(**values))
    try:
        return list(source)
    finally:
        source.close()


def length_s(frame: Frame) -> Fraction:
    """Return how long a frame is shown."""
    return (frame.duration or 0) * (frame.time_base or Fraction(0))


def check_equal(found: Sequence[Frame], expected: Sequence[Frame]) -> None:
    """Check that frames have the same samples, layouts and times."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.layout == theirs.layout
        assert ours.time_s == theirs.time_s
        assert length_s(ours) == length_s(theirs)
        for plane, other in zip(ours.planes, theirs.planes, strict=True):
            assert_array_equal(plane, other)


@pytest.fixture
def _on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a decoder whose pictures stay in its memory."""
    use_fake_gpu(monkeypatch)
    monkeypatch.setattr(
        video_source,
        "surface_format",
        lambda picture: "nv12" if picture.format.name == "nv12" else None,
    )


def test_files_are_decoded_on_the_gpu_if_it_is_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``device`` ``cuda`` frames are equal to those of the processor, as are their times."""
    path = video(tmp_path / "video.mkv")
    expected = frames(path)
    fed: list[av.VideoFrame] = []

    def seen(_number: int, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
        fed.extend(pictures)
        return pictures

    use_fake_gpu(monkeypatch, seen)
    check_equal(frames(path, device="auto"), expected)
    assert not fed
    check_equal(frames(path, device="cuda"), expected)
    assert len(fed) == COUNT


def test_source_says_where_it_was_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was the processor, the GPU, or one after the other."""
    path = video(tmp_path / "video.mkv")

    def fail(number: int, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
        if number > COUNT - 5:
            raise av.error.ExternalError(542398533, "the GPU is lost")
        return pictures

    assert place_of_decoding(path) == "cpu"
    use_fake_gpu(monkeypatch)
    assert place_of_decoding(path, device="cuda") == "cuda"
    use_fake_gpu(monkeypatch, fail)
    assert place_of_decoding(path, device="cuda") == "cuda, cpu"


@pytest.mark.usefixtures("_on_device")
class TestFramesOnTheDevice:
    """Frames that stay where they were decoded."""

    def test_reach_the_engine_without_the_host(self, tmp_path: Path, device: WatchedDevice) -> None:
        """The engine takes their planes from the decoder's memory, and gives the same pictures."""
        if not isinstance(device, HostDevice):
            pytest.skip("the decoder of this test is the host's")
        width, height = PersonSource().frame(0).size
        path = video(tmp_path / "video.mp4", (width, height))
        found = frames(path, device="cuda")
        stay = [frame for frame in found if isinstance(frame, SurfaceFrame)]
        assert len(stay) > COUNT // 2
        settings = Settings(background="color:#204060")
        with (
            VirtualBackground(settings, segmenter=PersonSegmenter()) as expected,
            VirtualBackground(settings, segmenter=PersonSegmenter(), compute=device) as engine,
        ):
            for frame in stay[:3]:
                device.launched.clear()
                result = engine.process(frame)
                assert device.launched[:3] == ["take_samples"] * 3
                own = expected.process(frame.copy())
                assert result.pts == own.pts
                for plane, other in zip(result.planes, own.planes, strict=True):
                    assert np.abs(plane.astype(int) - other).max() <= 2

    def test_are_equal_to_the_processors(self, tmp_path: Path) -> None:
        """Downloaded, they are the frames that the processor decodes."""
        path = video(tmp_path / "video.mp4")
        found = frames(path, device="cuda")
        assert isinstance(found[-1], SurfaceFrame)
        check_equal(found, frames(path))

    def test_a_file_is_converted_with_all_its_frames(self, tmp_path: Path) -> None:
        """An engine on the processor downloads them, and a conversion keeps number and times."""
        path = video(tmp_path / "video.mp4")
        source = VideoSource(str(path), Settings(device="cuda"))
        target = tmp_path / "gpu.mkv"
        sink = create_sink(target, Settings(codec="ffv1"), source.info)
        with VirtualBackground(Settings(background="none"), segmenter=PersonSegmenter()) as engine:
            assert Pipeline(source, engine.process, sink).run().frames == COUNT
        check_equal(frames(target), frames(path))

    def test_are_turned_by_the_host(self, tmp_path: Path) -> None:
        """A rotated video is downloaded, as planes are turned there."""
        path = rotated(video(tmp_path / "video.mp4"), tmp_path / "turned.mp4")
        found = frames(path, device="cuda")
        assert found[0].size == (64, 96)
        assert not any(isinstance(frame, SurfaceFrame) for frame in found)
        check_equal(found, frames(path))


def rotated(path: Path, target: Path) -> Path:
    """Set the display matrix of an MP4 to a quarter turn."""
    data = bytearray(path.read_bytes())
    unit = (1 << 16).to_bytes(4, "big")
    none, minus = bytes(4), (-(1 << 16)).to_bytes(4, "big", signed=True)
    upright = unit + none * 3 + unit + none * 3 + (1 << 30).to_bytes(4, "big")
    turned = none + unit + none + minus + none * 4 + (1 << 30).to_bytes(4, "big")
    place = data.index(upright, data.index(b"tkhd"))
    data[place : place + len(turned)] = turned
    target.write_bytes(data)
    return target


def test_size_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording whose size changes in the middle is that of the processor."""
    path = tmp_path / "both.ts"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        other: Any = av.CodecContext.create("libx264", "w")
        other.framerate = 25
        for number, (encoder, size) in enumerate(((stream, (96, 64)), (other, (128, 48)))):
            encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
            packets = []
            for count in range(COUNT):
                frame = av.VideoFrame(*size, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes([4 * count + number]) * plane.buffer_size)
                frame.pts, frame.time_base = number * COUNT + count, Fraction(1, 25)
                packets += encoder.encode(frame)
            for packet in packets + encoder.encode(None):
                packet.stream = stream
                container.mux(packet)
    expected = frames(path)
    use_fake_gpu(monkeypatch)
    check_equal(frames(path, device="cuda"), expected)


def test_interlaced_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interlaced video is the processor's, which deinterlaces it, unless it is kept as it is."""
    path = video(tmp_path / "fields.mp4", fields=True)
    use_fake_gpu(monkeypatch)
    for keeps, place in ((False, "cpu"), (True, "cuda")):
        expected = frames(path, keep_interlaced=keeps)
        check_equal(frames(path, device="cuda", keep_interlaced=keeps), expected)
        assert place_of_decoding(path, device="cuda", keep_interlaced=keeps) == place


def test_broken_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is cut off or damaged has the processor's frames, and its error."""
    whole = video(tmp_path / "whole.mkv").read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 400] = bytes(range(200)) * 2
    for number, data in enumerate((whole[: 2 * len(whole) // 3], bytes(damaged))):
        path = tmp_path / f"{number}.mkv"
        path.write_bytes(data)
        expected = frames(path, allow_truncated=True)
        messages = []
        for device in ("cpu", "cuda"):
            with monkeypatch.context() as patch:
                use_fake_gpu(patch)
                try:
                    frames(path, device=device)
                    messages.append("")
                except TruncatedError as error:
                    messages.append(str(error))
                found = frames(path, device=device, allow_truncated=True)
            if device == "cuda":
                assert [one.time_s for one in found[: len(expected)]] == [
                    one.time_s for one in expected
                ]
        assert messages[0] == messages[1]
