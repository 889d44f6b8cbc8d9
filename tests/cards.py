"""Cards for tests."""

from __future__ import annotations

from typing import Any, Final

from greenroom.segmenters.card import Card

PERSON_CARD: Final[dict[str, Any]] = {
    "name": "mine",
    "description": "made for a test",
    "runtime": "onnx",
    "file": {"name": "mine.onnx"},
    "input": {"size": [8, 6]},
}


def card_of(**parts: Any) -> Card:
    """Make a card of a small ONNX model, with some of its parts replaced or added to."""
    values = {**PERSON_CARD}
    for name, part in parts.items():
        both = isinstance(part, dict) and isinstance(values.get(name), dict)
        values[name] = {**values[name], **part} if both else part
    if "longest" in values["input"]:
        values["input"] = {k: v for k, v in values["input"].items() if k != "size"}
    return Card(**values)
