"""``greenroom batch`` as users call it, and killed at random moments."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import greenroom
from e2e.conftest import write_clip
from greenroom.archives.output_folder import OutputFolder

if TYPE_CHECKING:
    from e2e.conftest import Run

COMMAND = [sys.executable, "-m", "greenroom", "batch", "in", "--out-dir", "out"]
DEADLINE_S = 120.0


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a folder with three clips, one of them in a folder, and a file that is none."""
    folder = tmp_path / "in"
    (folder / "2024").mkdir(parents=True)
    write_clip(folder / "one.mp4", (96, 64), 20)
    write_clip(folder / "2024/two.mp4", (96, 64), 12)
    write_clip(folder / "three.mkv", (96, 64), 6)
    (folder / "bad.mp4").write_bytes(b"no video" * 100)
    return folder


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the outputs in a folder, as files that were written once."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".greenroom" not in path.parts
    }


def test_an_archive_with_a_bad_file(run: Run, archive: Path, tmp_path: Path) -> None:
    """The rest is done as convert does it; the end is told by table, JSON and status."""
    rehearsal = run("batch", "in", "--out-dir", "out", "--jobs", 2, "--dry-run")
    assert (rehearsal.status, (tmp_path / "out").exists()) == (0, False)
    assert "4 files to do" in rehearsal.out
    assert "with 2 workers, measured on" in rehearsal.out
    result = run("batch", "in", "--out-dir", "out", "--jobs", 2, "--report", "sheet")
    assert result.status == 1
    assert "done         3\n" in result.out
    sheet = (tmp_path / "sheet" / "index.html").read_text()
    assert sheet.index("bad.mp4") < sheet.index("2024/two.mp4")
    assert len(list((tmp_path / "sheet" / "thumbnails").iterdir())) == 18
    assert "failed: bad.mp4 (1 attempt): input " in result.out
    assert "bad.mp4' cannot be read" in result.err
    written = state(tmp_path / "out")
    assert set(written) == {"one.mp4", "2024/two.mp4", "three.mkv"}
    for name in ("one.mp4", "2024/two.mp4"):
        greenroom.convert(archive / name, tmp_path / "plain.mp4", overwrite=True)
        assert (tmp_path / "plain.mp4").stat().st_size > 0
        frames = [
            greenroom_frames(path) for path in (tmp_path / "plain.mp4", tmp_path / "out" / name)
        ]
        assert frames[0] == frames[1]
    (archive / "bad.mp4").unlink()
    result = run("batch", "in", "--out-dir", "out", "--json")
    assert (result.status, state(tmp_path / "out")) == (0, written)
    assert json.loads(result.out.splitlines()[-1])["batch"]["done_before"] == 3
    result = run("batch", "in", "--out-dir", "out", "--background", "color:teal")
    assert (result.status, state(tmp_path / "out")) == (2, written)
    assert "other settings (background: blur, now color:teal)" in result.err


def greenroom_frames(path: Path) -> list[int]:
    """Return the times of a clip's frames."""
    import av  # noqa: PLC0415

    with av.open(str(path)) as container:
        return [int(frame.pts or 0) for frame in container.decode(video=0)]


def test_wrong_usage(run: Run, archive: Path, tmp_path: Path) -> None:
    """No inputs, no output folder and a background that is not there are told at once."""
    (tmp_path / "empty").mkdir()
    assert run("batch", "empty", "--out-dir", "out").status == 2
    assert run("batch", "in").status == 2
    assert run("batch", "--out-dir", "out").status == 2
    result = run("batch", "in", "--out-dir", "out", "--background", "no.png")
    assert (result.status, "no.png" in result.err) == (1, True)
    assert state(tmp_path / "out") == {}
    assert archive.exists()


def test_a_second_run_at_the_same_time_is_refused(run: Run, archive: Path, tmp_path: Path) -> None:
    """It says so, and touches nothing."""
    with OutputFolder(str(tmp_path / "out")):
        result = run("batch", "in", "--out-dir", "out")
    assert (result.status, "another batch is at work" in result.err) == (1, True)
    assert archive.exists()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that run."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder with clips that take a part of a second each."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        write_clip(folder / f"{number}.mp4", (96, 64), 30 + number)
    return folder


def start(folder: Path) -> subprocess.Popen[str]:
    """Start a batch of two workers, in a group of processes of its own."""
    return subprocess.Popen(
        [*COMMAND, "--jobs", "2", "--preset", "ultrafast"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_at(folder: Path, moment_s: float, how: str) -> bool:
    """Start a batch, and end it or one of its workers; return whether it ended by that."""
    with start(folder) as process:
        try:
            process.wait(timeout=moment_s)
        except subprocess.TimeoutExpired:
            workers = children(process.pid)
            if how == "ctrl-c":
                os.killpg(process.pid, signal.SIGINT)
            elif how == "worker" and workers:
                os.kill(workers[-1], signal.SIGKILL)
            else:
                process.kill()
                end(workers)
        out, _ = process.communicate(timeout=DEADLINE_S)
        # Python itself may be interrupted before the command has begun.
        has_begun = "KeyboardInterrupt" not in out and process.returncode != -signal.SIGINT
        assert not has_begun or process.returncode in (0, 130, -signal.SIGKILL), out
        return process.returncode != 0


def end(workers: list[int]) -> None:
    """Wait for workers whose process in front is gone: they end by themselves."""
    end_s = time.monotonic() + DEADLINE_S
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers):
        assert time.monotonic() < end_s, "a worker is left"
        time.sleep(0.05)


def check_end(folder: Path, clips: Path, before: dict[str, tuple[int, int]]) -> None:
    """Go on to the end: all is there, whole, and nothing was written again."""
    with start(folder) as process:
        out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, out
    after = state(folder / "out")
    assert set(after) == {path.name for path in clips.iterdir()}
    assert before.items() <= after.items()
    for path in clips.iterdir():
        assert greenroom_frames(folder / "out" / path.name) == greenroom_frames(path)
    assert list((folder / "out/.greenroom/staged").iterdir()) == []


linux_only = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds workers in /proc"
)


@linux_only
def test_killed_again_and_again(clips: Path, tmp_path: Path) -> None:
    """At three random moments, a worker alone and by Ctrl-C, too; then all is there, once."""
    chance = random.Random(time.time_ns())  # noqa: S311 - not a secret
    before: dict[str, tuple[int, int]] = {}
    for how in ("all", "worker", "ctrl-c"):
        kill_at(tmp_path, chance.uniform(0.8, 2.0), how)
        seen = state_or_empty(tmp_path / "out")
        assert before.items() <= seen.items()
        before = seen
    check_end(tmp_path, clips, before)


def state_or_empty(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the outputs in a folder that may not be there yet."""
    return state(folder) if folder.exists() else {}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@linux_only
def test_killed_at_twenty_moments(clips: Path, tmp_path: Path) -> None:
    """Each time it goes on to a good end."""
    began_s = time.monotonic()
    check_end(tmp_path, clips, {})
    length_s = time.monotonic() - began_s
    chance = random.Random(time.time_ns())  # noqa: S311 - not a secret
    killed = 0
    for number in range(20):
        moment_s = chance.uniform(0.1, 0.9) * length_s
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "in").symlink_to(clips)
        killed += kill_at(folder, moment_s, "worker" if number % 4 == 3 else "all")
        before = state_or_empty(folder / "out")
        check_end(folder, clips, before)
    assert killed >= 10
