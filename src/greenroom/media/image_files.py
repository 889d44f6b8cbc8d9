"""Picture files: recognised by content, decoded by Pillow, upright and in sRGB."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np
from PIL import Image

from greenroom.media.decoding import check_size
from greenroom.media.frame import Frame
from greenroom.media.image_colours import profile_of, to_srgb
from greenroom.media.paths import unreadable_reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    Samples = NDArray[np.uint8]

__all__ = [
    "MAX_PIXELS",
    "ORIENTATION",
    "PICTURE_SUFFIXES",
    "begins_picture",
    "check_pixels",
    "damage_as_value_error",
    "decode_picture",
    "decode_with_alpha",
    "flat_frame",
    "is_picture",
    "open_picture",
    "pictures_in",
    "with_alpha",
]

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES: Final = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif"),
)
# Videos; raw MJPEG begins like a JPEG.
_VIDEO_SUFFIXES: Final = (".gif", ".mjpeg", ".mjpg")

MAX_PIXELS: Final = 2**28
"""Maximum number of pixels of a picture: more than any camera has."""

_HEAD_BYTES: Final = 32
ORIENTATION: Final = 0x0112
"""EXIF tag of the orientation."""
# Brands of ISO/IEC 23008-12 (HEIF with HEVC) and of AVIF. mif1 and msf1 may contain either.
_HEVC_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_AV1_BRANDS: Final = (b"avif", b"avis")
_EITHER_BRANDS: Final = (b"mif1", b"msf1")


class _Reader(NamedTuple):
    """The Pillow class for a kind of picture, imported on use."""

    module: str
    name: str

    def open(self, path: Path) -> ImageFile:
        """Read the header of a picture."""
        opener: Any = getattr(import_module(self.module), self.name)
        return cast("ImageFile", opener(str(path)))


# Pillow has more formats, some of which start programs or read other files. Its classes are called
# directly: registering HEIF and raising Pillow's pixel limit would change Pillow for the whole
# process.
_PNG: Final = _Reader("PIL.PngImagePlugin", "PngImageFile")
_JPEG: Final = _Reader("PIL.JpegImagePlugin", "JpegImageFile")
_WEBP: Final = _Reader("PIL.WebPImagePlugin", "WebPImageFile")
_BMP: Final = _Reader("PIL.BmpImagePlugin", "BmpImageFile")
_TIFF: Final = _Reader("PIL.TiffImagePlugin", "TiffImageFile")
_GIF: Final = _Reader("PIL.GifImagePlugin", "GifImageFile")
_AVIF: Final = _Reader("PIL.AvifImagePlugin", "AvifImageFile")
_HEIF: Final = _Reader("pillow_heif", "HeifImageFile")
_SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": _PNG,
    b"\xff\xd8\xff": _JPEG,
    b"BM": _BMP,
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"II+\0": _TIFF,
    b"MM\0+": _TIFF,
    b"GIF87a": _GIF,
    b"GIF89a": _GIF,
}


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder by name, without hidden files."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    )


def is_picture(path: Path) -> bool:
    """Whether a path has a picture's suffix or content; GIFs count as videos.

    Named pipes are not read: that would consume their data.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return True
    if suffix in _VIDEO_SUFFIXES:
        return False
    try:
        return path.is_file() and begins_picture(_head_of(path))
    except (OSError, ValueError):  # such as an invalid name
        return False


def begins_picture(head: bytes) -> bool:
    """Whether a file's first bytes are those of a picture; GIFs count as videos."""
    return _reader_of(head) not in (None, _GIF)


def decode_picture(path: Path, max_side_px: int, max_pixels: int = MAX_PIXELS) -> Frame:
    """Decode a picture to ``gbrp``: upright, in sRGB, alpha composited over black.

    Of several pictures in a file, the primary or the first one is decoded.

    Parameters
    ----------
    path : Path
        A PNG, JPEG, WebP, BMP, TIFF, HEIC, AVIF or GIF, with any suffix.
    max_side_px, max_pixels : int
        Maximum width and height, and maximum number of pixels.

    Raises
    ------
    ValueError
        The message is a reason for the caller's own error.
    """
    with open_picture(path, max_side_px, max_pixels) as image:
        return flat_frame(image, path)


def decode_with_alpha(path: Path, max_side_px: int) -> Samples:
    """Decode a picture to (H, W, 4) uint8: straight sRGB and alpha, upright.

    Parameters and errors are those of `decode_picture`.
    """
    with open_picture(path, max_side_px) as image:
        return with_alpha(image, path)


@contextmanager
def open_picture(path: Path, max_side_px: int, max_pixels: int = MAX_PIXELS) -> Iterator[ImageFile]:
    """Open a picture and check its header and size.

    Raises
    ------
    ValueError
        The message is a reason for the caller's own error.
    """
    reason = unreadable_reason(path)
    if reason is not None:
        raise ValueError(reason)
    if not path.is_file():
        message = "it is a pipe or a device, where a file was expected"
        raise ValueError(message)
    reader = _reader_of(_head_of(path))
    if reader is None:
        message = "it is not a picture, or of a kind that is not read"
        raise ValueError(message)
    # Pillow's warnings, such as of damaged tags, are of no use to users.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    with damage_as_value_error():
        image = reader.open(path)
    with image:
        check_pixels(*image.size, max_side_px, max_pixels)
        yield image


