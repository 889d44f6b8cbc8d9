"""A camera in PipeWire: against a real daemon and session manager, read by a real consumer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pytest
import pyvirtualcam
from live.rig import Rig
from live.test_real_sinks import BACKEND, WatchedCamera
from numpy.testing import assert_array_equal

from greenroom.devices.pipewire import feeder, graph, pods, process
from greenroom.devices.pipewire.graph import Graph, documents
from greenroom.errors import SinkError, VirtualCameraError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.sinks import pipewire_sink
from greenroom.sinks.pipewire_sink import PipeWireSink
from greenroom.sinks.virtual_camera import VirtualCameraSink
from greenroom.testing import Fault, FaultySegmenter, count_room_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from greenroom.sinks.sink import LiveSink

PROGRAMS: Final = ("pipewire", "wireplumber", "dbus-daemon", "gst-launch-1.0", "pw-dump")
RATE: Final = Fraction(30)
SIZE: Final = (320, 180)
LENGTH: Final = SIZE[0] * SIZE[1] * 3 // 2
DEADLINE_S: Final = 15.0
LIMITED_709: Final = Colour(1, 1)


def has_everything() -> bool:
    """Tell whether PipeWire, its session manager and a program that reads from it are here."""
    if not all(shutil.which(program) for program in PROGRAMS):
        return False
    inspect = ["gst-inspect-1.0", "pipewiresrc"]
    return subprocess.run(inspect, capture_output=True, check=False, timeout=60).returncode == 0


needs_pipewire = pytest.mark.skipif(
    not has_everything(), reason=f"needs {', '.join(PROGRAMS)} and GStreamer's pipewiresrc"
)


def until(happened: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait for something that other processes do."""
    end_s = time.monotonic() + deadline_s
    while not happened():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.02)


class Desktop:
    """A session bus, PipeWire and WirePlumber in a runtime directory of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bus = self._start(
            "dbus-daemon",
            "--session",
            "--nofork",
            "--nopidfile",
            f"--address=unix:path={folder}/bus",
        )
        until((folder / "bus").exists)
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start PipeWire and its session manager."""
        self._daemons = [self._start("pipewire")]
        until((self._folder / "pipewire-0").exists)
        self._daemons.append(self._start("wireplumber"))
        until(lambda: b"WirePlumber" in self.dump())

    def stop(self) -> None:
        """End both."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(DEADLINE_S)
        self._daemons = []

    def close(self) -> None:
        """End everything."""
        self.stop()
        self._bus.terminate()
        self._bus.wait(DEADLINE_S)

    def dump(self) -> bytes:
        """Return the graph as ``pw-dump`` prints it."""
        return subprocess.run(
            [shutil.which("pw-dump") or "pw-dump"], capture_output=True, check=False, timeout=10
        ).stdout

    def nodes(self) -> list[dict[str, str]]:
        """Return the properties of all nodes."""
        printed = self.dump().decode()
        # It may print what changed meanwhile as a second list.
        objects, _ = json.JSONDecoder().raw_decode(printed) if printed.strip() else ([], 0)
        return [
            one["info"]["props"] for one in objects if one.get("type") == "PipeWire:Interface:Node"
        ]

    @contextmanager
    def consumer(self, file: Path, count: int = -1) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program that reads the camera, as a browser would, and writes its frames."""
        consumer = self._start(
            *("gst-launch-1.0", "-q", "pipewiresrc", "target-object=greenroom"),
            *(f"num-buffers={count}", "!"),
            *("video/x-raw,format=I420", "!", "filesink", "buffer-mode=unbuffered"),
            f"location={file}",
        )
        try:
            yield consumer
        finally:
            consumer.kill()
            consumer.wait()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


@pytest.fixture
def desktop(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desktop]:
    """Give PipeWire a place where it meets nobody else's."""
    # Not a test's usual folder: the name of a socket has 107 bytes at most.
    folder = Path("/tmp") / f"greenroom-pw-{os.getpid()}-{time.monotonic_ns()}"  # noqa: S108
    folder.mkdir(mode=0o700)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    state = tmp_path_factory.mktemp("state")
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, str(state))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={folder}/bus")
    running = Desktop(folder)
    running.start()
    yield running
    running.close()
    shutil.rmtree(folder)


