"""Inputs as users name them, to single recordings: files, folders, patterns, lists, addresses."""

from __future__ import annotations

import csv
import json
import logging
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from greenroom.archives.setting_files import GROUPS, with_paths
from greenroom.archives.storage import Entry, below, is_address, join, storage_of
from greenroom.errors import SettingsError, SourceError
from greenroom.media.animation import moves
from greenroom.media.image_files import PICTURE_SUFFIXES
from greenroom.media.limits import MAX_PHOTO_SIDE_PX
from greenroom.media.numbered_names import NUMBER
from greenroom.media.paths import user_path
from greenroom.segmenters.best import with_best_model
from greenroom.settings import Settings
from greenroom.sinks import CONTAINERS, WRITTEN_SUFFIXES, written_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MISSING", "Recording", "recordings"]

logger = logging.getLogger(__name__)

MISSING: Final = "missing"
"""Fingerprint of an input that is not there."""

_LISTS: Final = (".csv", ".jsonl", ".ndjson")
# What is taken of a folder; a file that is named is taken whatever its name is.
_VIDEO_SUFFIXES: Final = (
    *CONTAINERS,
    *(".avi", ".wmv", ".asf", ".flv", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".3gp"),
    *(".ogv", ".mxf", ".dv", ".mjpeg", ".mjpg", ".gif", ".y4m"),
)
_TAKEN: Final = frozenset((*_VIDEO_SUFFIXES, *PICTURE_SUFFIXES))
# Pictures that may move, and become videos then; GIFs always do.
_MAY_MOVE: Final = (".webp", ".png", ".avif")
_WILD: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Recording:
    """One input, and where it goes.

    Attributes
    ----------
    input : Entry
        The file; its fingerprint is `MISSING` if it is not there.
    output : str
        Name in the output folder, with ``/`` between folders.
    settings : Settings
        Those of this file.
    """

    input: Entry
    output: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class _Found:
    """A file before its output has a name."""

    entry: Entry
    name: str  # below the folder that was given
    settings: Settings
    output: str = ""  # if a list gives it
    top: str = ""  # the folder that was given


def recordings(inputs: Sequence[str], out_dir: str, settings: Settings) -> list[Recording]:
    """Return the recordings that inputs name, each once.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders, patterns (``lectures/**/*.mp4``), lists (``.csv``, ``.jsonl``), and
        addresses of files, folders and patterns.
    out_dir : str
        The output folder; where it is in a folder of inputs, files in it are none.
    settings : Settings
        Those of files for which a list gives no others.

    Raises
    ------
    SettingsError
        If there are no inputs, a list is wrong, or two inputs would have the same output.
    SourceError
        If a folder or list cannot be read, or none of the inputs is there.
    MissingExtraError
        If addresses cannot be used.
    """
    found: dict[tuple[str, str], Recording] = {}
    repeated = 0
    for name in inputs:
        for one in _files_of(name, settings):
            if one.top and _is_in(one.entry.name, out_dir) and not _is_in(one.top, out_dir):
                continue
            recording = _named(one)
            key = (_identity(recording.input.name), recording.output)
            repeated += key in found
            found.setdefault(key, recording)
    result = list(found.values())
    if not result:
        given = ", ".join(f"'{name}'" for name in inputs)
        message = f"no video or picture was found in {given or 'no input'}."
        raise SettingsError(message)
    if all(one.input.fingerprint == MISSING for one in result):
        name = result[0].input.name
        message = f"input '{name}' cannot be read: there is no such file or folder."
        raise SourceError(message, name)
    if repeated:
        logger.warning("%d inputs were given more than once, and are done once", repeated)
    _check_collisions(result, out_dir)
    return result


