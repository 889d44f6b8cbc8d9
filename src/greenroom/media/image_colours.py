"""Conversion of pictures to sRGB by their embedded or named colour profile."""

from __future__ import annotations

import io
import logging
import struct
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["profile_of", "to_srgb"]

logger = logging.getLogger(__name__)

# A profile within this many levels of sRGB is treated as sRGB.
_SRGB_TOLERANCE: Final = 1
# Wide primaries by their codes in ITU-T H.273, as columns to XYZ adapted to D50 (ICC.1:2010,
# annex E): Display P3 of phones, and BT.2020. The columns add up to D50 white.
_WHITE: Final = (0.9642, 1.0, 0.8249)
_PRIMARIES: Final = {
    12: ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)),
    9: ((0.67348, 0.27904, -0.00193), (0.16566, 0.67534, 0.02998), (0.12505, 0.04561, 0.79686)),
}
_HDR_TRANSFERS: Final = (16, 18)
# IEC 61966-2-1, as the parameters of a curve of type 3 (ICC.1:2010, 10.16).
_SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def profile_of(info: Mapping[Any, Any], path: Path) -> bytes | None:
    """Return a picture's profile: the embedded one, or one for the primaries that a HEIC names.

    A high dynamic range picture without a base picture is used unchanged, with a warning.
    """
    own = info.get("icc_profile")
    if own:
        return bytes(own)
    named = info.get("nclx_profile")
    if not isinstance(named, dict):
        return None
    if named.get("transfer_characteristics") in _HDR_TRANSFERS:
        logger.warning(
            "'%s' has a high dynamic range, which is not tone-mapped in pictures: its colours may "
            "be dull. Save it as a JPEG.",
            path,
        )
        return None
    columns = _PRIMARIES.get(int(named.get("color_primaries") or 0))
    return None if columns is None else _rgb_profile(columns)


def to_srgb(image: Image.Image, profile: bytes | None, path: Path) -> Image.Image:
    """Convert a picture to RGB by its profile; without one its colours are sRGB.

    Parameters
    ----------
    image : Image
        Without alpha.
    profile : bytes or None
        An ICC.1 profile. An unusable one is ignored with a warning.
    path : Path
        Named in the warning.
    """
    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":  # its only conversion to RGB
        lab = ImageCms.createProfile("LAB")
        return _converted(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            transform = ImageCms.buildTransform(
                own,
                srgb,
                image.mode,
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError) as error:
            logger.warning("'%s': its colour profile cannot be used: %s", path, error)
        else:
            return image if _keeps_colours(transform, image.mode) else _converted(image, transform)
    return image if image.mode == "RGB" else image.convert("RGB")


def _keeps_colours(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform from RGB is so close to identity that it would only add rounding."""
    if mode != "RGB":
        return False
    levels = np.linspace(0, 255, 16).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(64, 64, 3)
    after = np.asarray(_converted(Image.fromarray(grid), transform))
    return bool(np.abs(after.astype(int) - grid).max() <= _SRGB_TOLERANCE)


def _converted(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    return cast("Image.Image", ImageCms.applyTransform(image, transform))


def _rgb_profile(columns: tuple[tuple[float, ...], ...]) -> bytes:
    """Encode a matrix profile with sRGB's curve (ICC.1:2010, 7 and 8.3.3)."""
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(*_SRGB_CURVE)
    tags = {b"wtpt": _xyz(_WHITE)}
    for letter, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags |= {letter + b"XYZ": _xyz(column), letter + b"TRC": curve}
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">III", place + len(body), 0, 0x02400000) + b"mntrRGB XYZ "
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp"
    header = header.ljust(68, b"\0") + _fixed(*_WHITE)
    return header.ljust(128, b"\0") + table + body


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _fixed(*values: float) -> bytes:
    """Encode numbers as s15Fixed16."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)
