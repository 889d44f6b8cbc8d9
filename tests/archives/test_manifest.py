"""The manifest: where it cannot be kept, and what it makes of a page of rows."""

from __future__ import annotations

import sqlite3
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from greenroom.archives.manifest import Made, Manifest, State
from greenroom.archives.planner import Kind, Unit
from greenroom.archives.setting_files import SettingsKey
from greenroom.archives.storage import Entry
from greenroom.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = SettingsKey("digest", "{}")


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    """Return an empty manifest."""
    made = Manifest(tmp_path, "1.2.3")
    yield made
    made.close()


def test_pending_files_come_the_largest_first_while_others_end(manifest: Manifest) -> None:
    """Pages of rows and changes between them leave none out and give none twice."""
    run = manifest.begin_run()
    with manifest.transaction():
        for number in range(1000):
            entry = Entry(f"in/{number}", number // 3, "f")
            manifest.add(f"{number}.mp4", entry, KEY, run)
    sizes, numbers = [], []
    for (unit,) in manifest.pending(run, split=False):
        sizes.append(manifest.file(unit.file).size)
        numbers.append(unit.file)
        manifest.set_state(unit, State.FAILED, "it is damaged")
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(numbers) == list(range(1, 1001))
    assert manifest.totals(run) == {State.FAILED: (1000, sum(sizes))}
    assert len(list(manifest.rows(run, State.FAILED))) == 1000


def test_pending_files_are_not_held(manifest: Manifest) -> None:
    """What is in memory is a page, however many files there are."""
    run = manifest.begin_run()
    with manifest.transaction():
        for number in range(4000):
            manifest.add(f"{number}.mp4", Entry(f"in/{number}", number, "f"), KEY, run)
    tracemalloc.start()
    try:
        assert sum(len(units) for units in manifest.pending(run, split=True)) == 4000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 << 10


def test_segments_that_are_done_are_kept(manifest: Manifest) -> None:
    """After an interruption a file goes on with those that are left, or with the join."""
    run = manifest.begin_run()
    number = manifest.add("long.mp4", Entry("long", 9, "f"), KEY, run)
    assert list(manifest.pending(run, split=True)) == [(Unit(number, Kind.SPLIT),)]
    assert manifest.segment_count(number) == 0
    manifest.set_segments(number, ["first", "second"], Entry("long", 9, "f"))
    assert (manifest.segment_count(number), manifest.segment(number, 1)) == (2, "second")
    parts = [Unit(number, Kind.SEGMENT, part) for part in range(2)]
    for part in parts:
        manifest.start(part)
    made = Made("staged-0", "f0", 100, 0, 1.0)
    manifest.stage(parts[0], made, State.DONE, Entry("long", 9, "f"))
    run = manifest.begin_run()
    manifest.keep(number, "long", State.PENDING, run)
    assert list(manifest.pending(run, split=True)) == [(parts[1],)]
    manifest.stage(parts[1], made, State.DONE, Entry("long", 9, "f"))
    assert list(manifest.pending(run, split=True)) == [(Unit(number, Kind.JOIN),)]
    assert [(one.described, one.staged) for one in manifest.segments(number)] == [
        ("first", "staged-0"),
        ("second", "staged-0"),
    ]
    assert manifest.parts_kept() == {"staged-0"}
    manifest.finish(number, "f1")
    assert manifest.parts_kept() == set()


def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says where else it may be."""
    connect = sqlite3.connect

    class NoWal(sqlite3.Connection):
        """A database on such a file system."""

        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            return super().execute(statement.replace("journal_mode=WAL", "journal_mode"), *values)  # type: ignore[arg-type]

    monkeypatch.setattr(
        "sqlite3.connect", lambda *values, **named: connect(*values, factory=NoWal, **named)
    )
    with pytest.raises(SinkError, match="--state-dir"):
        Manifest(tmp_path, "1.2.3")


def test_a_manifest_of_another_format_or_none_at_all(tmp_path: Path) -> None:
    """Each is refused, and left as it is."""
    Manifest(tmp_path, "1.2.3").close()
    with closing(sqlite3.connect(tmp_path / Manifest.FILE_NAME)) as database:
        database.execute("UPDATE facts SET value = '99' WHERE name = 'format'")
        database.commit()
    with pytest.raises(SinkError, match="of format 99"):
        Manifest(tmp_path, "1.2.3")
    other = tmp_path / "other"
    other.mkdir()
    (other / Manifest.FILE_NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(SinkError, match="move it away"):
        Manifest(other, "1.2.3")
    assert (other / Manifest.FILE_NAME).read_bytes().startswith(b"no database")