def _files_of(name: str, settings: Settings) -> Iterator[_Found]:
    """Yield the files that one input names."""
    remote = is_address(name)
    storage, place = storage_of(name), name if remote else str(user_path(name).absolute())
    try:
        entry = storage.entry(place)
        if entry is not None and PurePosixPath(name).suffix.lower() in _LISTS:
            yield from _listed(place, settings)
        elif entry is not None:
            yield _Found(entry, Path(place).name, settings)
        elif storage.is_folder(place):
            for one in storage.entries(place):
                if PurePosixPath(one.name).suffix.lower() in _TAKEN:
                    yield _Found(one, below(one.name, place), settings, top=place)
        elif _WILD & set(name):
            top = _fixed_part(place)
            for one in storage.matching(place):
                yield _Found(one, below(one.name, top), settings, top=top)
        else:
            yield _missing(name, place, settings)
    except OSError as error:
        message = f"input '{name}' cannot be read: {error.strerror or error}."
        raise SourceError(message, name) from error


def _missing(name: str, place: str, settings: Settings) -> _Found:
    """Return a file that is not there: it is listed with those that failed."""
    if name == "-" or NUMBER.search(PurePosixPath(name).name):
        message = f"input '{name}': pipes and numbered pictures are done by greenroom convert."
        raise SettingsError(message)
    return _Found(Entry(place, 0, MISSING), Path(place).name, settings)


def _fixed_part(pattern: str) -> str:
    """Return the folder above the first part of a pattern that has a wild card.

    >>> _fixed_part("s3://talks/2024/**/*.mp4"), _fixed_part("*.mp4")
    ('s3://talks/2024', '.')
    """
    parts = pattern.split("/") if is_address(pattern) else list(Path(pattern).parts)
    fixed = parts[: next(number for number, part in enumerate(parts) if _WILD & set(part))]
    return "/".join(fixed) if is_address(pattern) else str(Path(*fixed))


def _named(found: _Found) -> Recording:
    """Give a file's output its name."""
    name = PurePosixPath(found.output or found.name)
    if not found.output:
        path = Path(found.entry.name)
        may_move = path.suffix.lower() in _MAY_MOVE and not is_address(found.entry.name)
        if may_move and moves(path, MAX_PHOTO_SIDE_PX):
            name = name.with_suffix(".mp4")
        else:
            transparent = found.settings.background == "transparent"
            name = name.with_name(written_name(name.name, transparent=transparent))
    return Recording(found.entry, name.as_posix(), with_best_model(found.settings))


def _identity(name: str) -> str:
    return name if is_address(name) else str(Path(name).resolve())


def _is_in(name: str, folder: str) -> bool:
    """Whether a file or folder is in a folder or below it, or is that folder."""
    if is_address(name) != is_address(folder):
        return False
    if is_address(name):
        return f"{name.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
    return Path(name).resolve().is_relative_to(Path(folder).resolve())


def _check_collisions(found: Sequence[Recording], out_dir: str) -> None:
    """Refuse two recordings with one output, capitals or not, and outputs that are inputs."""
    by_output: dict[str, Recording] = {}
    inputs = {_identity(one.input.name) for one in found}
    for one in found:
        if _identity(join(out_dir, one.output)) in inputs:
            message = f"output '{join(out_dir, one.output)}' is an input. Give another folder."
            raise SettingsError(message)
        key = unicodedata.normalize("NFC", one.output).casefold()
        other = by_output.setdefault(key, one)
        if other is not one:
            message = (
                f"'{other.input.name}' and '{one.input.name}' would both be written to "
                f"'{join(out_dir, one.output)}'. Rename one, or name its output in a list "
                f"(a .csv with the columns input and output)."
            )
            raise SettingsError(message)


