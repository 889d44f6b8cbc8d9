"""Editing of TOML text: values are replaced, comments and layout stay."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.errors import SettingsError
from greenroom.media.toml_text import parse_toml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = ["Value", "rewritten", "toml_value"]

Value = str | bool | int | float | Path | None
"""What a setting can be. TOML has no None: such a setting is left out."""

# What a basic string of TOML 1.0 may not hold as it is: quotes, backslashes and controls.
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f\x7f]')
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_KEY: Final = re.compile(r"""\s*(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')\s*=[ \t]*""")


class _Statement(NamedTuple):
    """One statement of a file, which may span lines.

    Attributes
    ----------
    text : str
        All of it, without the end of the last line.
    name : str or None
        The setting that it gives a value to; None for comments and empty lines.
    head, comment : str
        What is before and behind the value.
    """

    text: str
    name: str | None = None
    head: str = ""
    comment: str = ""


def toml_value(name: str, value: Value) -> str:
    r"""Write a value as TOML.

    Parameters
    ----------
    name : str
        The setting, for the message.
    value : str, bool, int, float or Path

    Raises
    ------
    SettingsError
        If it has characters that a TOML file, which is UTF-8, cannot hold.

    Examples
    --------
    >>> toml_value("background", 'my "beach".jpg'), toml_value("mirror", True)
    ('"my \\"beach\\".jpg"', 'true')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"setting '{name}' cannot be saved: {text!r} is not Unicode, which TOML is. Rename "
            f"the file."
        )
        raise SettingsError(message, name) from error
    escaped = _ESCAPED.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), text)
    return f'"{escaped}"'


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
        None if the file is laid out in a way that this does not know.

    Raises
    ------
    SettingsError
        As in `toml_value`.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    statements = _statements(text.removesuffix("\n").removesuffix("\r").replace("\r\n", "\n"))
    lines = []
    missing = [name for name in values if name in needed]
    for statement in statements:
        if statement is None:
            return None
        if statement.name in missing:
            missing.remove(statement.name)
        lines += _lines(statement, values, needed=needed, same=same)
    lines += [f"{name} = {toml_value(name, values[name])}" for name in missing]
    return end.join("\n".join(lines).split("\n")) + end


def _lines(
    statement: _Statement,
    values: Mapping[str, Value],
    *,
    needed: Collection[str],
    same: Collection[str],
) -> list[str]:
    """Return the new lines of a statement."""
    name, comment = statement.name, statement.comment
    if name is None or (name in same and (name in needed or comment)):
        return [statement.text]
    value = values.get(name)
    if value is None:
        return [comment.strip()] if comment else []
    if name not in needed and not comment:
        return []
    return [f"{statement.head}{toml_value(name, value)}{comment}"]


def _statements(text: str) -> Iterator[_Statement | None]:
    """Split a text into statements; ends with None where it cannot be understood."""
    lines = text.split("\n") if text else []
    start = 0
    while start < len(lines):
        line = lines[start]
        if not line.strip() or line.lstrip().startswith("#"):
            yield _Statement(line)
            start += 1
            continue
        for stop in range(start + 1, len(lines) + 1):
            statement = _statement("\n".join(lines[start:stop]))
            if statement is not None:
                break
        else:
            yield None
            return
        yield statement
        start = stop


def _statement(text: str) -> _Statement | None:
    """Split a statement; None if the text is not a whole one."""
    head = _KEY.match(text)
    parsed = _parsed(text)
    if head is None or parsed is None or len(parsed) != 1:
        return None
    ((name, value),) = parsed.items()
    ends = [found.start() for found in re.finditer("#", text)]
    for end in (*ends, len(text)):
        bare = text[:end].rstrip()
        if len(bare) >= head.end() and _parsed(bare) == {name: value}:
            return _Statement(text, name, head[0], text[len(bare) :].rstrip())
    return None


def _parsed(text: str) -> dict[str, object] | None:
    try:
        return parse_toml(text)
    except ValueError:
        return None
