"""A batch and what may happen to it: interruptions, changes, full disks, lost credentials."""

from __future__ import annotations

import errno
import itertools
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from archives.conftest import VERSION, InlineCrew, copy
from greenroom.archives.batch import Batch, FileEnd
from greenroom.archives.inputs import recordings
from greenroom.archives.manifest import Made
from greenroom.archives.output_folder import OutputFolder
from greenroom.archives.planner import Kind, Retries
from greenroom.archives.storage import LocalStorage
from greenroom.archives.tasks import Failed, Fault, Finished, Lost, fault_of
from greenroom.errors import SettingsError, SinkError
from greenroom.settings import Settings

if TYPE_CHECKING:
    from archives.conftest import Go
    from greenroom.archives.tasks import News, Task


pytestmark = pytest.mark.usefixtures("talks")


class Killed(BaseException):
    """The process is killed here, as far as a test can do that in its own."""


def outputs(folder: Path) -> dict[str, bytes]:
    """Return what is in an output folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".greenroom" not in path.parts
    }


def left_over(folder: Path) -> list[Path]:
    """Return what is unfinished in an output folder."""
    return list((folder / ".greenroom/staged").iterdir())


def test_every_file_is_done_once(go: Go, talks: Path, tmp_path: Path) -> None:
    """The largest first; a second run finds nothing to do, and writes nothing."""
    first = go()
    assert (first.outcome.done, first.outcome.is_good) == (3, True)
    assert first.names == ["three.mp4", "two.mp4", "one.mp4"]
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "done").glob("*.mp4")}
    assert outputs(tmp_path / "done")["one.mp4"] == b"converted one"
    assert left_over(tmp_path / "done") == []
    second = go()
    assert (second.names, second.outcome.done_before, second.outcome.is_good) == ([], 3, True)
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert all(path.exists() for path in talks.glob("*"))


@pytest.mark.parametrize("moment", range(12))
def test_killed_at_any_step(
    go: Go, talks: Path, tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever step of the manifest or the disk is the last: what is finished is kept."""
    steps = itertools.count()

    def killed_there(name: str, method: object) -> object:
        def step(*values: object, **named: object) -> object:
            if next(steps) == moment:
                raise Killed(name)
            return method(*values, **named)  # type: ignore[operator]

        return step

    targets = [
        "greenroom.archives.manifest.Manifest.start",
        "greenroom.archives.manifest.Manifest.stage",
        "greenroom.archives.manifest.Manifest.finish",
        "greenroom.archives.storage.LocalStorage.move",
    ]
    with monkeypatch.context() as patch:
        # Nothing is cleaned up by a process that is killed.
        patch.setattr("greenroom.archives.output_folder.OutputFolder.clean", lambda *_: None)
        for target in targets:
            module, _, method = target.rpartition(".")
            owner = _resolve(module)
            patch.setattr(owner, method, killed_there(method, getattr(owner, method)))
        with pytest.raises(Killed):
            go()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "done").glob("*.mp4")}
    ran = go()
    assert ran.outcome.is_good
    assert outputs(tmp_path / "done") == {
        path.name: b"converted " + path.read_bytes() for path in talks.glob("*")
    }
    assert left_over(tmp_path / "done") == []
    # What had its name is not written again.
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert not {path.name for path in before} & set(ran.names)


def _resolve(name: str) -> object:
    module, _, owner = name.rpartition(".")
    return getattr(__import__(module, fromlist=[owner]), owner)


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode there")
def test_names_that_are_not_unicode(go: Go, talks: Path) -> None:
    """Old archives have them; such a file is done, and listed, as any other."""
    odd = talks / os.fsdecode(b"caf\xe9.mp4")
    odd.write_bytes(b"odd")

    def work(task: Task) -> News:
        return Failed(task.unit, Fault.FILE, f"'{task.shown}' is damaged.")

    ran = go(work)
    assert odd.name in ran.names
    assert (ran.outcome.failed, go().outcome.done, go().names) == (4, 4, [])


def test_changed_inputs_are_done_again(go: Go, talks: Path, tmp_path: Path) -> None:
    """And nothing else is; a new one is done with them."""
    go()
    (talks / "two.mp4").write_bytes(b"two, cut")
    (talks / "four.mp4").write_bytes(b"four")
    ran = go()
    assert sorted(ran.names) == ["four.mp4", "two.mp4"]
    assert outputs(tmp_path / "done")["two.mp4"] == b"converted two, cut"