def _listed(name: str, settings: Settings) -> Iterator[_Found]:
    """Yield the files of a list."""
    suffix = PurePosixPath(name).suffix.lower()
    try:
        text = storage_of(name).read(name).decode("utf-8-sig")
    except UnicodeDecodeError:
        message = f"list '{name}' is not text in UTF-8."
        raise SourceError(message, name) from None
    rows = _csv_rows(name, text) if suffix == ".csv" else _json_rows(name, text)
    allowed = {key for group in GROUPS for key in Settings.names(group=group)} - {"overwrite"}
    made: dict[str, Settings] = {}
    for line, row in rows:
        where = f"list '{name}', line {line}"
        source, output = row.pop("input", None), row.pop("output", None)
        if not isinstance(source, str) or not source:
            message = f"{where}: expected a file as 'input', not {source!r}."
            raise SettingsError(message)
        unknown = sorted(set(row) - allowed)
        if unknown:
            message = f"{where}: there is no setting '{unknown[0]}' for single files."
            raise SettingsError(message)
        key = json.dumps(row, sort_keys=True, default=str)
        if key not in made:
            made[key] = _own_settings(where, settings, row, name)
        yield _listed_file(where, name, source, _checked_output(where, output), made[key])


def _own_settings(where: str, settings: Settings, row: dict[str, Any], name: str) -> Settings:
    if not row:
        return settings
    values = row if is_address(name) else with_paths(row, Path(name).resolve().parent)
    try:
        return settings.changed(**values)
    except SettingsError as error:
        message = f"{where}: {error}"
        raise SettingsError(message, error.name) from None


def _listed_file(
    where: str, list_name: str, source: str, output: str, settings: Settings
) -> _Found:
    """Return a file of a list; its name is relative to the list's folder."""
    if is_address(source):
        place = source
    elif is_address(list_name):
        place = f"{list_name.rsplit('/', 1)[0]}/{source}"
    else:
        place = str(Path(list_name).parent.absolute() / user_path(source))
    storage = storage_of(place)
    if storage.is_folder(place) or place == list_name:
        message = f"{where}: expected a video or picture, not '{source}'."
        raise SettingsError(message)
    entry = storage.entry(place) or Entry(place, 0, MISSING)
    is_plain = not is_address(source) and not Path(source).is_absolute() and ".." not in source
    name = PurePosixPath(Path(source).as_posix()) if is_plain else PurePosixPath(source)
    return _Found(entry, str(name) if is_plain else name.name, settings, output)


def _checked_output(where: str, output: object) -> str:
    """Check an output's name in a list; it stays in the output folder."""
    if output in (None, ""):
        return ""
    path = PurePosixPath(str(output).replace("\\", "/"))
    is_inside = not path.is_absolute() and ".." not in path.parts and not is_address(str(output))
    is_hidden = any(part.startswith(".") for part in path.parts)
    if not isinstance(output, str) or not is_inside or is_hidden:
        message = f"{where}: expected the name of a file in the output folder, not {output!r}."
        raise SettingsError(message)
    if path.suffix.lower() not in (*CONTAINERS, *WRITTEN_SUFFIXES):
        message = (
            f"{where}: output '{output}' has an unknown extension: expected one of "
            f"{', '.join([*CONTAINERS, *WRITTEN_SUFFIXES])}."
        )
        raise SettingsError(message)
    return path.as_posix()


def _csv_rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True, strict=True)
    try:
        columns = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        if "input" not in columns or len(set(columns)) != len(columns):
            message = (
                f"list '{name}': expected a first line with the names of the columns, each once: "
                f"input, output, and settings; not '{', '.join(columns)}'."
            )
            raise SettingsError(message)
        for row in reader:
            if None in row:
                message = f"list '{name}', line {reader.line_num}: it has more than its columns."
                raise SettingsError(message)
            yield reader.line_num, {key: value for key, value in row.items() if value}
    except csv.Error as error:
        message = f"list '{name}', line {reader.line_num}: {error}."
        raise SettingsError(message) from error


def _json_rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines: Iterable[tuple[int, str]] = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            message = f"list '{name}', line {number}: expected an object of JSON on each line."
            raise SettingsError(message)
        yield number, {key: value for key, value in row.items() if value is not None}