def numbered(number: int, size: tuple[int, int] = SIZE) -> Frame:
    """Make a frame whose luma rises from left to right and says its number in the first rows."""
    frame = Frame.empty(Layout(*size, "yuv420p", LIMITED_709))
    y, u, v = frame.planes
    y[:] = np.linspace(16, 235, size[0]).astype(np.uint8)
    y[:4] = 16 + number % 64
    y[:4, :8] = 16 + number // 64
    u[:], v[:] = 80 + number % 16, 170
    return frame.shown_at(number * 33333, Fraction(1, 1_000_000))


class Sending:
    """Writes frames into a sink at its rate, on a thread of its own."""

    def __init__(self, sink: PipeWireSink, size: tuple[int, int] = SIZE) -> None:
        self.sent = 0
        self.longest_s = 0.0
        self.errors: list[str] = []
        self._sink = sink
        self._size = size
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        # A consumer that comes in the moment in which the camera does is not connected by
        # WirePlumber 0.4, whoever made the camera.
        try:
            until(lambda: self.sent > 10)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._sink.close()

    def _work(self) -> None:
        while not self._ended.wait(1 / float(RATE)):
            start_s = time.monotonic()
            try:
                self._sink.write(numbered(self.sent, self._size))
            except SinkError as error:
                self.errors.append(str(error))
                continue
            if self.sent:
                self.longest_s = max(self.longest_s, time.monotonic() - start_s)
            self.sent += 1


