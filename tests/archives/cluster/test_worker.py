"""A worker of a cluster, without a cluster: what it checks at its start, does and leaves."""

from __future__ import annotations

import os
import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

import greenroom
from greenroom.archives.cluster.job import Job, Place, Share
from greenroom.archives.cluster.worker import Worker
from greenroom.archives.planner import Kind, Unit
from greenroom.archives.storage import storage_of
from greenroom.archives.tasks import Finished, Progress, Task
from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Iterator

# What Ray returns by itself, without its object store.
INLINE_BYTES = 100 << 10
PLACE = Place("10.0.0.6", 0, Share(1, 1), 64)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a clip of the synthetic person."""
    source = PersonSource((96, 64), frames=12)
    path = tmp_path / "clip.mkv"
    sink = create_sink(path, Settings(codec="ffv1"), source.info)
    for frame in source:
        sink.write(frame)
    sink.close()
    return path


@pytest.fixture
def job(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return what a worker is told, of files that are there."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    entry = storage_of(str(clip)).entry(str(clip))
    assert entry is not None
    mark = tmp_path / "mark"
    mark.write_bytes(b"content")
    settings = {"background": "color:teal"}
    return Job(str(greenroom.__version__), settings, (entry,), str(mark), b"content")


@pytest.fixture
def worker(job: Job) -> Iterator[Worker]:
    """Return a worker that is ready."""
    made = Worker(job, PLACE)
    assert made.begin() == ""
    yield made
    made.end()


def scratch(tmp_path: Path) -> list[Path]:
    """Return what workers have left."""
    return list((tmp_path / "scratch").glob("*/*"))


def test_a_unit_is_small_to_send_and_the_worker_leaves_nothing(
    job: Job, clip: Path, tmp_path: Path
) -> None:
    """What it returns fits into Ray's own message: nothing is put into the object store."""
    worker = Worker(job, PLACE)
    assert worker.begin() == ""
    target = str(tmp_path / "made.mkv")
    task = Task(Unit(7, Kind.WHOLE), str(clip), target, "done.mkv", job.settings)
    answer = worker.perform(task)
    assert len(pickle.dumps(answer)) < INLINE_BYTES
    ended, news = answer
    assert isinstance(ended, Finished), ended
    assert ended.made is not None
    assert (ended.unit, ended.made.frames) == (task.unit, 12)
    assert {one.unit for one in news if isinstance(one, Progress)} == {task.unit}
    assert worker.news() == []
    assert Path(target).is_file()
    worker.end()
    assert scratch(tmp_path) == []


def test_several_units_at_a_time(job: Job, clip: Path, tmp_path: Path) -> None:
    """Each has an engine of its own, and what is told is of the right one."""
    worker = Worker(job, replace(PLACE, share=Share(1, 2, 1, 2)))
    assert worker.begin() == ""
    tasks = [
        Task(
            Unit(number, Kind.WHOLE), str(clip), str(tmp_path / f"{number}.mkv"), "x", job.settings
        )
        for number in range(4)
    ]
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(worker.perform, tasks))
    assert [ended.unit for ended, _ in answers if isinstance(ended, Finished)] == [
        task.unit for task in tasks
    ]
    first, *others = (shown(tmp_path / f"{number}.mkv") for number in range(4))
    assert all(one == first for one in others)
    worker.end()


def shown(path: Path) -> list[bytes]:
    """Return the pictures of a clip."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


def test_another_version_is_refused(job: Job) -> None:
    """Both versions are named."""
    said = Worker(replace(job, version="0.0.1"), PLACE).begin()
    assert f"'10.0.0.6' has greenroom {greenroom.__version__}, and here it is 0.0.1" in said


def test_inputs_that_are_not_the_same_there(job: Job, clip: Path) -> None:
    """A machine without the storage would fail every file, so it gets none."""
    clip.write_bytes(b"another")
    assert f"does not see the input '{clip}' as it was here" in Worker(job, PLACE).begin()


def test_an_input_that_was_moved_meanwhile(job: Job, clip: Path) -> None:
    """A worker that starts late sees other inputs, and that is enough."""
    gone = replace(job.inputs[0], name=str(clip.with_name("moved.mkv")))
    worker = Worker(replace(job, inputs=(gone, *job.inputs)), PLACE)
    assert worker.begin() == ""
    worker.end()


@pytest.mark.parametrize("content", [None, b"another"])
def test_an_output_folder_that_is_not_the_same_there(job: Job, content: bytes | None) -> None:
    """A folder of the same name on its own disk would swallow what it makes."""
    if content is None:
        Path(job.mark).unlink()
    else:
        Path(job.mark).write_bytes(content)
    assert "does not see the output folder" in Worker(job, PLACE).begin()


def test_a_background_that_is_not_there(job: Job) -> None:
    """What all files need is tried before any is done."""
    said = Worker(replace(job, settings={"background": "/no/beach.jpg"}), PLACE).begin()
    assert said.startswith("machine '10.0.0.6': ")
    assert "/no/beach.jpg" in said


def test_a_machine_without_tokens(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would run the programs of whoever reaches it."""
    monkeypatch.delenv("RAY_AUTH_MODE")
    assert "RAY_AUTH_MODE=token" in Worker(job, PLACE).begin()


def test_files_of_killed_workers_are_removed(worker: Worker, job: Job, tmp_path: Path) -> None:
    """Those of a worker that is there stay."""
    kept = scratch(tmp_path)
    base = kept[0].parent
    (base / "dead").mkdir()
    (base / "dead/input.mp4").write_bytes(b"a room")
    (base / "dead.lock").touch()
    other = Worker(job, PLACE)
    assert other.begin() == ""
    assert not (base / "dead").exists()
    assert not (base / "dead.lock").exists()
    assert all(path.exists() for path in kept)
    other.end()
    assert worker.news() == []
    assert sorted(scratch(tmp_path)) == sorted(kept)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have owners on POSIX")
def test_a_folder_of_somebody_else(job: Job, tmp_path: Path) -> None:
    """A link that is there before the first worker is not followed: rooms would be seen."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "scratch" / f"greenroom-workers-{os.getuid()}").symlink_to(elsewhere)
    assert "is somebody else's" in Worker(job, PLACE).begin()
    assert list(elsewhere.iterdir()) == []
