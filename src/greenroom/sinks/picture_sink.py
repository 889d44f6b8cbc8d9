"""Sink for picture files: a single one, those of a folder, or a numbered sequence."""

from __future__ import annotations

import io
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from PIL import Image

from greenroom.errors import SettingsError, SinkError
from greenroom.media.image_tags import PictureTags, read_tags
from greenroom.sinks.sink import Sink
from greenroom.sinks.staging import Staging, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.media.numbered_names import NumberedNames
    from greenroom.settings import Settings

__all__ = ["WITH_ALPHA", "WRITTEN_SUFFIXES", "PictureSink", "encode_picture", "numbered_paths"]

_QUALITY: Final = {
    ".jpg": cv2.IMWRITE_JPEG_QUALITY,
    ".jpeg": cv2.IMWRITE_JPEG_QUALITY,
    ".webp": cv2.IMWRITE_WEBP_QUALITY,
}
_PILLOW_NAMES: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_PNG_LEVEL: Final = 1  # like OpenCV's; 6 takes four times longer for a fifth less
WRITTEN_SUFFIXES: Final = (".png", *_QUALITY)
WITH_ALPHA: Final = (".png", ".webp")


class PictureSink(Sink):
    """Writes each frame as a picture, under the next of the given names.

    Parameters
    ----------
    paths : iterable of Path
        Where the pictures go.
    settings : Settings
        Quality and whether to overwrite.
    inputs : iterable of Path
        The files being read, which are never replaced.
    private : bool
        Whether only the user may read the pictures.
    described_by : iterable of Path
        The pictures of the frames, whose date and resolution are copied.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        settings: Settings,
        inputs: Iterable[Path] = (),
        *,
        private: bool = False,
        described_by: Iterable[Path] = (),
    ) -> None:
        self._paths = iter(paths)
        self._settings = settings
        self._staging = Staging(overwrite=settings.overwrite, inputs=inputs, private=private)
        self._described_by = iter(described_by)
        self._written = 0

    def check(self) -> None:
        """Check that the first picture can be written. The sink cannot be used afterwards.

        Raises
        ------
        SettingsError, SinkError
            If its folder is missing, or it is there already or is the input.
        """
        for path in islice(self._paths, 1):
            self._staging.check(path)

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        path = next(self._paths, None)
        if path is None:
            message = (
                f"there are more frames than the {self._written} picture(s) to write: give a "
                f"video, or a pattern such as frames/%04d.png."
            )
            raise SinkError(message)
        data = encode_picture(frame, path, self._settings.output_quality, self._next_tags())
        temporary = self._staging.add(path)
        with writing(path):
            temporary.write_bytes(data)
        self._written += 1

    def _next_tags(self) -> PictureTags | None:
        origin = next(self._described_by, None)
        if origin is None:
            return None
        return read_tags(origin, with_location=self._settings.keep_location)

    def close(self) -> None:
        """See `Sink.close`."""
        self._staging.commit()

    def abort(self) -> None:
        """See `Sink.abort`."""
        self._staging.discard()


def numbered_paths(pattern: Path, names: NumberedNames) -> Iterator[Path]:
    """Yield the paths of a pattern such as ``%04d.png``, from 1 on."""
    return (pattern.with_name(names.name(number)) for number in count(1))


def encode_picture(
    frame: Frame, path: Path, quality: int, tags: PictureTags | None = None
) -> bytes:
    """Encode a frame in the format of a path's suffix, with the tags.

    The quality, 0 to 100, is for lossy formats.

    Raises
    ------
    SettingsError
        If it has alpha and the format has none.
    """
    suffix = path.suffix.lower()
    if frame.alpha is not None and suffix not in WITH_ALPHA:
        message = f"'{path.name}' cannot carry transparency. Write a .png or a .webp."
        raise SettingsError(message, "background")
    if tags is not None and tags.options:
        return _with_tags(frame, suffix, quality, tags)
    options = [_QUALITY[suffix], max(1, quality)] if suffix in _QUALITY else []
    _, data = cv2.imencode(suffix, _bgr(frame), options)
    return data.tobytes()


def _bgr(frame: Frame) -> NDArray[np.uint8]:
    """Return gray, BGR or BGRA samples, for OpenCV."""
    if frame.format == "gray":
        return np.ascontiguousarray(frame.planes[0])
    rgb = frame.to_rgb()
    if frame.alpha is None:
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)  # type: ignore[return-value]
    return np.dstack([rgb[:, :, ::-1], frame.alpha])


def _with_tags(frame: Frame, suffix: str, quality: int, tags: PictureTags) -> bytes:
    """Encode a frame with Pillow, since OpenCV, faster for PNG, writes no resolution."""
    samples = _bgr(frame)
    if samples.ndim == 3:
        samples = np.ascontiguousarray(samples[..., [2, 1, 0, *range(3, samples.shape[2])]])
    options: dict[str, Any] = {"compress_level": _PNG_LEVEL}
    if suffix in _QUALITY:
        options = {"quality": max(1, quality)}
    file = io.BytesIO()
    Image.fromarray(samples).save(file, _PILLOW_NAMES[suffix], **options, **tags.options)
    return file.getvalue()
