"""Settings as the page shows them: made from their one declaration."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from greenroom.settings import Group, Settings

__all__ = ["live_schema"]

# In this order; the others are about files.
_GROUPS: Final = (
    Group.BACKGROUND,
    Group.MODEL,
    Group.STAYS,
    Group.EDGE,
    Group.SCENE,
    Group.PICTURE,
    Group.CAMERA,
    Group.LIVE,
)
# Outlets are opened at the start, and what is about folders is said there too.
_LEFT_OUT: Final = ("to", "models_dir")
# What the page has no other place for; the room is shown by the button that says so.
_HELPS: Final = {
    "background": (
        "What is put behind, also what is not in the gallery: the path of a picture, a video or "
        "GIF, or a folder of pictures; color:#204060 or color:NAME, blur:0.6 (0.4 to 1), "
        "pixelate:0.6, or grayscale (shows the room, without its colours)"
    )
}
_UNITS: Final = {"seconds": "s", "milliseconds": "ms", "%": "%"}
_UNIT: Final = re.compile(r"\bin (seconds|milliseconds|%)")


@cache
def live_schema() -> dict[str, Any]:
    """Return the settings that can be changed while running, by group.

    Returns
    -------
    dict
        ``groups``: each with ``name`` and ``settings``; each of these with ``name``, ``label``,
        ``help``, ``type`` (boolean, integer, number, string, choice), ``default``, ``optional``
        (whether null means something), and where there is one, ``unit``, ``minimum``,
        ``maximum``, ``step``, ``choices``, ``pattern``.
    """
    declared = Settings.model_json_schema()
    groups = []
    for group in _GROUPS:
        settings = [
            _described(name, declared["properties"][name], declared["$defs"])
            for name in Settings.model_fields
            if Settings.group(name) is group and name not in _LEFT_OUT
        ]
        groups.append({"name": group.value, "settings": settings})
    return {"groups": groups}


def _described(name: str, declared: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """Describe one setting, from what JSON Schema says of it."""
    text = declared["description"]
    unit = _UNIT.search(text)
    of_value = _value(declared)
    if reference := of_value.get("$ref"):
        of_value = shared[reference.rpartition("/")[2]]
    described = {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "help": _HELPS.get(name, text),
        "type": "choice" if "enum" in of_value else of_value["type"],
        "default": declared.get("default"),
        "optional": "anyOf" in declared,
        "unit": _UNITS[unit[1]] if unit else None,
        "choices": of_value.get("enum"),
        "pattern": of_value.get("pattern"),
        **_range(of_value),
    }
    return {key: value for key, value in described.items() if value is not None or key == "default"}


def _value(declared: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of a value that is not null."""
    kinds: list[dict[str, Any]] = declared.get("anyOf", [declared])
    return next(kind for kind in kinds if kind.get("type") != "null")


def _range(of_value: dict[str, Any]) -> dict[str, Any]:
    """Return the smallest and largest value that a control can give, and its step."""
    least, most = of_value.get("minimum"), of_value.get("maximum")
    above, below = of_value.get("exclusiveMinimum"), of_value.get("exclusiveMaximum")
    if of_value.get("type") == "integer":
        return {"minimum": least, "maximum": most, "step": 1}
    if of_value.get("type") != "number":
        return {}
    low = least if above is None else above
    high = most if below is None else below
    step = _step(None if low is None or high is None else high - low)
    return {
        "minimum": low if above is None else above + step,
        "maximum": high if below is None else below - step,
        "step": step,
    }


def _step(span: float | None) -> float:
    """Return a step with which a range has about a hundred places, or 1 for very long ones."""
    if span is None:
        return 0.1
    return next((step for step in (0.01, 0.1) if span <= 200 * step), 1)