def test_changed_settings_are_refused_unless_wanted(go: Go, tmp_path: Path) -> None:
    """A flag that was forgotten must not cost what is finished; --redo does it again."""
    beach = tmp_path / "beach.png"
    beach.write_bytes(b"sand")
    go(settings=Settings(background=str(beach)))
    with pytest.raises(SettingsError, match=r"other settings \(background: .*now blur\)"):
        go()
    # The same name, and another picture.
    beach.write_bytes(b"snow")
    with pytest.raises(SettingsError, match="the content of a file"):
        go(settings=Settings(background=str(beach)))
    before = outputs(tmp_path / "done")
    assert len(before) == 3
    # What only changes how fast it is made.
    beach.write_bytes(b"sand")
    assert go(settings=Settings(background=str(beach), threads=4)).names == []
    ran = go(redo=True)
    assert len(ran.names) == 3
    assert ran.outcome.is_good


def test_an_output_folder_of_another_job_is_refused(go: Go, talks: Path, tmp_path: Path) -> None:
    """Its outputs are of none of these inputs."""
    go()
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls/monday.mp4").write_bytes(b"monday")
    with pytest.raises(SettingsError, match="of another job"):
        go(inputs=[str(tmp_path / "calls")])
    # The same name, of another input.
    (tmp_path / "calls/one.mp4").write_bytes(b"another one")
    with pytest.raises(SettingsError, match="made of"):
        go(inputs=[str(tmp_path / "calls"), str(talks / "two.mp4")])
    assert go().outcome.done_before == 3


def test_files_of_others_are_not_replaced(go: Go, tmp_path: Path) -> None:
    """Nor what somebody changed; with overwrite they are."""
    (tmp_path / "done").mkdir()
    theirs = tmp_path / "done/one.mp4"
    theirs.write_bytes(b"theirs")
    ran = go()
    assert (ran.outcome.done, ran.outcome.failed) == (2, 1)
    assert "one.mp4" not in ran.names
    assert theirs.read_bytes() == b"theirs"
    (tmp_path / "done/two.mp4").write_bytes(b"edited")
    assert go().outcome.failed == 2
    assert (tmp_path / "done/two.mp4").read_bytes() == b"edited"
    ran = go(settings=Settings(overwrite=True))
    assert (sorted(ran.names), ran.outcome.is_good) == (["one.mp4", "two.mp4"], True)
    assert theirs.read_bytes() == b"converted one"


def test_an_output_that_appears_meanwhile_is_kept(go: Go, tmp_path: Path) -> None:
    """Somebody else's file of that name is not lost."""

    def late(task: Task) -> News:
        Path(task.shown).write_bytes(b"theirs")
        return copy(task)

    ran = go(late)
    assert ran.outcome.failed == 3
    assert set(outputs(tmp_path / "done").values()) == {b"theirs"}
    assert left_over(tmp_path / "done") == []


def test_one_bad_file_never_stops_the_rest(go: Go, talks: Path) -> None:
    """It is tried once, listed, and tried again by the next run."""

    def work(task: Task) -> News:
        if task.input.endswith("three.mp4"):
            return Failed(task.unit, Fault.FILE, "it is damaged.")
        return copy(task)

    ran = go(work)
    assert (ran.outcome.done, ran.outcome.failed) == (2, 1)
    assert ran.names.count("three.mp4") == 1
    (failed,) = [one for one in ran.told if isinstance(one, FileEnd) and one.error]
    assert (Path(failed.input), failed.error) == (talks / "three.mp4", "it is damaged.")
    ran = go()
    assert (ran.names, ran.outcome.is_good) == (["three.mp4"], True)


def test_fail_fast_stops_at_the_first_failure(go: Go) -> None:
    """What was not done is done by the next run."""

    def work(task: Task) -> News:
        return Failed(task.unit, Fault.FILE, "it is damaged.")

    ran = go(work, fail_fast=True)
    assert (ran.names, ran.outcome.failed, ran.outcome.left) == (["three.mp4"], 1, 2)
    assert "--fail-fast" in ran.outcome.stopped
    assert go().outcome.is_good


