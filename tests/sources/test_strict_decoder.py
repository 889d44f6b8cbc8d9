"""Damaged frames are left out, as a whole."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from greenroom.sources.strict_decoder import StrictDecoder, is_complete_jpeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@pytest.fixture(scope="session")
def photograph(portrait: NDArray[np.uint8]) -> bytes:
    """Return a real photograph as a JPEG, as a camera sends it."""
    done, data = cv2.imencode(".jpg", cv2.resize(portrait, (640, 480)))
    assert done
    return data.tobytes()


def decode(data: bytes) -> tuple[list[NDArray[np.uint8]], int]:
    """Return the luma of the frames that come out, and how many were left out."""
    whole = StrictDecoder(av.CodecContext.create("mjpeg", "r"), "test")
    pictures = whole.decode(av.Packet(data))
    luma = [picture.to_ndarray(format="gray").astype(np.uint8) for picture in pictures]
    return luma, whole.damaged


def zeroed(data: bytes, place: int) -> bytes:
    """Lose a packet of USB: 512 bytes are zero."""
    return data[:place] + bytes(512) + data[place + 512 :]


def skipped(data: bytes, place: int) -> bytes:
    """Lose some bytes altogether."""
    return data[:place] + data[place + 700 :]


def cut(data: bytes, place: int) -> bytes:
    """Lose the end."""
    return data[:place]


def cut_and_ended(data: bytes, place: int) -> bytes:
    """Lose the end, but for the marker that says that it is one."""
    return data[:place] + b"\xff\xd9"


@pytest.mark.parametrize("damage", [zeroed, skipped, cut, cut_and_ended])
def test_no_frame_that_lost_a_part_is_shown(
    photograph: bytes, damage: Callable[[bytes, int], bytes]
) -> None:
    """Wherever a frame is damaged, it is left out and counted, never shown half decoded."""
    generator = random.Random(7)  # noqa: S311 - the same places in every run
    for _ in range(40):
        place = generator.randrange(1000, len(photograph) - 1500)
        assert decode(damage(photograph, place)) == ([], 1)


def test_a_whole_frame_is_shown_as_other_decoders_show_it(photograph: bytes) -> None:
    """What comes out is what OpenCV's decoder makes of the same bytes."""
    (luma,), damaged = decode(photograph)
    expected = cv2.imdecode(np.frombuffer(photograph, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert damaged == 0
    assert np.abs(luma.astype(int) - np.asarray(expected, int)).max() <= 3


def test_what_cameras_put_behind_a_frame_does_no_harm(photograph: bytes) -> None:
    """Padding behind the end of a JPEG is no damage."""
    frames, damaged = decode(photograph + bytes(400))
    assert (len(frames), damaged) == (1, 0)


def test_a_picture_within_the_head_is_not_taken_for_samples(photograph: bytes) -> None:
    """A JPEG with a preview in a segment of its own, as EXIF has it, is whole."""
    preview = photograph[:3000]
    segment = b"\xff\xe1" + struct.pack(">H", len(preview) + 2) + preview
    assert is_complete_jpeg(photograph[:2] + segment + photograph[2:])


def test_a_black_picture_is_whole() -> None:
    """A covered camera, whose frames compress to almost nothing, is not taken for damaged."""
    for flags in ([], [cv2.IMWRITE_JPEG_OPTIMIZE, 1]):
        done, data = cv2.imencode(".jpg", np.zeros((1080, 1920, 3), np.uint8), flags)
        assert done
        assert is_complete_jpeg(data.tobytes())


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\x00", b"GIF89a", bytes(50)])
def test_what_is_no_jpeg_is_not_whole(data: bytes) -> None:
    """Short and foreign data are refused rather than decoded."""
    assert not is_complete_jpeg(data)


def test_an_empty_packet_counts_as_damaged_and_decoding_goes_on(photograph: bytes) -> None:
    """A driver's empty frame does not end the decoder."""
    whole = StrictDecoder(av.CodecContext.create("mjpeg", "r"), "test")
    assert whole.decode(av.Packet(b"")) == []
    assert len(whole.decode(av.Packet(photograph))) == 1
    assert whole.damaged == 1


def test_damage_is_told_once(photograph: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A camera with a bad cable does not fill the log."""
    whole = StrictDecoder(av.CodecContext.create("mjpeg", "r"), "camera 'C920'")
    for _ in range(5):
        whole.decode(av.Packet(photograph[:2000]))
    assert whole.damaged == 5
    assert len([one for one in caplog.records if one.levelname == "WARNING"]) == 1
