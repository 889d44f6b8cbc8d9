"""Colour profiles and what they mean, by closed form: for tests of pictures."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Plane = NDArray[np.uint8]

# Columns of RGB to XYZ, adapted to D50: of sRGB (IEC 61966-2-1) and of Display P3.
SRGB: Final = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
DISPLAY_P3: Final = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
_D50: Final = (0.9642, 1.0, 0.8249)
# The corners of the made-up inks of `cmyk_profile`, as Lab: paper, and each ink alone.
INKS: Final[dict[tuple[int, ...], tuple[float, float, float]]] = {
    (0, 0, 0, 0): (100.0, 0.0, 0.0),
    (1, 0, 0, 0): (60.0, -25.0, -30.0),
    (0, 1, 0, 0): (50.0, 60.0, 0.0),
    (0, 0, 1, 0): (85.0, 0.0, 70.0),
    (0, 0, 0, 1): (20.0, 0.0, 0.0),
}


def rgb_profile(columns: tuple[tuple[float, ...], ...] = DISPLAY_P3) -> bytes:
    """Make a matrix profile with sRGB's curve (ICC.1:2010, 8.3.3)."""
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0)
    curve += _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {b"wtpt": _xyz(_D50)}
    for name, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags[name + b"XYZ"] = _xyz(column)
        tags[name + b"TRC"] = curve
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """Make a profile of inks of which two make black (ICC.1:2010, 10.11, lut8Type)."""
    table = bytearray()
    for number in range(16):
        amounts = tuple(number >> place & 1 for place in (3, 2, 1, 0))
        lab = INKS.get(amounts, (0.0, 0.0, 0.0))
        coded = np.array([lab[0] * 2.55, lab[1] + 128, lab[2] + 128])
        table += np.clip(np.rint(coded), 0, 255).astype(np.uint8).tobytes()
    straight = bytes(range(256))
    matrix = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * straight + table + 3 * straight
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut, b"wtpt": _xyz(_D50)})


def to_srgb(rgb: Plane, columns: tuple[tuple[float, ...], ...] = DISPLAY_P3) -> Floats:
    """Convert samples of a matrix profile to sRGB, 0 to 255."""
    coded = rgb.astype(float) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return _from_xyz(linear @ np.array(columns))


def lab_to_srgb(lab: tuple[float, float, float]) -> Floats:
    """Convert CIE Lab, of D50, to sRGB, 0 to 255 (ISO/CIE 11664-4)."""
    middle = (lab[0] + 16) / 116
    parts = np.array([middle + lab[1] / 500, middle, middle - lab[2] / 200])
    linear = np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29))
    return _from_xyz(linear * np.array(_D50))


def _from_xyz(xyz: Floats) -> Floats:
    linear = np.clip(xyz @ np.linalg.inv(np.array(SRGB)), 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(255 * coded)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Lay out header, tag table and tags (ICC.1:2010, 7)."""
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = place + len(body)
    header = struct.pack(">II", size, 0) + struct.pack(">I", 0x02400000) + kind + space + connection
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    header = header.ljust(68, b"\0") + _fixed(*_D50)
    return header.ljust(128, b"\0") + table + body
