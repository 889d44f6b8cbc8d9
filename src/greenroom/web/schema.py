"""Settings as the page shows them: made from their one declaration."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from greenroom.settings import Group, Settings

if TYPE_CHECKING:
    from greenroom.settings import About

__all__ = ["live_schema"]


@cache
def live_schema(kind: type[Settings] = Settings) -> dict[str, Any]:
    """Return the settings that the page shows, by group.

    Parameters
    ----------
    kind : type
        The settings.

    Returns
    -------
    dict
        ``groups``: each with ``name`` and ``settings``; each of these with ``name``, ``label``,
        ``help``, ``type`` (boolean, integer, number, string, choice), ``default``, ``optional``
        (whether null means something), and where there is one, ``unit``, ``minimum``,
        ``maximum``, ``step``, ``choices``, ``pattern``.
    """
    declared = kind.model_json_schema()
    groups = []
    for group in Group:
        settings = [
            _described(name, kind.about(name), declared["properties"][name], declared["$defs"])
            for name in kind.names(group=group, on_page=True)
        ]
        if settings:
            groups.append({"name": group.value, "settings": settings})
    return {"groups": groups}


def _described(
    name: str, about: About, declared: dict[str, Any], shared: dict[str, Any]
) -> dict[str, Any]:
    """Describe one setting, by its metadata and its JSON Schema."""
    of_value = _value(declared)
    if reference := of_value.get("$ref"):
        of_value = shared[reference.rpartition("/")[2]]
    described = {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "help": about.page_help or declared["description"],
        "type": "choice" if "enum" in of_value else of_value["type"],
        "default": declared.get("default"),
        "optional": "anyOf" in declared,
        "unit": about.unit or None,
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
