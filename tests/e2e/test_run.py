"""``greenroom run``, as somebody starts it in a shell."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import av
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND: Final = [sys.executable, "-m", "greenroom"]
DEADLINE_S: Final = 60.0
QUIET: Final = ("--source", "demo", "--to", "null,page", "--port", "0")
posix = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no SIGUSR1")


class Running:
    """A run in a process of its own, and what it says."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.env = environment(home)
        self.process = subprocess.Popen(
            [*COMMAND, "run", *arguments],
            cwd=home,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def until_said(self, pattern: str, after: int = 0) -> re.Match[str]:
        """Wait until a line says something."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            for line in self.lines[after:]:
                if found := re.search(pattern, line):
                    return found
            if self.process.poll() is not None:
                self._reader.join(DEADLINE_S)
                if not any(re.search(pattern, line) for line in self.lines[after:]):
                    break
            time.sleep(0.02)
        pytest.fail(f"it never said {pattern!r}, but {self.lines}")

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit status; it may not take long."""
        self.process.send_signal(number)
        return self.process.wait(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which nothing of the user's is seen."""
    own = {name: str(home / name) for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    return {**os.environ, "HOME": str(home), **own, "PYTHONUNBUFFERED": "1"}


def greenroom(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return finished(home, [*COMMAND, *arguments])


def finished(home: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in an environment in which nothing of the user's is seen."""
    return subprocess.run(
        command,
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Start one that shows the demonstration."""
    pytest.importorskip("skimage", reason="the demonstration needs scikit-image")
    with Running(tmp_path, *QUIET, "--background", "color:teal") as started:
        started.until_said("sending you in front of color:teal")
        yield started


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_is_covered_among_silent_connections(running: Running, tmp_path: Path) -> None:
    """With 256 descriptors and 400 connections that say nothing, the cover key works."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux limits another process")
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (256, 256))
    port = int(running.until_said(r"page: http://127\.0\.0\.1:(\d+)/")[1])
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S))
        covered = greenroom(tmp_path, "cover", "on")
        assert (covered.returncode, covered.stdout, covered.stderr) == (0, "covered\n", "")
        assert greenroom(tmp_path, "page", "--print").returncode == 0
    assert [line for line in running.lines if "warning" in line] == []


def test_says_once_what_is_sent(running: Running) -> None:
    """The camera, every place where the picture goes, and what it is."""
    text = "\n".join(running.lines)
    assert text.count("camera") == 0
    assert re.search(r"source: demo \(1280x720", text)
    assert re.search(r"null: .*1280x720", text)
    assert re.search(r"page: http://127\.0\.0\.1:\d+/#token=\S+", text)
    assert text.count("sending") == 1


@posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it(running: Running, number: signal.Signals, status: int) -> None:
    """Soon, with one sentence, and with the status that says which it was."""
    assert running.end(number) == status
    assert "Traceback" not in "\n".join(running.lines)


@posix
def test_covered_from_outside(running: Running, tmp_path: Path) -> None:
    """The command and the signal cover, and uncover."""
    for cover, uncover in (
        (lambda: greenroom(tmp_path, "cover", "on"), lambda: greenroom(tmp_path, "cover", "off")),
        (lambda: running.process.send_signal(signal.SIGUSR1),) * 2,
    ):
        said = len(running.lines)
        result: Any = cover()
        assert result is None or (result.returncode, result.stderr) == (0, "")
        running.until_said("sending the cover. Covered, because you asked for it", said)
        said = len(running.lines)
        uncover()
        running.until_said("sending you in front of", said)


def test_two_at_once(running: Running, tmp_path: Path) -> None:
    """The second one says who runs already, and ends."""
    result = greenroom(tmp_path, "run", *QUIET)
    assert result.returncode == 1
    assert str(running.process.pid) in result.stderr
    assert "Traceback" not in result.stderr
    assert running.process.poll() is None


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--source", "no such camera", "--to", "null"), 1, "camera"),
        (("--source", "demo", "--to", "camera"), 1, "modprobe v4l2loopback"),
        (("--source", "demo", "--to", "nowhere"), 2, "pipewire"),
        (("--source", "demo", "--to", "null", "--background", "no.jpg"), 1, "no such file"),
        (("--source", "demo", "--background", "transparent"), 2, "cannot be transparent"),
        (("--source", "demo", "--to", "null", "--size", "big"), 2, "WIDTHxHEIGHT"),
        (("--config", "none.toml"), 2, "none.toml"),
    ],
)
def test_what_cannot_be_run(
    tmp_path: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    """One sentence says what is wrong and what to do."""
    if "modprobe" in message and (os.path.exists("/sys/module/v4l2loopback")):  # noqa: PTH110
        pytest.skip("there is a virtual camera here")
    result = greenroom(tmp_path, "run", "--port", "0", *arguments)
    assert result.returncode == status, result.stderr
    assert message in result.stderr
    said = [line for line in result.stderr.splitlines() if line.startswith("greenroom: ")]
    assert len(said) == 1
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="there always is a screen elsewhere")
def test_window_without_a_screen(tmp_path: Path) -> None:
    """A window that nobody would see is an error, and pygame says nothing of its own."""
    pytest.importorskip("pygame", reason="the window is the extra 'window'")
    unset = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "PYGAME_HIDE_SUPPORT_PROMPT")
    env = {name: value for name, value in environment(tmp_path).items() if name not in unset}
    result = subprocess.run(
        [*COMMAND, "run", "--source", "demo", "--to", "window", "--port", "0"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 1
    assert "there is no screen here" in result.stderr
    assert "--to camera,page" in result.stderr
    assert "pygame" not in result.stdout


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_port_in_use(running: Running, tmp_path: Path) -> None:
    """The page cannot be there twice, whoever has the port."""
    port = running.until_said(r"127\.0\.0\.1:(\d+)")[1]
    home = tmp_path / "other"
    home.mkdir()
    result = greenroom(home, "run", "--source", "demo", "--to", "null,page", "--port", port)
    assert result.returncode == 1
    assert f"{port}" in result.stderr
    assert "--port" in result.stderr


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_port_without_a_page(running: Running, tmp_path: Path) -> None:
    """Where no page was asked for, its port may be in use by anybody."""
    port = running.until_said(r"127\.0\.0\.1:(\d+)")[1]
    home = tmp_path / "other"
    home.mkdir()
    arguments = ("--source", "demo", "--to", "null", "--seconds", "0.5", "--port", port)
    assert greenroom(home, "run", *arguments).returncode == 0


def test_records_a_file(tmp_path: Path) -> None:
    """A recording is there, whole, when it has ended by itself."""
    pytest.importorskip("skimage", reason="the demonstration needs scikit-image")
    arguments = ("--source", "demo", "--to", "file:out.mp4", "--seconds", "4")
    result = greenroom(tmp_path, "run", "--port", "0", *arguments, "--background", "color:teal")
    # A slow machine may prepare, cover, and choose to do less.
    complaints = re.findall(r"^greenroom: (?:error|warning).*", result.stderr, re.MULTILINE)
    assert (result.returncode, complaints) == (0, [])
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = [frame.time for frame in container.decode(video=0)]
    assert len(frames) > 5  # of 100, on a machine that has something else to do
    assert frames == sorted(frames)


def test_a_second_ctrl_c_costs_no_recording(tmp_path: Path) -> None:
    """Whoever presses it, or the cover key, while all is put in order still gets all of it."""
    pytest.importorskip("skimage", reason="the demonstration needs scikit-image")
    arguments = ("--source", "demo", "--to", "file:out.mp4,null")
    with Running(tmp_path, *arguments) as run:
        run.until_said("sending you")
        run.process.send_signal(signal.SIGINT)
        end = time.monotonic() + DEADLINE_S
        while run.process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
            for number in (signal.SIGINT, getattr(signal, "SIGUSR2", signal.SIGINT)):
                run.process.send_signal(number)
        assert run.process.wait(DEADLINE_S) == 130
    assert not any("Traceback" in line for line in run.lines)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).width == 1280


def test_picture_before_the_page(tmp_path: Path) -> None:
    """The first picture of the person leaves before what serves the page is loaded."""
    program = (
        "import sys\n"
        "from greenroom.desktop import launch\n"
        "from greenroom.live.gate import Gate\n"
        "launch._PICTURE_S = 50.0\n"  # the machine may be busy
        "offer = Gate.offer\n"
        "def offered(*arguments):\n"
        "    left = offer(*arguments)\n"
        "    print('left', left, 'fastapi' in sys.modules, flush=True)\n"
        "    return left\n"
        "Gate.offer = offered\n"
        "from greenroom.cli import main\n"
        "main()\n"
    )
    words = ["run", *QUIET, "--no-on-demand", "--seconds", "0.1"]
    result = finished(tmp_path, [sys.executable, "-c", program, *words])
    lines = result.stdout.splitlines()
    assert next(line for line in lines if line.startswith("left")) == "left True False"
    assert any(line.startswith("page: http://127.0.0.1:") for line in lines), result.stderr
