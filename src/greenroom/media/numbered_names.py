"""Patterns of numbered file names, such as ``frames/%04d.png``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["NUMBER", "NumberedNames"]

# FFmpeg's syntax. A letter after it belongs to a word: "50%done.png", "my%20dog.png".
NUMBER: Final = re.compile(r"%(\d*)d(?![^\W\d_])")


@dataclass(frozen=True, slots=True)
class NumberedNames:
    """Names made of a pattern and a number.

    Attributes
    ----------
    before, after : str
        The text around the number.
    digits : int
        Minimum number of digits, padded with zeros.

    Examples
    --------
    >>> NumberedNames.of("%04d.png").name(7)
    '0007.png'
    >>> NumberedNames.of("%04d.png").number("0012.png")
    12
    >>> NumberedNames.of("50%done.png") is None
    True
    """

    before: str
    after: str
    digits: int

    @classmethod
    def of(cls, pattern: str) -> Self | None:
        """Parse a pattern; None unless it contains exactly one number."""
        parts = NUMBER.split(pattern)
        if len(parts) != 3:
            return None
        before, digits, after = parts
        return cls(before, after, min(int(digits or 1), 255))

    def name(self, number: int) -> str:
        """Return the name for a number."""
        return f"{self.before}{number:0{self.digits}d}{self.after}"

    def number(self, name: str) -> int | None:
        """Return the number in a name; None if the name does not fit the pattern."""
        digits = name.removeprefix(self.before).removesuffix(self.after)
        if not (digits.isascii() and digits.isdigit()) or self.name(int(digits)) != name:
            return None
        return int(digits)
