"""Editing of TOML text: values are replaced, comments and layout stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Item

from greenroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Value", "rewritten"]

Value = str | bool | int | float | Path | None
"""Value of a setting. TOML has no None, so a setting that is None is left out."""


def _toml_value(name: str, value: Value) -> Item:
    """Return a value as TOML; raise `SettingsError` if it is not Unicode."""
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            message = (
                f"setting '{name}' cannot be saved: {value!r} is not Unicode, which TOML is. "
                f"Rename the file."
            )
            raise SettingsError(message, name) from error
        value = str(value)  # a member of an enumeration, too
    return tomlkit.item(value)


def rewritten(
    text: str, values: Mapping[str, Value], *, needed: Collection[str], same: Collection[str]
) -> str | None:
    """Replace values in a TOML text, and leave the rest as it is.

    Parameters
    ----------
    text : str
        The file: valid TOML.
    values : mapping
        Every setting.
    needed : collection of str
        Those that the file has to have. Others leave it, except that a line with a comment
        of its own stays, with its value.
    same : collection of str
        Those whose lines are right already.

    Returns
    -------
    str or None
        None if the file is laid out in a way that cannot be edited.

    Raises
    ------
    SettingsError
        If a value has characters that a TOML file cannot hold.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    try:
        document = tomlkit.parse(text if text.endswith("\n") or not text else f"{text}\n")
    except (TOMLKitError, RecursionError):
        return None
    for name in list(document):
        item = document.item(name)
        if not isinstance(item, Item):  # tables, which no setting is
            return None
        value, trivia = values.get(name), item.trivia
        if name in same and (name in needed or trivia.comment):
            continue
        if value is not None and (name in needed or trivia.comment):
            document[name] = _toml_value(name, value)
        elif trivia.comment:
            _leave_comment(document, name, trivia.comment)
        else:
            document.remove(name)
    for name in values:
        if name in needed and name not in document:
            document.add(name, _toml_value(name, values[name]))
    return document.as_string().replace("\n", end)


def _leave_comment(document: tomlkit.TOMLDocument, name: str, comment: str) -> None:
    """Replace a statement by its comment."""
    keys = [None if key is None else key.key for key, _ in document.body]
    number = keys.index(name)
    document.remove(name)
    document.body[number] = (None, tomlkit.comment(comment.removeprefix("#").strip()))