def frames_in(file: Path, size: tuple[int, int]) -> list[tuple[NDArray[np.uint8], ...]]:
    """Take planes out of a file of I420 frames."""
    width, height = size
    data = np.fromfile(file, np.uint8)
    length = width * height * 3 // 2
    luma = width * height
    return [
        (
            one[:luma].reshape(height, width),
            one[luma : luma * 5 // 4].reshape(height // 2, width // 2),
            one[luma * 5 // 4 :].reshape(height // 2, width // 2),
        )
        for one in (data[at : at + length] for at in range(0, len(data) - length + 1, length))
    ]


def numbers_in(file: Path) -> list[int]:
    """Return the numbers of the frames that a consumer wrote."""
    firsts = [luma[0] for luma, _, _ in frames_in(file, SIZE)]
    return [64 * (int(row[0]) - 16) + int(row[8]) - 16 for row in firsts]


def is_growing(file: Path) -> bool:
    """Tell whether something is written to a file."""
    size = size_of(file)
    time.sleep(0.1)
    return size_of(file) > size


def size_of(file: Path) -> int:
    """Return how much was written to a file so far."""
    return file.stat().st_size if file.exists() else 0


@needs_pipewire
@pytest.mark.usefixtures("no_thread_left")
class TestRealPipeWire:
    """The camera as programs read it from PipeWire."""

    @pytest.mark.parametrize("size", [(320, 180), (318, 179)])
    def test_consumer_gets_the_very_samples(
        self, desktop: Desktop, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        """Every plane comes out exactly as it went in, in order; odd sizes repeat their edge."""
        file = tmp_path / "got.i420"
        with Sending(PipeWireSink(RATE), size), desktop.consumer(file, 8) as consumer:
            assert consumer.wait(DEADLINE_S) == 0
        received = frames_in(file, (320, 180))
        assert len(received) == 8
        before = -1
        for y, u, v in received:
            number = 64 * (int(y[0, 0]) - 16) + int(y[0, 8]) - 16
            assert number > before
            before = number
            sent = numbered(number, size)
            width, height = size
            assert_array_equal(y[:height, :width], sent.planes[0])
            assert_array_equal(u[: (height + 1) // 2, : (width + 1) // 2], sent.planes[1])
            assert_array_equal(v, np.full((90, 160), 170))
            assert_array_equal(y[:, width:], np.repeat(y[:, width - 1 : width], 320 - width, 1))
            assert_array_equal(y[height:], np.repeat(y[height - 1 : height], 180 - height, 0))

    def test_is_found_as_a_camera(self, desktop: Desktop) -> None:
        """The node has the class, role and names by which browsers and the portal find cameras."""
        sink = PipeWireSink(RATE)
        assert sink.readers() is None
        with Sending(sink):
            until(lambda: any(node.get("node.name") == "greenroom" for node in desktop.nodes()))
            (node,) = [node for node in desktop.nodes() if node.get("node.name") == "greenroom"]
            assert node["media.class"] == "Video/Source"
            assert node["media.role"] == "Camera"
            assert node["node.description"] == "greenroom"
            assert sink.device == "greenroom (PipeWire)"
        until(lambda: not any(node.get("node.name") == "greenroom" for node in desktop.nodes()))

    def test_knows_who_looks(self, desktop: Desktop, tmp_path: Path) -> None:
        """Readers are counted as they come and go."""
        told: list[int | None] = []
        sink = PipeWireSink(RATE)
        sink.on_readers = lambda: told.append(sink.readers())
        with Sending(sink):
            until(lambda: sink.readers() == 0)
            with desktop.consumer(tmp_path / "first"):
                until(lambda: size_of(tmp_path / "first") > 0)
                until(lambda: sink.readers() == 1)
                with desktop.consumer(tmp_path / "second"):
                    until(lambda: sink.readers() == 2)
                until(lambda: sink.readers() == 1)
            until(lambda: told[-1] == 0)
        assert told[0] == 0

    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGCONT])
    def test_consumer_that_hangs_misses_frames(
        self, desktop: Desktop, tmp_path: Path, end: signal.Signals
    ) -> None:
        """Nothing is kept for it, nor for the next one; another one misses nothing."""
        got, beside, after = (tmp_path / name for name in ("got", "beside", "after"))
        with Sending(PipeWireSink(RATE)) as sending, desktop.consumer(beside):
            until(lambda: size_of(beside) > 0)
            with desktop.consumer(got) as consumer:
                until(lambda: size_of(got) > 0)
                consumer.send_signal(signal.SIGSTOP)
                until(lambda: not is_growing(got))
                before, sent = size_of(got) // LENGTH, sending.sent
                until(lambda: sending.sent > sent + 45)
                sent = sending.sent
                consumer.send_signal(end)
                if end is signal.SIGCONT:
                    until(lambda: size_of(got) // LENGTH > before + 5)
            with desktop.consumer(after, 5) as consumer:
                assert consumer.wait(DEADLINE_S) == 0
        assert sending.errors == []
        # One may have been on its way.
        assert all(number >= sent - 1 for number in numbers_in(got)[before + 1 :])
        assert min(numbers_in(after)) >= sent - 1
        assert set(np.diff(numbers_in(beside))) == {1}

    def test_killed_consumers_leave_nothing_behind(self, desktop: Desktop, tmp_path: Path) -> None:
        """However many of them had frames that they never gave back, the next one gets all."""
        with Sending(PipeWireSink(RATE)), desktop.consumer(tmp_path / "beside"):
            for number in range(20):  # more than there are buffers
                got = tmp_path / str(number)
                with desktop.consumer(got):
                    until(lambda got=got: size_of(got) > LENGTH)  # type: ignore[misc]
            with desktop.consumer(tmp_path / "last"):
                until(lambda: size_of(tmp_path / "last") > 40 * LENGTH)
        # Buffers are taken back only when none is left.
        assert len(numbers_in(tmp_path / "last")) >= 40

    @pytest.mark.usefixtures("desktop")
    def test_nobody_looks_while_the_consumer_pauses(self, tmp_path: Path) -> None:
        """A connection that is paused, as by a muted picture, is no reader."""
        script = (
            "import ctypes, sys; gst = ctypes.CDLL('libgstreamer-1.0.so.0')\n"
            "gst.gst_parse_launch.restype = ctypes.c_void_p\n"
            "gst.gst_element_set_state.argtypes = [ctypes.c_void_p, ctypes.c_int]\n"
            "gst.gst_init(None, None)\n"
            "pipeline = gst.gst_parse_launch(sys.argv[1].encode(), None)\n"
            "for line in sys.stdin: gst.gst_element_set_state(pipeline, int(line))"
        )
        pipeline = f"pipewiresrc target-object=greenroom ! filesink location={tmp_path / 'got'}"
        command = [sys.executable, "-c", script, pipeline.replace("!", "! video/x-raw !")]
        sink = PipeWireSink(RATE)
        with (
            Sending(sink) as sending,
            subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as consumer,
        ):
            assert consumer.stdin is not None
            consumer.stdin.write(b"4\n")  # GST_STATE_PLAYING
            until(lambda: sink.readers() == 1)
            consumer.stdin.write(b"3\n")  # GST_STATE_PAUSED
            until(lambda: sink.readers() == 0)
            consumer.stdin.write(b"4\n")
            until(lambda: sink.readers() == 1)
            consumer.kill()
        assert sending.errors == []

    def test_comes_back_with_pipewire(self, desktop: Desktop, tmp_path: Path) -> None:
        """When the daemon ends, writing fails and says so; after its restart frames flow again."""
        with Sending(PipeWireSink(RATE)) as sending:
            desktop.stop()
            until(lambda: len(sending.errors) > 1)
            assert "PipeWire ended" in sending.errors[0]
            assert "systemctl --user start pipewire" in sending.errors[-1]
            desktop.start()
            sent = sending.sent
            until(lambda: sending.sent > sent + 10)
            with desktop.consumer(tmp_path / "got", 2) as consumer:
                assert consumer.wait(DEADLINE_S) == 0
        assert len(frames_in(tmp_path / "got", SIZE)) == 2

    def test_feeder_that_dies_is_started_again(self, desktop: Desktop) -> None:
        """A crash of the library is an error of one write, and leaves no process behind."""
        del desktop
        sink = PipeWireSink(RATE)
        sink.write(numbered(0))
        started = sink._feeder  # noqa: SLF001 - to kill it
        assert started is not None
        started.process.kill()
        started.process.wait()
        with pytest.raises(SinkError, match="does not take the picture"):
            sink.write(numbered(1))
        assert sink.readers() == 0
        sink.write(numbered(2))
        sink.close()
        assert started.process.returncode == -signal.SIGKILL

    def test_feeder_that_hangs_is_given_up(
        self, desktop: Desktop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A write fails in time when nothing is taken from the pipe, and the process is ended."""
        del desktop
        monkeypatch.setattr(process, "_WRITE_TIMEOUT_S", 0.2)
        monkeypatch.setattr(process, "_STOP_TIMEOUT_S", 0.2)
        sink = PipeWireSink(RATE)
        sink.write(numbered(0))
        started = sink._feeder  # noqa: SLF001 - to stop it
        assert started is not None
        started.process.send_signal(signal.SIGSTOP)

        def fill_the_pipe() -> None:
            for number in range(100):
                sink.write(numbered(number))

        with pytest.raises(SinkError, match="it hangs"):
            fill_the_pipe()
        assert started.process.returncode == -signal.SIGKILL
        sink.close()

    def test_feeder_ends_with_greenroom(self, desktop: Desktop) -> None:
        """A process that is killed leaves no camera behind."""
        script = (
            "import sys, time; sys.path.insert(0, sys.argv[1]); import test_pipewire as t\n"
            "s = t.PipeWireSink(t.RATE); s.write(t.numbered(0))\n"
            "print(s._feeder.process.pid, flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", script, str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            feeder = Path("/proc") / process.stdout.readline().decode().strip()
            assert feeder.is_dir()
            process.kill()
        until(lambda: not any(node.get("node.name") == "greenroom" for node in desktop.nodes()))


@needs_pipewire
@pytest.mark.usefixtures("no_thread_left")
class TestSession:
    """A live session whose picture goes through PipeWire."""

    def test_both_doors_are_open_and_the_room_is_in_neither(
        self, desktop: Desktop, tmp_path: Path
    ) -> None:
        """Through faults, the key and a camera that is away, beside a virtual camera."""
        file = tmp_path / "got"
        pyvirtualcam.register_backend(BACKEND, WatchedCamera)
        doors: list[LiveSink] = [VirtualCameraSink(RATE, backend=BACKEND), PipeWireSink(RATE)]
        segmenter = FaultySegmenter({90: Fault.NAN, 95: Fault.RAISE, 110: Fault.HANG})
        try:
            with Rig(segmenter, sinks=doors, timeout_s=0.3) as rig:
                rig.until(lambda: doors[1].device != "" and rig.paced.count > 10)
                with desktop.consumer(file):
                    rig.until(lambda: len(seen_in(file)) > 10)
                    rig.until_covered("failure")
                    segmenter.released.set()
                    rig.until_shown()
                    rig.camera.unplug()
                    rig.until_covered("camera")
                    rig.until_sent()
                    rig.camera.plug()
                    rig.until_shown()
                    rig.session.cover(on=True)
                    rig.until_sent(10)
        finally:
            del pyvirtualcam.camera.BACKENDS[BACKEND]
        (camera,) = WatchedCamera.made
        WatchedCamera.made.clear()
        seen = seen_in(file)
        assert camera.frames > 10
        assert camera.room_pixels == 0
        assert sum(count_room_pixels(frame) for frame in seen) == 0
        colours = [np.median(frame.to_rgb(), axis=(0, 1)) for frame in seen]
        assert colours[-1] == pytest.approx((0, 128, 128), abs=6)  # the key's cover

    def test_the_room_is_seen_where_it_is_asked_for(self, desktop: Desktop, tmp_path: Path) -> None:
        """With ``none`` it is there: so the count of the others is no mistake."""
        file = tmp_path / "got"
        with Rig(sinks=[PipeWireSink(RATE)], background="none", watches=False) as rig:
            rig.until(lambda: rig.paced.count > 10)
            with desktop.consumer(file):
                rig.until(lambda: len(seen_in(file)) > 5)
        assert sum(count_room_pixels(frame) for frame in seen_in(file)) > 0

    def test_a_consumer_wakes_the_camera(self, desktop: Desktop, tmp_path: Path) -> None:
        """While nobody looks it is closed; who comes sees the person, and its end closes it."""
        file, sink = tmp_path / "got", PipeWireSink(RATE)
        with Rig(sinks=[sink], watches=False, on_demand=True) as rig:
            rig.paced.looking = rig.unpaced.looking = 0
            rig.until(lambda: rig.session.status().asleep and not rig.camera.is_open)
            rig.until(lambda: sink.readers() == 0)
            opened = rig.camera.opened
            with desktop.consumer(file):
                rig.until(lambda: rig.camera.is_open)
                rig.until_shown()
                rig.until(lambda: len(seen_in(file)) > 3)
            rig.until(lambda: rig.session.status().asleep and not rig.camera.is_open)
            assert rig.camera.opened == opened + 1


def seen_in(file: Path) -> list[Frame]:
    """Return what a consumer of a session on fakes has written so far."""
    if not file.exists():
        return []
    layout = Layout(128, 72, "yuv420p", LIMITED_709)
    return [Frame(planes, layout) for planes in frames_in(file, layout.size)]


class TestWithoutPipeWire:
    """Errors about missing parts."""

    def test_says_that_it_does_not_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a daemon the error names the socket and how to start one; nobody looks."""
        monkeypatch.delenv("PIPEWIRE_RUNTIME_DIR", raising=False)
        monkeypatch.delenv("PIPEWIRE_REMOTE", raising=False)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        sink = PipeWireSink(RATE)
        with pytest.raises(VirtualCameraError, match="systemctl --user start pipewire") as caught:
            sink.write(numbered(0))
        assert str(tmp_path / "pipewire-0") in str(caught.value)
        assert sink.readers() == 0
        sink.close()

    def test_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without its library the error has the command that installs it."""
        (tmp_path / "not_a_feeder.py").write_text(
            "import sys; print('no lib', file=sys.stderr); sys.exit(3)"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(feeder, "__name__", "not_a_feeder")
        monkeypatch.setattr(pipewire_sink, "daemon_socket", Socket)
        with pytest.raises(VirtualCameraError, match=r"no lib.*\n *sudo apt install pipewire"):
            PipeWireSink(RATE).write(numbered(0))

    def test_is_for_linux_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Elsewhere the error names another output."""
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(VirtualCameraError, match="--to camera,page"):
            PipeWireSink(RATE).write(numbered(0))

    def test_missing_libraries_are_said_by_the_feeder(self) -> None:
        """The feeder ends with a status of its own, and a reason, when a library is missing."""
        script = (
            "import runpy, ctypes, sys\n"
            "real = ctypes.CDLL\n"
            "def missing(name, **kw): return real(name if name is None else 'lib-not-there.so')\n"
            "ctypes.CDLL = missing\n"
            "sys.argv = ['feeder', '320', '180', '30/1', '1', '{}']\n"
            f"runpy.run_module({feeder.__name__!r}, run_name='__main__')"
        )
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
        assert ended.returncode == feeder.MISSING
        assert b"lib-not-there.so" in ended.stderr

    def test_what_the_feeder_writes_never_fills_its_pipe(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A library that complains all the time holds up nothing; its last words are said."""
        (tmp_path / "not_a_feeder.py").write_text(
            "import os, sys; print('ready', flush=True)\n"
            "while os.read(0, 1 << 16): print('xrun ' * 4000, file=sys.stderr)\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(feeder, "__name__", "not_a_feeder")
        monkeypatch.setattr(pipewire_sink, "daemon_socket", Socket)
        monkeypatch.setattr(shutil, "which", lambda _: None)
        sink = PipeWireSink(RATE)
        for number in range(100):
            sink.write(numbered(number))
        sink.close()

    @pytest.mark.parametrize(
        ("number", "colours"), [(1, [2, 3, 5, 1]), (6, [2, 4, 5, 4]), (9, [2, 6, 5, 7])]
    )
    def test_offer_says_what_its_colours_mean(self, number: int, colours: list[int]) -> None:
        """Range, matrix, transfer and primaries are offered, by the numbers of PipeWire."""
        offered = pods.offered_format((320, 180), (30, 1), number)
        assert len(offered) % 8 == 0
        length, kind, format_type, param = struct.unpack_from("=4I", offered)
        assert (length, kind, format_type, param) == (len(offered) - 8, 15, 0x40003, 3)
        values, place = {}, 16
        while place < len(offered):
            key, _, size, _ = struct.unpack_from("=4I", offered, place)
            values[key] = struct.unpack_from(f"={size // 4}I", offered, place + 16)
            place += 16 + (size + 7) // 8 * 8
        assert values[0x20003] == (320, 180)
        assert values[0x20004] == (30, 1)
        assert [values[0x2000C + place] for place in range(4)] == [(one,) for one in colours]


class Socket:
    """Stands for PipeWire's socket."""

    def is_socket(self) -> bool:
        """Say that it is there."""
        return True


class TestGraph:
    """Counting connections in what ``pw-dump`` prints."""

    NODE: Final = {
        "id": 7,
        "type": "PipeWire:Interface:Node",
        "info": {"props": {"greenroom.token": "abc"}},
    }

    def link(self, number: int, source: int, state: str) -> dict[str, object]:
        """Make a link."""
        info = {"output-node-id": source, "state": state}
        return {"id": number, "type": "PipeWire:Interface:Link", "info": info}

    def test_counts_only_links_that_carry_frames(self) -> None:
        """Links of other nodes, and links that are paused or broken, do not count."""
        graph = Graph("abc")
        graph.apply([self.NODE, self.link(8, 7, "active"), self.link(9, 5, "active")])
        assert graph.readers == 1
        graph.apply([self.link(10, 7, "negotiating"), self.link(11, 7, "error")])
        assert graph.readers == 2
        graph.apply([self.link(8, 7, "paused"), {"id": 10, "info": None}])
        assert graph.readers == 0
        graph.apply([{"id": 7, "info": None}])
        assert graph.readers is None

    def test_ignores_the_node_of_another_run(self) -> None:
        """A node of the same name with another token is not ours."""
        graph = Graph("other")
        graph.apply([self.NODE, self.link(8, 7, "active")])
        assert graph.readers is None

    def test_documents_may_be_cut_anywhere(self) -> None:
        """Lists are found however the pipe cuts them."""
        reading, writing = os.pipe()
        printed = b'[ {"id": 1} ]\n[\n]\n[ {"id": 2, "name": "B\xc3\xbcro"} ]\n'

        def write() -> None:
            with open(writing, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
                file.writelines(bytes([byte]) for byte in printed)

        thread = threading.Thread(target=write)
        thread.start()
        with open(reading, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            found = list(documents(file))
        thread.join()
        assert [[one["id"] for one in objects] for objects in found] == [[1], [], [2]]

    def test_without_the_program_nobody_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without pw-dump the count is unknown."""
        monkeypatch.setattr(shutil, "which", lambda _: None)
        watch = graph.GraphWatch("abc")
        assert not watch.works
        assert watch.readers is None
        watch.close()