def check_pixels(width: int, height: int, max_side_px: int, max_pixels: int) -> None:
    """Check a picture's sides and its number of pixels.

    Raises
    ------
    ValueError
        The message is a reason for the caller's own error.
    """
    check_size(width, height, max_side_px)
    if width * height > max_pixels:
        message = (
            f"it is too large, {width}x{height} pixels where at most "
            f"{max_pixels // 1_000_000} million are taken"
        )
        raise ValueError(message)


def flat_frame(image: Image.Image, path: Path) -> Frame:
    """Decode an opened picture to a frame, alpha composited over black.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    rgb, alpha = _upright(image, path)
    samples = np.asarray(rgb)
    if alpha is not None:
        coverage = np.asarray(alpha)[..., None].astype(np.uint16)
        samples = ((samples * coverage + 127) // 255).astype(np.uint8)
    return Frame.from_rgb(samples)


def with_alpha(image: Image.Image, path: Path) -> Samples:
    """Decode an opened picture to (H, W, 4) uint8: straight sRGB and alpha.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    rgb, alpha = _upright(image, path)
    coverage = np.full(rgb.size[::-1], 255, np.uint8) if alpha is None else np.asarray(alpha)
    return np.dstack([np.asarray(rgb), coverage])


@contextmanager
def damage_as_value_error() -> Iterator[None]:
    """Turn Pillow's errors for damaged files into a ValueError with a reason.

    Its readers raise exceptions of many kinds for corrupt data.
    """
    try:
        yield
    except MemoryError as error:
        message = "the picture is damaged, or needs more memory than there is"
        raise ValueError(message) from error
    except (
        *(OSError, SyntaxError, EOFError, ValueError, TypeError, LookupError, ArithmeticError),
        *(AttributeError, RuntimeError, AssertionError, struct.error, zlib.error),
        Image.DecompressionBombError,
    ) as error:
        said = str(error) or type(error).__name__
        cut_off = "truncated" in said.lower()
        message = "the picture is cut off" if cut_off else f"the picture is damaged ({said})"
        raise ValueError(message) from error


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _reader_of(head: bytes) -> _Reader | None:
    """Select the reader of a picture by its first bytes."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _WEBP
    if head[4:8] == b"ftyp":
        brands = [head[place : place + 4] for place in (8, *range(16, _HEAD_BYTES, 4))]
        for brand in brands:
            if brand in _AV1_BRANDS:
                return _AVIF
            if brand in _HEVC_BRANDS:
                return _HEIF
        return _HEIF if brands[0] in _EITHER_BRANDS else None
    return next((reader for start, reader in _SIGNATURES.items() if head.startswith(start)), None)


def _upright(image: Image.Image, path: Path) -> tuple[Image.Image, Image.Image | None]:
    """Decode a picture to sRGB and its alpha, if any, both upright."""
    with damage_as_value_error():
        image.load()
        image = _to_eight_bits(image)
        profile = profile_of(image.info, path)
        alpha = _alpha_of(image)
        rgb = to_srgb(_opaque(image), profile, path)
        turn = _rotation_of(image)
        if turn is None:
            return rgb, alpha
        return rgb.transpose(turn), None if alpha is None else alpha.transpose(turn)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert 16-bit gray to 8 bits, rounded."""
    if image.mode in ("I", "F"):
        message = f"samples of 32 bits, mode {image.mode}, are not read"
        raise ValueError(message)
    if not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.uint32)
    gray = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    gray.info = dict(image.info)
    clear = gray.info.pop("transparency", None)
    if isinstance(clear, int):
        gray.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return gray


def _alpha_of(image: Image.Image) -> Image.Image | None:
    if image.mode in ("LA", "La", "RGBA", "RGBa"):
        return image.getchannel(len(image.getbands()) - 1)
    return image.convert("RGBA").getchannel("A") if image.has_transparency_data else None


def _opaque(image: Image.Image) -> Image.Image:
    """Return the picture without alpha, in a mode that colour profiles support."""
    if image.mode in ("RGB", "L", "CMYK", "LAB"):
        return image
    if image.mode == "RGBa":  # premultiplied: no direct conversion
        image = image.convert("RGBA")
    if image.mode in ("1", "LA"):
        return image.convert("L")
    return image.convert("LA").convert("L") if image.mode == "La" else image.convert("RGB")


def _rotation_of(image: Image.Image) -> Image.Transpose | None:
    """Return a picture's rotation by its EXIF orientation (Exif 2.3, section 4.6.5)."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        with damage_as_value_error():
            return turns.get(image.getexif().get(ORIENTATION, 1))
    except ValueError as error:
        logger.debug("the EXIF data is left out: %s", error)
        return None
