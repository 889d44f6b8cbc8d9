"""The manifest of an output folder: every file and segment, how far it is, and what it was made of.

It is an SQLite database in write-ahead mode, so that it can be read while a run writes it, and is
whole after any interruption. Times of day in it are for people; nothing is decided by them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.archives.planner import Kind, Unit
from greenroom.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from greenroom.archives.setting_files import SettingsKey
    from greenroom.archives.storage import Entry

__all__ = ["FileRow", "Made", "Manifest", "SegmentRow", "State"]

_FORMAT: Final = "1"
# Rows that are read at a time, so that memory does not grow with the number of files.
_PAGE: Final = 200
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (digest TEXT PRIMARY KEY, chosen TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY,
    output TEXT NOT NULL UNIQUE,
    input TEXT NOT NULL,
    size INTEGER NOT NULL,          -- of the input, in bytes
    fingerprint TEXT NOT NULL,      -- of the input
    settings TEXT NOT NULL,         -- digest
    state TEXT NOT NULL,
    run INTEGER NOT NULL,           -- the last run that had it among its inputs
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    staged TEXT, made TEXT,         -- where the finished output is until it gets its name, and
    written TEXT,                   -- its fingerprint; that of the output which has the name
    frames INTEGER, covered INTEGER,
    seconds REAL,                   -- what the last attempt took
    greenroom TEXT,                 -- version that made the output
    began TEXT, ended TEXT          -- times of day
);
CREATE INDEX IF NOT EXISTS files_to_do ON files (run, state, size DESC, number);
CREATE TABLE IF NOT EXISTS segments (
    file INTEGER NOT NULL, part INTEGER NOT NULL,
    described TEXT NOT NULL,        -- where it begins and ends, as JSON
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    staged TEXT, made TEXT,
    frames INTEGER, covered INTEGER, seconds REAL, greenroom TEXT, began TEXT, ended TEXT,
    PRIMARY KEY (file, part)
) WITHOUT ROWID;
"""


