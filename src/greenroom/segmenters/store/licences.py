"""Classification of licences by their conditions."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["concern"]

# SPDX identifiers of licences that require attribution at most.
_PERMISSIVE: Final = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0",
        "CC0-1.0", "ISC", "MIT", "MIT-0", "Unlicense", "Zlib",
    }
)  # fmt: skip
_COPYLEFT: Final = re.compile(r"^(A|L)?GPL-|^(MPL|EUPL|OSL|CDDL|EPL|CECILL)-|-SA-")


def concern(licence: str) -> str | None:
    """Return why a licence has to be accepted before a download; None if it need not be.

    Parameters
    ----------
    licence : str
        An SPDX expression.

    Returns
    -------
    str or None
        "non-commercial", "copyleft", or "not known to be permissive"; None for permissive
        licences. In an expression every licence counts.

    Examples
    --------
    >>> concern("GPL-3.0-only"), concern("CC-BY-NC-4.0"), concern("MIT")
    ('copyleft', 'non-commercial', None)
    """
    parts = [part for part in re.split(r"[\s()]+", licence) if part not in ("", "AND", "OR")]
    if parts and all(part in _PERMISSIVE for part in parts):
        return None
    if any("-NC-" in f"{part}-" for part in parts):
        return "non-commercial"
    if any(_COPYLEFT.search(f"{part}-") for part in parts):
        return "copyleft"
    return "not known to be permissive"
