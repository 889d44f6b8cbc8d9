"""Names with a number in them, such as ``frames/%04d.png``: told from names that have a %."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["NUMBER", "NumberedNames"]

# FFmpeg's form. A letter after it is a word's: "50%done.png", "my%20dog.png".
NUMBER: Final = re.compile(r"%(\d*)d(?![^\W\d_])")


@dataclass(frozen=True, slots=True)
class NumberedNames:
    """The names that a pattern stands for.

    Attributes
    ----------
    before, after : str
        What is around the number.
    digits : int
        How many digits it has at least, with zeros in front.

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
        """Take a pattern apart; None if it has no number in it, or more than one."""
        parts = NUMBER.split(pattern)
        if len(parts) != 3:
            return None
        before, digits, after = parts
        return cls(before, after, min(int(digits or 1), 255))

    def name(self, number: int) -> str:
        """Return the name with a number in it."""
        return f"{self.before}{number:0{self.digits}d}{self.after}"

    def number(self, name: str) -> int | None:
        """Return the number in a name; None if the name does not fit the pattern."""
        digits = name.removeprefix(self.before).removesuffix(self.after)
        if not (digits.isascii() and digits.isdigit()) or self.name(int(digits)) != name:
            return None
        return int(digits)
