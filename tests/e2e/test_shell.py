"""What a shell does to a command: pipes, closed streams, signals, terminals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import pytest

from e2e.conftest import write_clip
from greenroom.settings import Group, Settings

if TYPE_CHECKING:
    from e2e.conftest import Run

COMMAND: Final = [sys.executable, "-m", "greenroom"]
DEADLINE_S: Final = 60.0
GROUPS: Final = {
    "run": tuple(group for group in Group if group is not Group.VIEW),
    "convert": tuple(group for group in Group if group not in (Group.CAMERA, Group.LIVE)),
    "matte": (Group.MODEL, Group.STAYS, Group.EDGE, Group.FAILURE, Group.OUTPUT),
    "demo": (Group.MODEL, Group.EDGE),
    "bench": (
        Group.BACKGROUND,
        Group.MODEL,
        Group.STAYS,
        Group.EDGE,
        Group.SCENE,
        Group.PICTURE,
        Group.CAMERA,
    ),
}


def files(folder: Path) -> set[str]:
    """Name everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which GREENROOM stands for the command."""
    line = command.replace("GREENROOM", f"'{sys.executable}' -m greenroom")
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


class TestStandardStreams:
    """Standard input and output that are not what they should be."""

    @pytest.mark.parametrize(
        "line",
        [
            "GREENROOM convert - out.mp4 <&-",
            "GREENROOM convert - out.mp4 </dev/null",
            "GREENROOM convert - out.mp4 <text",
            "GREENROOM convert clip.mp4 - >&-",
        ],
    )
    def test_is_one_sentence(self, clip: Path, tmp_path: Path, line: str) -> None:
        """A stream that is closed, empty or not video is a failure like others."""
        assert clip.exists()
        (tmp_path / "text").write_text("no video\n" * 99)
        before = files(tmp_path)
        result = shell(line, tmp_path)
        assert result.returncode == 1
        (sentence,) = result.stderr.splitlines()
        assert sentence.startswith("greenroom: error: ")
        assert "'-'" in sentence
        assert "a bug" not in sentence
        assert files(tmp_path) == before

    def test_reader_that_goes_away_is_no_news(self, clip: Path, tmp_path: Path) -> None:
        """``| head`` ends the command quietly, as it ends others."""
        assert clip.exists()
        result = shell("GREENROOM convert clip.mp4 - | head -c 100 >head", tmp_path)
        assert result.stderr == ""
        assert (tmp_path / "head").stat().st_size == 100

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
    def test_closed_streams_that_are_not_needed(self, tmp_path: Path, closed: str) -> None:
        """A file is converted the same without streams, and nothing else gets into it."""
        wanted, got = tmp_path / "open.png", tmp_path / "closed.png"
        still = tmp_path / "still.png"
        assert cv2.imwrite(str(still), np.full((64, 96, 3), 90, np.uint8))
        for path, streams in ((wanted, ""), (got, closed)):
            line = f"GREENROOM convert still.png {path.name} --background none {streams}"
            assert shell(line, tmp_path).returncode == 0
        assert got.read_bytes() == wanted.read_bytes()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
    @pytest.mark.parametrize("what", ["--help", "--version", "doctor", "models list"])
    def test_output_that_is_full(self, tmp_path: Path, what: str) -> None:
        """Standard output that takes nothing is a failure in one sentence, and no bug."""
        result = shell(f"GREENROOM {what} >/dev/full", tmp_path)
        assert result.returncode == 1
        assert result.stderr.startswith("greenroom: error: standard output cannot be written: no ")
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.parametrize("what", ["--help", "--version", "doctor", "models list"])
    def test_reader_that_is_gone(self, tmp_path: Path, what: str) -> None:
        """Who stops reading has what they wanted: nothing is said."""
        result = shell(f"GREENROOM {what} | true", tmp_path)
        assert result.stderr == ""

    def test_pipe_that_is_cut_off(self, tmp_path: Path) -> None:
        """A sender that dies in the middle of a file with a header is noticed."""
        data = write_clip(tmp_path / "whole.mkv", (96, 64), 100).read_bytes()
        (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
        before = files(tmp_path)
        result = shell("cat half.mkv | GREENROOM convert - out.mp4", tmp_path)
        assert result.returncode == 1
        assert "--allow-truncated" in result.stderr
        assert files(tmp_path) == before

    def test_pictures_of_several_sizes(self, run: Run, tmp_path: Path) -> None:
        """Pictures that have nothing to do with each other do not fit into one pipe."""
        (tmp_path / "in").mkdir()
        for number, size in enumerate((16, 32)):
            path = tmp_path / "in" / f"{number}.png"
            assert cv2.imwrite(str(path), np.full((size, size, 3), 90, np.uint8))
        result = run("convert", "in", "-", "--background", "none")
        assert result.status in (1, 2)
        assert len(result.err.splitlines()) == 1


class TestSignals:
    """SIGINT and SIGTERM in the middle of a long job."""

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize("target", ["out.mkv", "out%d.png"])
    def test_leave_nothing(
        self, tmp_path: Path, target: str, number: signal.Signals, status: int
    ) -> None:
        """No file, no temporary file, no traceback; the exit status says which it was."""
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [*COMMAND, "matte", "-", target], cwd=tmp_path, stdin=reading, stderr=subprocess.PIPE
        )
        os.close(reading)
        frame = b"FRAME\n" + bytes([90]) * (320 * 240 * 3 // 2)
        os.set_blocking(writing, False)
        waiting = b"YUV4MPEG2 W320 H240 F25:1 Ip A1:1 C420mpeg2\n"
        end = time.monotonic() + DEADLINE_S
        while not files(tmp_path) and time.monotonic() < end:
            waiting = waiting or frame
            with contextlib.suppress(BlockingIOError):
                waiting = waiting[os.write(writing, waiting) :]
            time.sleep(0.001)
        assert files(tmp_path)  # it is at work
        process.send_signal(number)
        _, errors = process.communicate(timeout=DEADLINE_S)
        os.close(writing)
        assert process.returncode == status
        assert len(errors.splitlines()) == 1
        assert files(tmp_path) == set()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_progress_on_a_terminal(clip: Path, tmp_path: Path) -> None:
    """Frames and rate are shown while it runs, on standard error only."""
    import pty  # noqa: PLC0415 - not on every system

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "convert", clip.name, "out.mp4"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # what Linux says at the end of a terminal
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert out == b""
    assert b"20/20" in shown
    assert b"clip.mp4" in shown


class TestNames:
    """Inputs and outputs by name."""

    @pytest.mark.parametrize("source", ["in/%d.png", "{}/in/%d.png", "in/../in/%d.png"])
    @pytest.mark.parametrize("target", ["in/%d.png", "{}/in/%d.png", "in/1.png"])
    def test_a_sequence_is_not_written_over(
        self, run: Run, tmp_path: Path, source: str, target: str
    ) -> None:
        """Pictures that are read are not replaced, however they are called."""
        (tmp_path / "in").mkdir()
        path = tmp_path / "in" / "1.png"
        assert cv2.imwrite(str(path), np.full((16, 16, 3), 90, np.uint8))
        data = path.read_bytes()
        result = run(
            "convert",
            source.format(tmp_path),
            target.format(tmp_path),
            "--overwrite",
            "--background",
            "color:teal",
        )
        assert result.status == 2, result
        assert "is the input" in result.err
        assert path.read_bytes() == data
        assert files(tmp_path / "in") == {"1.png"}

    def test_out_dir_of_the_input(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """``--out-dir`` does not write over the input either."""
        data = clip.read_bytes()
        result = run("convert", "clip.mp4", "--out-dir", ".", "--overwrite")
        assert result.status == 2
        assert "is the input" in result.err
        assert clip.read_bytes() == data
        assert files(tmp_path) == {"clip.mp4"}

    def test_name_that_is_not_unicode(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """A file's name is bytes on some systems; it is read, written and named in errors."""
        strange = os.fsdecode(b"\xff.mp4")
        try:
            clip.rename(tmp_path / strange)
        except OSError:
            pytest.skip("file names are Unicode here")
        assert run("convert", strange, os.fsdecode(b"\xfe.mkv")).status == 0
        result = run("convert", os.fsdecode(b"\xfd.mp4"), "out.mp4")
        assert (result.status, len(result.err.splitlines())) == (1, 1)

    def test_failure_in_the_middle_keeps_what_is_done(
        self, run: Run, clip: Path, tmp_path: Path
    ) -> None:
        """Of several inputs, those before the bad one are written, and nothing else is."""
        (tmp_path / "bad.mp4").write_text("text")
        (tmp_path / "out").mkdir()
        result = run("convert", clip, "bad.mp4", "--out-dir", "out", "--json")
        assert result.status == 1
        assert "bad.mp4" in result.err
        assert json.loads(result.out)["input"] == str(clip)
        assert files(tmp_path / "out") == {"clip.mp4"}