def test_lost_workers_cost_an_attempt(go: Go) -> None:
    """A file that ends its worker each time is given up after three, and the rest is done."""

    def work(task: Task) -> News:
        if task.input.endswith("two.mp4"):
            return Lost(task.unit, "its worker was lost: its process was ended by SIGSEGV.")
        return copy(task)

    ran = go(work)
    assert ran.names.count("two.mp4") == 3
    assert (ran.outcome.done, ran.outcome.failed) == (2, 1)
    (failed,) = [one for one in ran.told if isinstance(one, FileEnd) and one.error]
    assert (failed.attempts, "SIGSEGV" in failed.error) == (3, True)


def test_lost_machines_cost_no_attempt(go: Go) -> None:
    """A file whose machines are lost more often than it may fail is done in the end."""
    lost: list[str] = []

    def work(task: Task) -> News:
        if task.input.endswith("two.mp4") and len(lost) < 5:
            lost.append(task.target)
            return Lost(task.unit, "its machine was lost.", with_machine=True)
        return copy(task)

    ran = go(work)
    assert ran.names.count("two.mp4") == 6
    assert ran.outcome.is_good


def test_a_full_disk_stops_the_run(go: Go, tmp_path: Path) -> None:
    """Other files would fail alike; they are left for the next run, which does them."""

    def work(task: Task) -> News:
        if task.input.endswith("two.mp4"):
            Path(task.target).write_bytes(b"half")
            failed = SinkError("output cannot be written: no space left on device.")
            failed.__cause__ = OSError(errno.ENOSPC, "no space left on device")
            return Failed(task.unit, fault_of(failed), str(failed))
        return copy(task)

    ran = go(work)
    assert (ran.outcome.failed, ran.outcome.is_good) == (0, False)
    assert "no space left" in ran.outcome.stopped
    assert ran.outcome.done + ran.outcome.left == 3
    assert ran.names.count("two.mp4") == 1
    assert left_over(tmp_path / "done") == []
    assert go().outcome.is_good


def test_lost_credentials_stop_the_run(go: Go, talks: Path) -> None:
    """After attempts at a few files, and not for each of thousands."""
    for number in range(50):
        (talks / f"more-{number}.mp4").write_bytes(bytes([number]))
    allowed = 5

    def work(task: Task) -> News:
        nonlocal allowed
        allowed -= 1
        if allowed < 0:
            return Failed(task.unit, fault_of(PermissionError(13, "expired")), "access: expired.")
        return copy(task)

    ran = go(work, retries=Retries(attempts=2, first_s=0.0))
    assert ran.outcome.done == 5
    assert "credentials" in ran.outcome.stopped
    assert ran.outcome.failed <= 4
    assert ran.outcome.left > 40
    allowed = 1000
    assert go(work).outcome.is_good


def test_a_network_that_is_down_stops_the_run(go: Go, talks: Path) -> None:
    """Files are not listed by the hundred for what they are not to blame for."""
    for number in range(50):
        (talks / f"more-{number}.mp4").write_bytes(bytes([number]))

    def work(task: Task) -> News:
        return Failed(task.unit, Fault.PASSING, "the network is down.")

    ran = go(work, retries=Retries(attempts=2, first_s=0.0))
    assert (ran.outcome.failed, ran.outcome.left) == (10, 43)
    assert "the network is down" in ran.outcome.stopped


def test_one_file_without_access_does_not_stop_the_run(go: Go) -> None:
    """Its owner may have closed it alone."""

    def work(task: Task) -> News:
        if task.input.endswith("three.mp4"):
            return Failed(task.unit, Fault.DENIED, "access denied.")
        return copy(task)

    ran = go(work)
    assert (ran.outcome.done, ran.outcome.failed, ran.outcome.stopped) == (2, 1, "")


