"""Workers that are processes: what becomes of them, and of what they were at."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from greenroom.archives.jobs import ProcessCrew, default_jobs
from greenroom.archives.planner import Kind, Unit
from greenroom.archives.tasks import Finished, Lost, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greenroom.archives.tasks import News

    Make = Callable[..., Path]

pytestmark = [
    pytest.mark.usefixtures("no_thread_left"),
    pytest.mark.skipif(sys.platform == "win32", reason="a named pipe makes a worker hang"),
]
DEADLINE_S = 60.0


@pytest.fixture
def stuck(tmp_path: Path) -> Task:
    """Return a task that never ends: its input is a pipe into which nobody writes."""
    pipe = tmp_path / "pipe.mkv"
    os.mkfifo(pipe)
    return Task(Unit(1, Kind.WHOLE), str(pipe), str(tmp_path / "1.mkv"), "one.mkv", {})


@pytest.fixture
def picture(make_picture: Make, tmp_path: Path) -> Task:
    """Return a task that ends soon."""
    source = make_picture(np.full((16, 16, 3), 90, np.uint8), "in.png")
    return Task(Unit(2, Kind.WHOLE), str(source), str(tmp_path / "2.png"), "two.png", {})


def wait_for(crew: ProcessCrew, is_there: Callable[[list[News]], bool]) -> list[News]:
    """Collect news until what is waited for is there."""
    end_s, news = time.monotonic() + DEADLINE_S, list["News"]()
    while not is_there(news):
        assert time.monotonic() < end_s, news
        news += crew.news(0.05)
    return news


def test_a_worker_that_is_killed_loses_its_file_alone(stuck: Task, picture: Task) -> None:
    """The other one goes on, and the next file gets a new process."""
    with closing(ProcessCrew(2)) as crew:
        crew.give(stuck)
        wait_for(crew, lambda _: len(crew.pids) == 1)
        (pid,) = crew.pids
        crew.give(picture)
        os.kill(pid, signal.SIGKILL)
        news = wait_for(crew, lambda news: {Lost, Finished} <= {type(one) for one in news})
        (lost,) = [one for one in news if isinstance(one, Lost)]
        assert (lost.unit, "'one.mkv'" in lost.message) == (stuck.unit, True)
        assert "SIGKILL" in lost.message
        (finished,) = [one for one in news if isinstance(one, Finished)]
        assert finished.unit == picture.unit
        assert crew.free == 2
        crew.give(replace(picture, target=picture.target.replace("2.png", "3.png")))
        wait_for(crew, lambda news: any(isinstance(one, Finished) for one in news))


def test_a_worker_that_hangs_is_ended(stuck: Task) -> None:
    """It is silent for longer than a frame can take, and the end of a file of that size."""
    now_s = 0.0
    with closing(ProcessCrew(1, silence_s=600.0, clock=lambda: now_s)) as crew:
        crew.give(replace(stuck, size=400 << 20))
        wait_for(crew, lambda _: len(crew.pids) == 1)
        now_s = 699.0
        assert list(crew.news(0.1)) == []
        now_s = 701.0
        (lost,) = wait_for(crew, lambda news: len(news) == 1)
        assert isinstance(lost, Lost)
        assert "silent for 701 s" in lost.message
        assert crew.pids == ()


def test_no_process_is_left(stuck: Task) -> None:
    """Not even one that hangs."""
    crew = ProcessCrew(1)
    crew.give(stuck)
    wait_for(crew, lambda _: len(crew.pids) == 1)
    (pid,) = crew.pids
    crew.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_machine_is_filled() -> None:
    """By default there is at least one worker, and at most one for each processor."""
    assert 1 <= default_jobs() <= (os.cpu_count() or 1)