class State(StrEnum):
    """State of a file or segment."""

    PENDING = "pending"
    RUNNING = "running"
    STAGED = "staged"
    """Finished, and not under its final name yet."""
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of the manifest; see its table for the columns."""

    number: int
    output: str
    input: str
    size: int
    fingerprint: str
    settings: str
    state: State
    run: int
    attempts: int
    error: str | None
    staged: str | None
    made: str | None
    written: str | None
    frames: int | None
    covered: int | None
    seconds: float | None
    greenroom: str | None


class SegmentRow(NamedTuple):
    """A segment of the manifest; see its table for the columns."""

    described: str
    state: str
    staged: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Made:
    """What a worker made of a unit.

    Attributes
    ----------
    staged : str
        Path or address of the result.
    fingerprint : str
        Its fingerprint.
    frames, covered : int
        Frames in it, and how many of these show the background alone.
    seconds : float
        How long it took.
    """

    staged: str
    fingerprint: str
    frames: int
    covered: int
    seconds: float


_COLUMNS: Final = ", ".join(FileRow.__slots__)


class Manifest:
    """The manifest in a folder. For one thread, and one run at a time.

    Parameters
    ----------
    folder : Path
        On this machine.
    version : str
        That of greenroom.

    Raises
    ------
    SinkError
        If it cannot be opened, or is none of this version's.
    """

    FILE_NAME: Final = "manifest.sqlite"

    def __init__(self, folder: Path, version: str) -> None:
        self.path = folder / self.FILE_NAME
        self._version = version
        with self._explained():
            # Every statement stands for itself, but for those in a transaction.
            self._database = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
        try:
            self._open()
        except BaseException:
            self._database.close()
            raise

    def _open(self) -> None:
        with self._explained():
            (mode,) = self._database.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":
                message = (
                    f"the manifest '{self.path}' cannot be kept safe there: the file system has no "
                    f"shared memory or locks, as some network folders. Give a folder on a disk of "
                    f"this machine for it (--state-dir)."
                )
                raise SinkError(message, self.path)
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_TABLES)
            found = self.fact("format")
            if found is None:
                self._set_fact("format", _FORMAT)
            elif found != _FORMAT:
                message = (
                    f"the manifest '{self.path}' is of format {found}, and this greenroom "
                    f"({self._version}) has {_FORMAT}. Use the version that made it, or another "
                    f"output folder."
                )
                raise SinkError(message, self.path)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the database into a `SinkError`."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            hint = "Free some space, or see whether the folder can be written"
            if isinstance(error, sqlite3.OperationalError) and "lock" in str(error):
                hint = "Close what else uses it, or put it on a local disk (--state-dir)"
            elif not isinstance(error, sqlite3.OperationalError):
                hint = "If it is damaged, move it away: what is in the output folder stays"
            message = f"the manifest '{self.path}' cannot be used: {error}. {hint}."
            raise SinkError(message, self.path) from error

    def close(self) -> None:
        """Close it."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Return a context in which all changes are made together, or none."""
        with self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def fact(self, name: str) -> str | None:
        """Return something noted about the whole job."""
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else str(row[0])

    def _set_fact(self, name: str, value: str) -> None:
        self._do("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def owner(self, new: str) -> str:
        """Return the name of this job, which is the new one if it has none yet."""
        found = self.fact("owner")
        if found is None:
            with self._on_disk():
                self._set_fact("owner", new)
        return found or new

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """Have a change survive a power failure; others are only sure to be whole or not there."""
        self._do("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            self._do("PRAGMA synchronous=NORMAL")

    def begin_run(self) -> int:
        """Return the number of a new run; what an interrupted one was at is pending again."""
        with self.transaction():
            run = int(self.fact("run") or 0) + 1
            self._set_fact("run", str(run))
            self.put_back()
        return run

    def put_back(self) -> None:
        """Have everything that is noted as running be pending again."""
        for table in ("files", "segments"):
            self._do(
                f"UPDATE {table} SET state = ? WHERE state = ?",  # noqa: S608 - no input
                State.PENDING,
                State.RUNNING,
            )

    def row(self, output: str) -> FileRow | None:
        """Return a file by its output."""
        found = self._one(f"SELECT {_COLUMNS} FROM files WHERE output = ?", output)  # noqa: S608
        return None if found is None else _row(found)

    def file(self, number: int) -> FileRow:
        """Return a file by its number."""
        found = self._one(f"SELECT {_COLUMNS} FROM files WHERE number = ?", number)  # noqa: S608
        assert found is not None
        return _row(found)

    def any_row(self) -> FileRow | None:
        """Return some file; None if there are none."""
        found = self._one(f"SELECT {_COLUMNS} FROM files ORDER BY number LIMIT 1")  # noqa: S608
        return None if found is None else _row(found)

    def chosen(self, digest: str) -> str:
        """Return the settings behind a digest, as JSON."""
        row = self._one("SELECT chosen FROM settings WHERE digest = ?", digest)
        return "{}" if row is None else str(row[0])

    def add(self, output: str, source: Entry, key: SettingsKey, run: int) -> int:
        """Add a file that is pending, or set one that is there back; return its number."""
        self._do("INSERT OR IGNORE INTO settings VALUES (?, ?)", key.digest, key.values)
        self._do(
            "INSERT INTO files (output, input, size, fingerprint, settings, state, run) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (output) DO UPDATE SET "
            "input = excluded.input, size = excluded.size, fingerprint = excluded.fingerprint, "
            "settings = excluded.settings, state = excluded.state, run = excluded.run, "
            "attempts = 0, error = NULL, staged = NULL, made = NULL",
            *(output, source.name, source.size, source.fingerprint, key.digest, State.PENDING, run),
        )
        found = self._one("SELECT number FROM files WHERE output = ?", output)
        assert found is not None
        number = int(found[0])
        self._do("DELETE FROM segments WHERE file = ?", number)
        return number

    def keep(self, number: int, source: str, state: State, run: int) -> None:
        """Have a file take part in a run as it is, but for its state and the name of its input."""
        self._do(
            "UPDATE files SET input = ?, state = ?, run = ? WHERE number = ?",
            *(source, state, run, number),
        )

    def pending(self, run: int, *, split: bool) -> Iterator[tuple[Unit, ...]]:
        """Yield for each pending file of a run what can begin at once, the largest file first.

        Parameters
        ----------
        run : int
        split : bool
            Whether files are to be split that are not yet.
        """
        size, number = 1 << 62, 0
        while True:
            page = self._all(
                "SELECT size, number FROM files WHERE run = ? AND state = ? "
                "AND (size < ? OR (size = ? AND number > ?)) ORDER BY size DESC, number LIMIT ?",
                *(run, State.PENDING, size, size, number, _PAGE),
            )
            for _, one in page:
                yield self._units(one, split=split)
            if len(page) < _PAGE:
                return
            size, number = page[-1]

    def _units(self, number: int, *, split: bool) -> tuple[Unit, ...]:
        states = self._all("SELECT part, state FROM segments WHERE file = ? ORDER BY part", number)
        if not states:
            return (Unit(number, Kind.SPLIT if split else Kind.WHOLE),)
        left = tuple(
            Unit(number, Kind.SEGMENT, part) for part, state in states if state != State.DONE
        )
        return left or (Unit(number, Kind.JOIN),)

    def set_segments(self, number: int, described: Sequence[str], source: Entry) -> None:
        """Note where a file is divided, and which version of it; with nothing it is not divided."""
        with self.transaction():
            self._note_input(number, source)
            self._do("DELETE FROM segments WHERE file = ?", number)
            for part, text in enumerate(described):
                self._do(
                    "INSERT INTO segments (file, part, described, state) VALUES (?, ?, ?, ?)",
                    *(number, part, text, State.PENDING),
                )

    def forget_segments(self, number: int) -> None:
        """Have a file not be divided."""
        self._do("DELETE FROM segments WHERE file = ?", number)

    def segments(self, number: int) -> list[SegmentRow]:
        """Return the segments of a file, in order; none if it is not divided."""
        found = self._all(
            "SELECT described, state, staged, seconds FROM segments WHERE file = ? ORDER BY part",
            number,
        )
        return [SegmentRow(*one) for one in found]

    def segment(self, number: int, part: int) -> str:
        """Return where a segment begins and ends, as JSON."""
        found = self._one(
            "SELECT described FROM segments WHERE file = ? AND part = ?", number, part
        )
        assert found is not None
        return str(found[0])

    def segment_count(self, number: int) -> int:
        """Return how many segments a file has; 0 if it is not divided."""
        # Not COUNT, which reads all of them: a day in minutes has 1440.
        found = self._one("SELECT MAX(part) FROM segments WHERE file = ?", number)
        assert found is not None
        return 0 if found[0] is None else int(found[0]) + 1

    def check_segments(self, run: int, is_there: Callable[[str], bool]) -> None:
        """Have segments of a run done again whose results are not there any more."""
        found = self._all(
            "SELECT file, part, staged FROM segments WHERE state = ? "
            "AND file IN (SELECT number FROM files WHERE run = ?)",
            *(State.DONE, run),
        )
        for file, part, staged in found:
            if not is_there(staged):
                self.set_state(Unit(file, Kind.SEGMENT, part), State.PENDING)

    def start(self, unit: Unit) -> None:
        """Note that a unit is being worked on."""
        table, where, place = _place(unit)
        self._do(
            f"UPDATE {table} SET state = ?, began = ? WHERE {where}",  # noqa: S608 - no input
            *(State.RUNNING, _now(), *place),
        )

    def set_state(self, unit: Unit, state: State, error: str | None = None) -> None:
        """Note what became of a unit that did not succeed: with an error, which is an attempt."""
        table, where, place = _place(unit)
        self._do(
            f"UPDATE {table} SET state = ?, error = ?, ended = ?, staged = NULL, made = NULL, "  # noqa: S608 - no input
            f"attempts = attempts + ? WHERE {where}",
            *(state, error, _now(), error is not None, *place),
        )
        if unit.kind is Kind.SEGMENT and error is not None:
            self._do("UPDATE files SET attempts = attempts + 1 WHERE number = ?", unit.file)

    def fail(self, number: int, error: str) -> None:
        """Note that a file is given up."""
        self._do(
            "UPDATE files SET state = ?, error = ?, ended = ?, staged = NULL, made = NULL "
            "WHERE number = ?",
            *(State.FAILED, error, _now(), number),
        )

    def stage(self, unit: Unit, made: Made, state: State, source: Entry) -> None:
        """Note what was made of a unit, and of which version of the input.

        A file is staged then, and a segment done. It is on the disk before the output gets its
        name: one whose record was lost would be taken for somebody else's.
        """
        table, where, place = _place(unit)
        with self._on_disk(), self.transaction():
            self._do(
                f"UPDATE {table} SET state = ?, staged = ?, made = ?, frames = ?, covered = ?, "  # noqa: S608 - no input
                f"seconds = ?, greenroom = ?, error = NULL, attempts = attempts + 1 WHERE {where}",
                *(state, made.staged, made.fingerprint, made.frames, made.covered),
                *(made.seconds, self._version, *place),
            )
            self._note_input(unit.file, source)

    def _note_input(self, number: int, source: Entry) -> None:
        self._do(
            "UPDATE files SET fingerprint = ?, size = ? WHERE number = ?",
            *(source.fingerprint, source.size, number),
        )

    def finish(self, number: int, written: str) -> None:
        """Note that a file's output has its name; its segments are forgotten."""
        with self.transaction():
            self._do(
                "UPDATE files SET state = ?, written = ?, staged = NULL, made = NULL, ended = ? "
                "WHERE number = ?",
                *(State.DONE, written, _now(), number),
            )
            self._do("DELETE FROM segments WHERE file = ?", number)

    def staged(self) -> list[FileRow]:
        """Return the files that are finished and lack their names."""
        return [
            _row(found)
            for found in self._all(
                f"SELECT {_COLUMNS} FROM files WHERE state = ?",  # noqa: S608
                State.STAGED,
            )
        ]

    @classmethod
    def copy(cls, source: Path, folder: Path, version: str) -> Self:
        """Return a copy in another folder, to try something with; empty if there is none.

        Raises
        ------
        SinkError
            See the class.
        """
        path = source / cls.FILE_NAME
        if path.exists():
            try:
                with (
                    closing(
                        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
                    ) as old,
                    closing(sqlite3.connect(folder / cls.FILE_NAME)) as new,
                ):
                    old.backup(new)
            except sqlite3.DatabaseError as error:
                message = f"the manifest '{path}' cannot be read: {error}."
                raise SinkError(message, path) from error
        return cls(folder, version)

    def totals(self, run: int) -> dict[State, tuple[int, int]]:
        """Return how many files of a run are in each state, and how many bytes they have."""
        rows = self._all(
            "SELECT state, COUNT(*), SUM(size) FROM files WHERE run = ? GROUP BY state", run
        )
        return {State(state): (count, size) for state, count, size in rows}

    def frames(self, run: int) -> tuple[int, int, int]:
        """Return the frames of files that are done, those covered, and in how many files."""
        found = self._one(
            "SELECT SUM(frames), SUM(covered), SUM(covered > 0) FROM files "
            "WHERE run = ? AND state = ?",
            *(run, State.DONE),
        )
        assert found is not None
        return found[0] or 0, found[1] or 0, found[2] or 0

    def rows(self, run: int, state: State) -> Iterator[FileRow]:
        """Yield the files of a run in a state, by the names of their outputs."""
        last = ""
        while True:
            page = self._all(
                f"SELECT {_COLUMNS} FROM files WHERE run = ? AND state = ? AND output > ? "  # noqa: S608
                "ORDER BY output LIMIT ?",
                *(run, state, last, _PAGE),
            )
            yield from map(_row, page)
            if len(page) < _PAGE:
                return
            last = _row(page[-1]).output

    def parts_kept(self) -> set[str]:
        """Return where results are that are still needed."""
        rows = self._all(
            "SELECT staged FROM files WHERE staged IS NOT NULL "
            "UNION SELECT staged FROM segments WHERE staged IS NOT NULL"
        )
        return {name for (name,) in rows}

    def _do(self, statement: str, *values: object) -> None:
        with self._explained():
            self._database.execute(statement, tuple(map(_stored, values)))

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        found = self._all(statement, *values)
        return found[0] if found else None

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._explained():
            rows = self._database.execute(statement, tuple(map(_stored, values)))
            return [_restored(row) for row in rows]


def _stored(value: object) -> object:
    """Return a value as the database takes it: names of files need not be Unicode."""
    if isinstance(value, str) and not value.isascii():
        return _undecodable(value) or value
    return value


def _undecodable(text: str) -> bytes | None:
    """Return a name as bytes if it is not Unicode, else None."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogateescape")
    return None


def _restored(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row with the names that were stored as bytes."""
    if not any(isinstance(value, bytes) for value in row):
        return row
    return tuple(
        value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
        for value in row
    )


def _row(found: tuple[Any, ...]) -> FileRow:
    row = FileRow(*found)
    object.__setattr__(row, "state", State(row.state))
    return row


def _place(unit: Unit) -> tuple[str, str, tuple[int, ...]]:
    """Return the table of a unit, the condition for its row, and the values in that."""
    if unit.kind is Kind.SEGMENT:
        return "segments", "file = ? AND part = ?", (unit.file, unit.part)
    return "files", "number = ?", (unit.file,)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
