"""Metadata copied from a picture to its output: date and resolution, and the location on request.

Everything else is dropped, such as makers' notes with serial numbers and faces, and previews, in
which the room would be visible.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from greenroom.media.image_files import MAX_PIXELS, ORIENTATION, damage_as_value_error, open_picture

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PictureTags", "read_tags"]

logger = logging.getLogger(__name__)

# Tags of Exif 2.32: resolution with its unit, and date (4.6.4); dates of capture and digitisation
# with time zones and fractions of a second (4.6.5).
_ACROSS, _DOWN = 0x011A, 0x011B
_IMAGE_TAGS: Final = (_ACROSS, _DOWN, 0x0128, 0x0132)
_EXPOSURE_TAGS: Final = (*(0x9003, 0x9004), *(0x9010, 0x9011, 0x9012), *(0x9290, 0x9291, 0x9292))
_TRANSPOSED_ORIENTATIONS: Final = (5, 6, 7, 8)
_EXPOSURE: Final = 0x8769
_LOCATION: Final = 0x8825
_MAX_BYTES: Final = 2**15  # dates and locations are much shorter


@dataclass(frozen=True, slots=True)
class PictureTags:
    """Metadata of a picture.

    Attributes
    ----------
    exif : bytes
        Encoded EXIF data; empty if there is none.
    dpi : (float, float) or None
        Pixels per inch, horizontal and vertical.
    """

    exif: bytes
    dpi: tuple[float, float] | None

    @property
    def options(self) -> dict[str, Any]:
        """Options for Pillow's `save`."""
        options: dict[str, Any] = {"exif": self.exif} if self.exif else {}
        return options | ({"dpi": self.dpi} if self.dpi else {})


def read_tags(path: Path, *, with_location: bool) -> PictureTags:
    """Read the metadata of a picture; damaged metadata is left out.

    Parameters
    ----------
    path : Path
        A readable picture.
    with_location : bool
        Whether to include the location where it was taken.
    """
    try:
        with open_picture(path, MAX_PIXELS) as image, damage_as_value_error():
            if image.format == "TIFF":  # whose tags are decoded with the pixels
                image.load()
            return PictureTags(_exif_of(image, with_location=with_location), _dpi_of(image))
    except ValueError as error:
        logger.debug("what '%s' says beside its pixels is left out: %s", path, error)
        return PictureTags(b"", None)


def _exif_of(image: Image.Image, *, with_location: bool) -> bytes:
    old, new = image.getexif(), Image.Exif()
    for tag in _IMAGE_TAGS:
        if tag in old:
            new[tag] = old[tag]
    if old.get(ORIENTATION, 1) in _TRANSPOSED_ORIENTATIONS and _ACROSS in new and _DOWN in new:
        new[_ACROSS], new[_DOWN] = new[_DOWN], new[_ACROSS]
    exposure = old.get_ifd(_EXPOSURE)
    kept: dict[int, Any] = {tag: exposure[tag] for tag in _EXPOSURE_TAGS if tag in exposure}
    if kept:
        new.get_ifd(_EXPOSURE).update(kept)
    location = old.get_ifd(_LOCATION) if with_location else {}
    if location:
        new.get_ifd(_LOCATION).update(location)
    data = new.tobytes() if len(new) or kept or location else b""
    return data if len(data) <= _MAX_BYTES else b""


def _dpi_of(image: Image.Image) -> tuple[float, float] | None:
    said: Any = image.info.get("dpi")
    if not (isinstance(said, tuple) and len(said) == 2):
        return None
    across, down = float(said[0]), float(said[1])
    if not (0 < across < 2**16 and 0 < down < 2**16):
        return None
    turned = image.getexif().get(ORIENTATION, 1) in _TRANSPOSED_ORIENTATIONS
    return (down, across) if turned else (across, down)
