"""Conversion on a GPU that encodes: pictures go to the encoder where they were made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from greenroom import VirtualBackground
from greenroom.files.convert import convert_frames
from greenroom.media.frame import Frame
from greenroom.media.surface_frame import EncoderFrame
from greenroom.sinks import encoders, frame_encoder
from greenroom.sinks.codecs import CODECS
from greenroom.testing import PersonSegmenter, PersonSource, count_room_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from host_device import HostDevice
    from numpy.typing import NDArray

FRAMES = 8

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture(autouse=True)
def _encoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have x264, without loss, in the place of NVENC, with surfaces in the host's memory."""
    stand_in = replace(
        CODECS["h264"],
        name="h264_nvenc",
        on_gpu=None,
        is_hardware=True,
        options=lambda _: {"qp": "0"},
    )
    monkeypatch.setitem(CODECS, "h264_nvenc", stand_in)
    monkeypatch.setattr(encoders, "accelerator", lambda: None)
    monkeypatch.setattr(frame_encoder, "accelerator", lambda: None)
    encoders.trial.cache_clear()
    yield
    encoders.trial.cache_clear()


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """Return the frames that are left where the encoder reads them."""
    made: list[Frame] = []
    leave = EncoderFrame.left

    def watched(frame: Frame) -> Frame:
        made.append(leave(frame))
        return made[-1]

    monkeypatch.setattr(EncoderFrame, "left", watched)
    return made


def converted(path: Path, device: str) -> list[NDArray[Any]]:
    """Convert a person's frames; return the pictures of the file."""
    settings: dict[str, Any] = {"background": "blur", "codec": "h264_nvenc"}
    source = PersonSource(frames=FRAMES, size=(192, 108))
    with VirtualBackground(segmenter=PersonSegmenter(), device=device, **settings) as engine:
        convert_frames(engine, source, path)
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]


def test_the_encoder_gets_what_is_downloaded_otherwise(
    tmp_path: Path,
    fake_gpu: list[HostDevice],
    left: list[Frame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file is the same, and all but the first pictures are not downloaded."""
    made = converted(tmp_path / "there.mkv", "cuda")
    assert FRAMES - 3 <= len(left) < FRAMES
    assert all(isinstance(frame, EncoderFrame) and "_host" not in vars(frame) for frame in left)
    launched = len(fake_gpu)
    monkeypatch.setattr(frame_encoder, "takes_surfaces", lambda *_: False)
    expected = converted(tmp_path / "down.mkv", "cuda")
    assert len(fake_gpu) > launched
    assert len(left) < FRAMES
    assert len(made) == FRAMES
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_left_there_is_a_cover(
    tmp_path: Path, fake_gpu: list[HostDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that fails where a picture is handed over shows nothing of the room."""
    leave = EncoderFrame.left

    def failing(frame: Frame) -> Frame:
        fake_gpu[-1].fails_at = "take_samples"
        try:
            return leave(frame)
        finally:
            fake_gpu[-1].fails_at = None

    monkeypatch.setattr(EncoderFrame, "left", failing)
    source = PersonSource(frames=FRAMES, size=(192, 108))
    path = tmp_path / "covered.mkv"
    with VirtualBackground(
        segmenter=PersonSegmenter(),
        device="cuda",
        background="color:teal",
        codec="h264_nvenc",
        on_failure="cover",
    ) as engine:
        summary = convert_frames(engine, source, path)
    assert summary.covered >= FRAMES - 3
    with av.open(str(path)) as container:
        pictures = [Frame.from_av(frame) for frame in container.decode(video=0)]
    assert len(pictures) == FRAMES
    assert all(count_room_pixels(picture) == 0 for picture in pictures)


@pytest.mark.parametrize("fault", ["no surfaces", "processor"])
def test_elsewhere_pictures_are_downloaded(
    fault: str,
    tmp_path: Path,
    fake_gpu: list[HostDevice],
    left: list[Frame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an encoder that reads them there, and on the processor, nothing is left there."""
    if fault == "no surfaces":
        monkeypatch.setattr(
            encoders, "accelerator", lambda: av.codec.hwaccel.HWAccel("nothing that is there")
        )
    pictures = converted(tmp_path / "out.mkv", "cpu" if fault == "processor" else "cuda")
    assert len(pictures) == FRAMES
    assert not left
    assert bool(fake_gpu) == (fault != "processor")