def test_a_clock_that_runs_backwards_changes_nothing(
    go: Go, talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the system's nor the time of files decides what is done."""
    times = itertools.count(2_000_000_000.0, -3600.0)
    monkeypatch.setattr(time, "time", lambda: next(times))
    failures = 2

    def work(task: Task) -> News:
        nonlocal failures
        failures -= 1
        return copy(task) if failures < 0 else Failed(task.unit, Fault.PASSING, "a network.")

    ticks = itertools.count(1e6, -10.0)
    ran = go(work, clock=lambda: next(ticks), retries=Retries(first_s=5.0))
    assert ran.outcome.is_good
    assert ran.outcome.seconds >= 0
    os.utime(talks / "one.mp4", (0, 0))  # the input comes out of an archive, older than before
    assert go().names == ["one.mp4"]


def test_an_input_that_is_changed_while_it_is_read(go: Go) -> None:
    """The manifest has the version that was read."""

    def work(task: Task) -> News:
        ended = copy(task)
        if task.input.endswith("one.mp4"):
            Path(task.input).write_bytes(b"newer")
        return ended

    assert go(work).outcome.is_good
    assert go().names == ["one.mp4"]


def test_two_runs_on_one_folder_are_refused(go: Go, tmp_path: Path) -> None:
    """The second says so; after the end of the first it may."""
    with OutputFolder(str(tmp_path / "done")), pytest.raises(SinkError, match="another batch"):
        go()
    assert go().outcome.is_good


def test_what_another_version_made_is_kept(go: Go, talks: Path, tmp_path: Path) -> None:
    """And said."""
    go()
    folder = OutputFolder(str(tmp_path / "done"))
    found = recordings([str(talks)], folder.name, Settings())
    with folder, Batch(found, folder, "2.0.0") as batch:
        assert (batch.standing.done, batch.standing.other_version) == (3, 3)
    with closing(sqlite3.connect(tmp_path / "done/.greenroom/manifest.sqlite")) as database:
        rows = database.execute("SELECT DISTINCT greenroom, state, frames FROM files").fetchall()
    assert rows == [(VERSION, "done", 5)]


@pytest.mark.parametrize("out", ["memory://out", "local"])
def test_addresses(go: Go, talks: Path, tmp_path: Path, out: str) -> None:
    """Outputs go there whole, are kept there, and are another machine's from then on."""
    pytest.importorskip("fsspec", reason="addresses need fsspec")
    address = f"{out}/{tmp_path.name}" if "://" in out else f"local://{tmp_path}/remote"
    source = f"local://{talks}"
    ran = go(inputs=[source], out=address)
    assert ran.outcome.is_good
    folder = OutputFolder(address, tmp_path / "state")
    assert folder.storage.read(f"{address}/two.mp4") == b"converted twotwo"
    assert sorted(folder.outputs()) == ["one.mp4", "three.mp4", "two.mp4"]
    assert go(inputs=[source], out=address).names == []
    (tmp_path / "state/manifest.sqlite").unlink()
    with pytest.raises(SettingsError, match="of another job, of the machine"):
        go(inputs=[source], out=address)


def test_results_of_abandoned_attempts_are_not_used(go: Go, tmp_path: Path) -> None:
    """A worker that hung and wrote after all wrote to a name of its own."""
    targets: list[str] = []

    def work(task: Task) -> News:
        targets.append(task.target)
        if len(targets) == 1:
            return Lost(task.unit, "it was silent.")
        if len(targets) == 2:
            Path(targets[0]).write_bytes(b"late")
        return copy(task)

    assert go(work).outcome.is_good
    assert len(set(targets)) == 4
    assert b"late" not in outputs(tmp_path / "done").values()
    assert left_over(tmp_path / "done") == []


def divided(task: Task) -> News:
    """Do a task by copying the input, the largest in three segments."""
    kind, entry = task.unit.kind, LocalStorage().entry(task.input)
    assert entry is not None
    if kind is Kind.SPLIT:
        texts = ("a", "b", "c") if task.input.endswith("three.mp4") else ()
        assert task.segment_s == 60
        return Finished(task.unit, None, entry, {}, segments=texts)
    if kind is Kind.WHOLE:
        return copy(task)
    assert task.fingerprint == entry.fingerprint
    made = Path(task.target)
    if kind is Kind.SEGMENT:
        made.write_bytes(task.segment.encode())
    else:
        made.write_bytes(b"joined " + b"".join(Path(part).read_bytes() for part in task.parts))
    end = LocalStorage().entry(task.target)
    assert end is not None
    return Finished(task.unit, Made(end.name, end.fingerprint, 5, 1, 0.5), entry, {"frames": 5})


def test_long_files_are_done_in_segments(go: Go, tmp_path: Path) -> None:
    """Short ones as a whole; the results of segments go when they are joined."""
    ran = go(divided, segment_s=60.0)
    assert ran.outcome.is_good
    assert outputs(tmp_path / "done")["three.mp4"] == b"joined abc"
    assert outputs(tmp_path / "done")["two.mp4"] == b"converted twotwo"
    assert left_over(tmp_path / "done") == []
    (end,) = [one for one in ran.told if isinstance(one, FileEnd) and "three" in one.output]
    assert (end.attempts, end.summary["seconds"]) == (1, 2.0)
    assert go(divided, segment_s=60.0).names == []


def test_segments_that_are_done_survive_an_interruption(go: Go, tmp_path: Path) -> None:
    """But for one whose result is gone; --segment-seconds need not be the same."""
    done: list[str] = []

    def interrupted(task: Task) -> News:
        if task.unit.kind is Kind.SEGMENT and len(done) == 2:
            raise Killed
        if task.unit.kind is Kind.SEGMENT:
            done.append(task.target)
        return divided(task)

    with pytest.raises(Killed):
        go(interrupted, segment_s=60.0)
    assert [Path(name).exists() for name in done] == [True, True]
    Path(done[0]).unlink()
    again: list[str] = []

    def work(task: Task) -> News:
        if task.unit.kind is Kind.SEGMENT:
            again.append(task.segment)
        return divided(task)

    assert go(work).outcome.is_good
    assert again == ["a", "c"]
    assert outputs(tmp_path / "done")["three.mp4"] == b"joined abc"
    assert left_over(tmp_path / "done") == []


def test_a_file_whose_segments_do_not_fit_is_done_as_a_whole(go: Go, tmp_path: Path) -> None:
    """It is not shown with a seam, and not given up either."""

    def work(task: Task) -> News:
        if task.unit.kind is Kind.JOIN:
            return Failed(task.unit, Fault.SEAM, "neighbours do not agree.")
        return divided(task)

    assert go(work, segment_s=60.0).outcome.is_good
    assert outputs(tmp_path / "done")["three.mp4"] == b"converted threethreethree"
    assert left_over(tmp_path / "done") == []


def test_a_file_is_told_of_once_however_many_of_its_segments_fail(go: Go) -> None:
    """Those that still run when it is given up fail as well."""

    def work(task: Task) -> News:
        if task.segment in ("b", "c"):
            return Failed(task.unit, Fault.FILE, f"{task.segment} is damaged.")
        return divided(task)

    ran = go(work, segment_s=60.0)
    assert (ran.outcome.done, ran.outcome.failed) == (2, 1)
    (end,) = [one for one in ran.told if isinstance(one, FileEnd) and one.error]
    assert end.error == "b is damaged."


def test_what_is_done_is_never_more_than_what_was_to_be_done(talks: Path, tmp_path: Path) -> None:
    """Segments that end after their file was given up do not count once more."""

    def work(task: Task) -> News:
        if task.segment == "b":
            return Failed(task.unit, Fault.FILE, "it is damaged.")
        return divided(task)

    folder = OutputFolder(str(tmp_path / "done"))
    found = recordings([str(talks)], folder.name, Settings())
    with folder, Batch(found, folder, VERSION, segment_s=60.0) as batch:
        to_do = batch.size_to_do
        batch.run(InlineCrew(work), lambda _: None)
        assert batch.size_done == to_do


def test_a_segment_that_is_given_up_fails_its_file_alone(go: Go, tmp_path: Path) -> None:
    """It is told once, though another one that ran fails, too; the next run does what is left."""

    def work(task: Task) -> News:
        if task.segment in ("a", "b"):
            return Failed(task.unit, Fault.FILE, "it is damaged.")
        return divided(task)

    ran = go(work, segment_s=60.0)
    assert (ran.outcome.done, ran.outcome.failed) == (2, 1)
    (failed,) = [one for one in ran.told if isinstance(one, FileEnd) and one.error]
    assert (failed.error, failed.attempts) == ("it is damaged.", 1)
    assert go(divided, segment_s=60.0).outcome.is_good
    assert outputs(tmp_path / "done")["three.mp4"] == b"joined abc"