class TestOptions:
    """What all commands have."""

    @pytest.mark.parametrize("command", GROUPS)
    def test_help_is_complete_and_grouped(self, run: Run, command: str) -> None:
        """Each command's help has the settings of its groups, under their headings, no others."""
        result = run(command, "--help")
        assert result.status == 0
        for group in Group:
            assert (f" {group.value} ─" in result.out) == (group in GROUPS[command])
        for name in Settings.model_fields:
            flag = f"--{name.replace('_', '-')} "
            assert (flag in result.out) == (Settings.about(name).group in GROUPS[command]), name
        for flag in ("--config", "--debug", "--help"):
            assert flag in result.out

    def test_debug_shows_where(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """With ``--debug`` an error keeps its traceback; nothing is left all the same."""
        with pytest.raises(BaseException, match=r"missing\.png") as caught:
            run("convert", clip, "out.mp4", "--background", "missing.png", "--debug")
        assert caught.traceback
        assert files(tmp_path) == {"clip.mp4"}

    def test_a_flag_turns_off_what_the_file_turns_on(
        self, run: Run, clip: Path, tmp_path: Path
    ) -> None:
        """``--no-overwrite`` goes before ``overwrite = true``."""
        (tmp_path / "my.toml").write_text("overwrite = true\n")
        (tmp_path / "out.mp4").write_text("mine")
        refused = run("convert", clip, "out.mp4", "--config", "my.toml", "--no-overwrite")
        assert refused.status == 1
        assert (tmp_path / "out.mp4").read_text() == "mine"
        assert run("convert", clip, "out.mp4", "--config", "my.toml").status == 0

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ('quality = "high"', ("quality", "high")),
            ("threads = 1.5", ("threads", "1.5")),
            ("background = 5", ("background", "5")),
            ('fit = "covr"', ("fit", "covr")),
            ("smoothing = nan", ("smoothing", "finite")),
            ('[output]\ncodec = "h264"', ("unknown setting 'output'",)),
            ('codecs = "h264"', ("'codecs'", "did you mean 'codec'")),
            ("edge_softnes = 1", ("'edge_softnes'", "did you mean 'edge_softness'")),
            ('background = "a"\nbackground = "b"', ("not valid TOML",)),
        ],
    )
    @pytest.mark.parametrize("command", ["convert", "matte"])
    def test_settings_file_that_is_wrong(
        self,
        run: Run,
        clip: Path,
        tmp_path: Path,
        command: str,
        line: str,
        words: tuple[str, ...],
    ) -> None:
        """The file, the name and what is wrong are in one sentence."""
        (tmp_path / "my.toml").write_text(f"{line}\n")
        before = files(tmp_path)
        result = run(command, clip, "out.mkv", "--config", "my.toml")
        assert result.status == 2
        (sentence,) = result.err.splitlines()
        for word in ("my.toml", *words):
            assert word in sentence
        assert files(tmp_path) == before

    def test_demo_where_a_file_is(self, run: Run, tmp_path: Path) -> None:
        """A folder that cannot be made is named."""
        (tmp_path / "taken").write_text("mine")
        result = run("demo", "--out", "taken")
        assert result.status == 1
        (sentence,) = result.err.splitlines()
        assert "'taken'" in sentence
        assert (tmp_path / "taken").read_text() == "mine"
