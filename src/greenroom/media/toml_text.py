"""Decoding and parsing of TOML files from any editor."""

from __future__ import annotations

import codecs
import tomllib
from typing import Any, Final

__all__ = ["decode_toml", "parse_toml"]

# Longest first: the BOM of UTF-32 begins with that of UTF-16.
_OTHER_ENCODINGS: Final = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def decode_toml(content: bytes) -> str:
    r"""Decode the bytes of a TOML file, without the byte-order mark that Windows editors write.

    >>> decode_toml(b'\xef\xbb\xbfbackground = "blur"')
    'background = "blur"'

    Raises
    ------
    UnicodeError
        If it is not UTF-8; the message says what to do.
    """
    for mark, name in _OTHER_ENCODINGS.items():
        if content.startswith(mark):
            message = f"it is {name}, and TOML is UTF-8. Save it again with the encoding UTF-8"
            raise UnicodeError(message)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = (
            f"line {line} has a letter that is not UTF-8. Save the file again with the encoding "
            f"UTF-8"
        )
        raise UnicodeError(message) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Parse the text of a TOML file.

    >>> parse_toml('background = "blur"')
    {'background': 'blur'}

    Raises
    ------
    ValueError
        If it is not TOML, or nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        message = "brackets are nested too deeply in it"
        raise ValueError(message) from None
