"""Error messages for invalid settings."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from greenroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic import ValidationError

__all__ = ["repeated", "settings_error"]

# Maximum length of a quoted value, in characters.
_MAX_REPEATED: Final = 80


def settings_error(error: ValidationError, names: Collection[str]) -> SettingsError:
    """Turn pydantic's report into one sentence about the first wrong setting."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}."
        return SettingsError(f"unknown setting '{name}': {hint}", name)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):
        return SettingsError(f"setting '{name}': {cause}", name)
    reason = first["msg"][0].lower() + first["msg"][1:]
    if name == "quality" and str(first["input"]).isdigit():
        reason = f"{reason} (0 to 100 is for output_quality)"
    return SettingsError(f"setting '{name}': {reason}, not {repeated(first['input'])}", name)


def repeated(value: object) -> str:
    """Quote a value in a message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_REPEATED else f"{text[:_MAX_REPEATED]}..."
