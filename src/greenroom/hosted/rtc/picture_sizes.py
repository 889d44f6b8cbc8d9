"""Sizes of coded pictures, read before any memory is taken for them."""

from __future__ import annotations

from typing import Final

__all__ = ["picture_size"]

_SPS: Final = 7
# Profiles whose sequence parameter set says how chroma is sampled (ITU-T H.264, 7.3.2.1.1).
_WITH_CHROMA: Final = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


def picture_size(codec: str, data: bytes) -> tuple[int, int] | None:
    """Return the size that a coded frame announces.

    Parameters
    ----------
    codec : str
        ``VP8`` or ``H264``.
    data : bytes
        The frame, H.264 as a byte stream (Annex B).

    Returns
    -------
    tuple of int or None
        (width, height) before cropping, thus up to 15 more than what is shown for H.264. None if
        the frame announces none, as most do.
    """
    try:
        return _vp8_size(data) if codec == "VP8" else _h264_size(data)
    except IndexError:  # cut off
        return None


def _vp8_size(data: bytes) -> tuple[int, int] | None:
    """Read a key frame's header (RFC 6386, 9.1)."""
    if data[0] & 1 or data[3:6] != b"\x9d\x01\x2a":
        return None
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return width, height


def _h264_size(data: bytes) -> tuple[int, int] | None:
    """Read the sequence parameter set, if there is one."""
    begin = data.find(b"\x00\x00\x01")
    while begin >= 0:
        if data[begin + 3] & 0x1F == _SPS:
            unit = data[begin + 4 : begin + 260]
            return _size_in(_Bits(unit.replace(b"\x00\x00\x03", b"\x00\x00")))
        begin = data.find(b"\x00\x00\x01", begin + 3)
    return None


class _Bits:
    """Reads bits and Exp-Golomb codes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def code(self) -> int:
        """Read an unsigned Exp-Golomb code, `ue(v)`."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """Read a signed Exp-Golomb code, `se(v)`."""
        code = self.code()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _size_in(bits: _Bits) -> tuple[int, int]:
    profile = bits.take(8)
    bits.take(16)  # constraints and level
    bits.code()  # its number
    if profile in _WITH_CHROMA:
        _skip_chroma(bits)
    bits.code()  # length of frame numbers
    order = bits.code()  # how the order of output is told
    if order == 0:
        bits.code()
    elif order == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.code()):
            bits.signed()
    bits.code()  # reference frames
    bits.take(1)
    width = (bits.code() + 1) * 16
    height = (bits.code() + 1) * 16
    fields = not bits.take(1)
    return width, height * (2 if fields else 1)


def _skip_chroma(bits: _Bits) -> None:
    """Skip what only the high profiles have."""
    if bits.code() == 3:
        bits.take(1)
        lists = 12
    else:
        lists = 8
    bits.code()
    bits.code()
    bits.take(1)
    if bits.take(1):
        for number in range(lists):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)


def _skip_scaling_list(bits: _Bits, count: int) -> None:
    last = following = 8
    for _ in range(count):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
