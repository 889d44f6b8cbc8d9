"""Selection of the tags that are copied from the source to the output.

Tags have FFmpeg's generic names, which its muxers translate to those of each container:
``title`` becomes ``©nam`` in MP4 and ``TITLE`` in Matroska.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

__all__ = ["contains_coordinates", "file_tags", "stream_tags"]

# Tags that describe the source file itself: its muxer, its brands, its counts.
_OF_THE_FILE: Final = frozenset(
    {
        *("encoder", "vendor_id", "major_brand", "minor_version", "compatible_brands"),
        *("duration", "bps", "number_of_frames", "number_of_bytes", "source_id", "wm/encodingtime"),
    }
)
_STATISTICS: Final = "_statistics_"
# ``location-eng``, ``com.apple.quicktime.location.ISO6709``, ``RECORDING_LOCATION``.
_PLACES: Final = (
    *("location", "iso6709", "gps", "latitude", "longitude", "altitude"),
    *("geotag", "geodata", "coordinates"),
)
_SHORT_PLACES: Final = frozenset({"xyz", "loci", "lat", "lon", "lng", "place", "city"})
# Coordinates under any name: ISO 6709 as ``+48.1374+011.5755/``, ``GPS(11.5755,48.1374,19)``,
# ``[latitude: 48.1374]`` and 48°08'14".
_COORDINATES: Final = re.compile(
    r"(?<!\w)[-+]\d{2,6}(\.\d+)?[-+]\d{3,7}(\.\d+)?([-+]\d+(\.\d+)?)?(CRS\w+)?/"
    r"|gps\W{0,3}[-+]?\d"
    r"|\b(latitude|longitude|lat|lon|lng) ?[:=] ?[-+]?\d"
    r"|\d ?° ?\d+(\.\d+)? ?['\u2032]",
    re.IGNORECASE,
)

_APPLE: Final = "com.apple.quicktime."
_BY_APPLE: Final = {"creationdate": "date", "author": "artist"}
_PLAIN: Final = frozenset(
    {
        *("title", "artist", "album", "comment", "copyright", "date", "description", "genre"),
        *("keywords", "make", "model"),
    }
)

# In MP4 and MOV a time code is a track of its own, for which FFmpeg accepts these rates.
_TIMECODE: Final = "timecode"
_WITH_TIMECODE: Final = ("mp4", "mov")
_TIMECODE_RATES: Final = (24, 25, 30, 48, 50, 60)
_TIMECODE_TEXT: Final = re.compile(r"\d\d:[0-5]\d:[0-5]\d([:;.])\d\d")
_NTSC: Final = 1001


def file_tags(
    tags: Mapping[str, str], container: str, rate: Fraction, *, keep_location: bool
) -> dict[str, str]:
    """Return the tags of a file that are copied to the output.

    Parameters
    ----------
    tags : mapping
        Tags of the source; upper and lower case are the same.
    container : str
        FFmpeg's name of the muxer.
    rate : Fraction
        Frame rate of the output.
    keep_location : bool
        Whether tags may tell the place of the recording.
    """
    kept = {
        name: value
        for name, value in tags.items()
        if _is_carried(name, value, keep_location=keep_location)
    }
    named = {name.lower() for name in kept}
    for name, value in tags.items():
        short = name.lower().removeprefix(_APPLE)
        plain = _BY_APPLE.get(short, short)
        is_missing = plain in _PLAIN and plain not in named
        if name.lower().startswith(_APPLE) and is_missing and name in kept:
            kept[plain] = value
    if container in _WITH_TIMECODE:
        kept = {
            name: value
            for name, value in kept.items()
            if name.lower() != _TIMECODE or _fits_rate(value, rate)
        }
    return kept


def stream_tags(tags: Mapping[str, str], *, keep_location: bool) -> dict[str, str]:
    """Return the tags that are copied with a stream."""
    return {
        name: value
        for name, value in tags.items()
        if name.lower() != _TIMECODE and _is_carried(name, value, keep_location=keep_location)
    }


def contains_coordinates(text: str) -> bool:
    """Whether a text contains geographic coordinates."""
    return _COORDINATES.search(text) is not None


def _is_carried(name: str, value: str, *, keep_location: bool) -> bool:
    name = name.lower()
    if name in _OF_THE_FILE or name.startswith(_STATISTICS):
        return False
    if keep_location:
        return True
    is_place = name.lstrip("©") in _SHORT_PLACES or any(place in name for place in _PLACES)
    return not is_place and not contains_coordinates(value)


def _fits_rate(timecode: str, rate: Fraction) -> bool:
    """Whether a time code is valid for a frame rate; only 29.97 and 59.94 use drop-frame."""
    match = _TIMECODE_TEXT.fullmatch(timecode)
    if match is None:
        return False
    if match[1] != ":":
        return rate.denominator == _NTSC and round(rate) in (30, 60)
    return rate in _TIMECODE_RATES or (
        rate.denominator == _NTSC and rate * _NTSC / 1000 in _TIMECODE_RATES
    )
