"""Backgrounds made from uploaded files: validated, limited in size, and encoded again.

Only the content of an upload counts, not its name or declared type. A picture's size is read from
its header before it is decoded. The file that is kept is new, and holds the picture without
metadata such as the place where it was taken.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Final

import av
from PIL import Image

from greenroom.errors import BackgroundError
from greenroom.media.animation import count_frames, moves, moving_frames
from greenroom.media.decoded_frames import flattened, orientation_of, oriented
from greenroom.media.decoders import ALPHA_MODE, has_alpha_mode
from greenroom.media.decoding import MEDIA_ERRORS, decoded, open_media, reason_of, video_stream
from greenroom.media.demuxers import FILE_OPTIONS
from greenroom.media.file_writing import new_file, write_atomically
from greenroom.media.image_files import check_pixels, decode_picture, is_picture, open_picture
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.media.paths import file_url
from greenroom.web.file_signatures import (
    GIF,
    HEAD_BYTES,
    PICTURE,
    FileKind,
    describe_unsupported,
    detect_kind,
    gif_size,
)
from greenroom.web.image_encoding import thumbnail, to_kept_jpeg, within

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from greenroom.media.frame import Frame

__all__ = ["MAX_UPLOAD_BYTES", "first_picture", "make_background", "require_kind"]

logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES: Final = 50 * 2**20
"""Maximum size of an uploaded file."""
MAX_PICTURE_PIXELS: Final = 50_000_000
"""Maximum number of pixels of an uploaded picture: more than cameras have."""
MAX_VIDEO_PIXELS: Final = 4096 * 2304
"""Maximum number of pixels of a frame of an uploaded video."""

# Pictures are scaled down to cover this size: no camera sends larger frames.
_MAX_KEPT_SIZE: Final = (3840, 2160)
_QUALITY: Final = 95
# All frames of an animation together, as they are in memory at once: 100 of 720p.
_MAX_ANIMATION_PIXELS: Final = 100 * 1280 * 720
# From 0 to 6: higher values take several times as long for a slightly smaller file.
_WEBP_EFFORT: Final = 1
_ACCEPTED_KINDS: Final = (
    "Give a PNG, JPEG, WebP, BMP, TIFF, HEIC, AVIF or GIF picture, or an MP4, MOV or WebM video."
)


def require_kind(head: bytes, name: str) -> FileKind:
    """Return the kind of an upload from its first bytes.

    Raises
    ------
    BackgroundError
        If the kind is not supported.
    """
    kind = detect_kind(head)
    if kind is None:
        message = f"background '{name}': {describe_unsupported(head)}. {_ACCEPTED_KINDS}"
        raise BackgroundError(message)
    return kind


def make_background(upload: Path, target: Path, name: str) -> Path:
    """Make a background from an uploaded file.

    Parameters
    ----------
    upload : Path
        The uploaded file; it is not changed.
    target : Path
        Path of the background, without a suffix.
    name : str
        Display name, for messages.

    Returns
    -------
    Path
        Path of the background.

    Raises
    ------
    BackgroundError
        If it is not a picture or video, is too large or damaged.
    """
    with upload.open("rb") as file:
        kind = require_kind(file.read(HEAD_BYTES), name)
    try:
        if kind is PICTURE:
            return _make_picture(upload, target)
        return _make_video(upload, kind, target)
    except MEDIA_ERRORS as error:
        logger.info("an upload was refused", exc_info=True)
        message = f"background '{name}' cannot be read: {reason_of(error)}. {_ACCEPTED_KINDS}"
        raise BackgroundError(message) from error


def _make_picture(upload: Path, target: Path) -> Path:
    if moves(upload, MAX_SIDE_PX):
        return _make_animation(upload, target.with_suffix(".webp"))
    picture = decode_picture(upload, MAX_SIDE_PX, MAX_PICTURE_PIXELS)
    path = target.with_suffix(".jpg")
    write_atomically(path, to_kept_jpeg(within(picture, _MAX_KEPT_SIZE)), private=True)
    return path


def _make_animation(upload: Path, path: Path) -> Path:
    """Encode the frames of an animation again, as WebP."""
    lengths_ms = []
    with open_picture(upload, MAX_SIDE_PX, MAX_VIDEO_PIXELS) as image:
        width, height = image.size
    if count_frames(upload, MAX_SIDE_PX) * width * height > _MAX_ANIMATION_PIXELS:
        message = "it is an animation of too many frames; make a video of it"
        raise ValueError(message)
    pictures = []
    for frame in moving_frames(upload, MAX_SIDE_PX):
        pictures.append(Image.fromarray(frame.to_rgb()))
        lengths_ms.append(frame.duration or 0)
    first, *others = pictures
    data = io.BytesIO()
    first.save(
        data,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=lengths_ms,
        quality=_QUALITY,
        method=_WEBP_EFFORT,
    )
    write_atomically(path, data.getvalue(), private=True)
    return path


def _make_video(upload: Path, kind: FileKind, target: Path) -> Path:
    """Copy the video stream alone into a new file, after decoding its first frame."""
    if kind is GIF:
        with upload.open("rb") as file:
            check_pixels(*gif_size(file.read(HEAD_BYTES)), MAX_SIDE_PX, MAX_VIDEO_PIXELS)
    path = target.with_suffix(kind.suffix)
    # The demuxer is chosen by content, and cannot be one that opens other files, as playlists do.
    options = dict(FILE_OPTIONS)
    with av.open(file_url(upload), format=kind.demuxer, container_options=options) as container:
        stream = _checked_stream(container)
        container.seek(0)
        try:
            _copy(container, stream, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path


def _checked_stream(container: InputContainer) -> VideoStream:
    """Return the video stream of a file, after decoding one frame of it."""
    stream = video_stream(container)
    check_pixels(stream.width, stream.height, MAX_SIDE_PX, MAX_VIDEO_PIXELS)
    if next(container.decode(stream), None) is None:
        message = "there is no frame in it"
        raise ValueError(message)
    return stream


def _copy(container: InputContainer, stream: VideoStream, path: Path) -> None:
    """Copy the packets of one stream, without sound and metadata."""
    new_file(path, private=True).close()  # FFmpeg would create it readable for others
    with av.open(file_url(path), "w") as copy:
        copied = copy.add_stream_from_template(stream)
        copied.metadata.clear()
        if has_alpha_mode(stream):  # without it, transparent parts would be shown
            copied.metadata[ALPHA_MODE] = "1"
        for packet in container.demux(stream):
            if packet.dts is not None:
                packet.stream = copied
                copy.mux(packet)


def first_picture(path: Path) -> bytes:
    """Return a thumbnail of a background.

    Raises
    ------
    BackgroundError
        If it cannot be read.
    """
    try:
        if is_picture(path):
            return thumbnail(decode_picture(path, MAX_SIDE_PX))
        return thumbnail(_first_frame(path))
    except MEDIA_ERRORS as error:
        message = f"background '{path}' cannot be read: {reason_of(error)}"
        raise BackgroundError(message, path) from error


def _first_frame(path: Path) -> Frame:
    """Decode the first frame of a video."""
    with open_media(path) as container:
        for frame in decoded(container, video_stream(container)):
            return oriented(flattened(frame), orientation_of(frame))
    message = "there is no frame in it"
    raise ValueError(message)
