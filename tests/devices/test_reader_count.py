"""Readers of a virtual camera, counted by v4l2loopback's event and by open files."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from greenroom.devices import reader_count
from greenroom.devices.reader_count import CLIENT_USAGE, LoopbackEvents, OpenFiles, ReaderCount
from greenroom.devices.v4l2 import Ioctl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="these are Linux's ways"),
    pytest.mark.usefixtures("no_thread_left"),
]

# As `ioctl` prints them: of videodev2.h on a 64-bit machine, structures of 32 and 136 bytes.
SUBSCRIBE = 0x4020565A
DEQUEUE = 0x80885659


def until(happened: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Wait for what another thread finds out."""
    start_s = time.monotonic()
    while not happened():
        assert time.monotonic() - start_s < deadline_s, "it did not happen in time"
        time.sleep(0.005)


class Driver(Ioctl):
    """v4l2loopback: a device of events, waiting in a queue."""

    def __init__(self, *, knows_event: bool = True, initial: int = 0) -> None:
        self.knows_event = knows_event
        self.requests: list[int] = []
        self.queue: list[tuple[int, int]] = []
        self.gone = False
        self._initial = initial

    def call(self, descriptor: int, request: int, data: bytearray) -> None:
        """Answer as the kernel does."""
        os.fstat(descriptor)  # raises if it is not open
        self.requests.append(request)
        if self.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if request == SUBSCRIBE:
            # Type, identifier and flags, and 20 reserved bytes.
            assert data == struct.pack("<III", 0x10E00001, 0, 1) + bytes(20)
            if not self.knows_event:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            self.queue.append((0x10E00001, self._initial))
        elif request == DEQUEUE:
            assert len(data) == 136
            if not self.queue:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            # The payload is behind 8 bytes: the type, and what aligns the union.
            struct.pack_into("<I4xI", data, 0, *self.queue.pop(0))
        else:
            pytest.fail(f"unexpected ioctl {request:#x}")

    def watch(self, device: Path) -> LoopbackEvents:
        """Make a watch on it."""
        return LoopbackEvents(device, self)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """Make something that can be opened."""
    path = tmp_path / "video10"
    path.touch()
    return path


@pytest.fixture
def reader(device: Path) -> subprocess.Popen[bytes]:
    """Start a program that opens the device, closes it, and so on, line by line."""
    script = (
        "import sys\n"
        "for line in sys.stdin:\n"
        "    file = open(sys.argv[1]) if line == 'open\\n' else file.close()\n"
        "    print('done', flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(device)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )


def tell(program: subprocess.Popen[bytes], word: str) -> None:
    """Have a program do something, and wait until it is done."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{word}\n".encode())
    assert program.stdout.readline() == b"done\n"


class TestLoopbackEvents:
    """The driver's own event."""

    def test_number_is_the_drivers(self) -> None:
        """The type of the event is v4l2loopback's."""
        assert CLIENT_USAGE == 0x10E00001

    def test_newest_event_counts(self, device: Path) -> None:
        """Of several that wait the last is true; other events change nothing."""
        driver = Driver(initial=1)
        watch = driver.watch(device)
        assert driver.requests == [SUBSCRIBE]
        assert watch.count() == 1
        driver.queue += [(CLIENT_USAGE, 0), (CLIENT_USAGE, 2), (3, 9)]
        assert watch.count() == 2
        assert watch.count() == 2
        driver.queue.append((CLIENT_USAGE, 0))
        assert watch.count() == 0
        watch.close()

    def test_driver_without_the_event(self, device: Path) -> None:
        """An older driver refuses, and the device is closed again."""
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
        with pytest.raises(OSError, match="Invalid argument"):
            Driver(knows_event=False).watch(device)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - a count

    def test_real_file_is_no_device(self, device: Path) -> None:
        """A real ioctl on something else is an error, so that the next way is tried."""
        with pytest.raises(OSError, match="ioctl"):
            LoopbackEvents(device)

    def test_wait_ends_without_an_event(self, device: Path) -> None:
        """A wait is bounded, whatever the device answers to poll."""
        watch = Driver().watch(device)
        start_s = time.monotonic()
        watch.wait(threading.Event())
        assert time.monotonic() - start_s < 1
        watch.close()


class TestOpenFiles:
    """Watching who has the device open."""

    def test_counts_other_processes_only(
        self, device: Path, reader: subprocess.Popen[bytes]
    ) -> None:
        """The own process has it open and is not counted; another is, until it closes it."""
        with reader, device.open():
            watch = OpenFiles(device)
            assert watch.count() == 0
            tell(reader, "open")
            assert watch.count() == 1
            tell(reader, "close")
            assert watch.count() == 0
            watch.close()
            reader.kill()

    def test_who_opens_it_for_a_moment_is_no_reader(
        self, device: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Programs that list cameras open every one of them; that is not looking."""
        proc = device.parent / "proc"
        for folder in (proc / "self" / "fd", proc / "77" / "fd"):
            folder.mkdir(parents=True)
        (proc / "77" / "fd" / "5").symlink_to(device)
        (proc / "77" / "fd" / "6").symlink_to("/dev/null")
        watch = OpenFiles(device, proc)

        class Moment:
            """In the meantime it is closed."""

            def wait(self, seconds: float) -> None:
                assert 0 < seconds < 0.25
                (proc / "77" / "fd" / "5").unlink()

        with monkeypatch.context() as patch:
            patch.setattr(threading, "Event", Moment)
            assert watch.count() == 0
        (proc / "77" / "fd" / "5").symlink_to(device)
        assert watch.count() == 1

    def test_processes_that_end_or_hide_are_passed_over(self, device: Path) -> None:
        """Unreadable processes are not counted, and are no error."""
        proc = device.parent / "proc"
        (proc / "self" / "fd").mkdir(parents=True)
        (proc / "88").mkdir()
        (proc / "99" / "fd").mkdir(parents=True)
        (proc / "99" / "fd" / "3").write_text("not a link")
        (proc / "uptime").touch()
        assert OpenFiles(device, proc).count() == 0

    def test_system_without_proc(self, device: Path) -> None:
        """Without a process file system the way raises OSError."""
        with pytest.raises(OSError, match="No such file"):
            OpenFiles(device, device.parent / "nothing")


class TestReaderCount:
    """The count that is kept."""

    def test_is_looked_at_several_times_a_second(self) -> None:
        """A change is told of within half a second."""
        assert reader_count._POLL_S + reader_count._DEBOUNCE_S < 0.5  # noqa: SLF001 - what is kept

    def test_counts_programs_as_they_come_and_go(
        self, device: Path, reader: subprocess.Popen[bytes]
    ) -> None:
        """A program that opens a device is counted, and told of; its end as well."""
        changes: list[int | None] = []
        count = ReaderCount(device, lambda: changes.append(count.count()))
        with closing(count), reader:
            assert count.count() == 0
            assert "open files" in count.why
            tell(reader, "open")
            until(lambda: changes == [1])
            reader.kill()
            reader.wait()
            until(lambda: changes == [1, 0])
            assert count.count() == 0

    def test_event_goes_before_open_files(self, device: Path) -> None:
        """The driver's word is taken where it gives it."""
        driver = Driver(initial=1)
        count = ReaderCount(device, watches=(("event", driver.watch), ("files", OpenFiles)))
        assert (count.count(), count.why) == (1, "event")
        driver.queue.append((CLIENT_USAGE, 0))
        until(lambda: count.count() == 0)
        count.close()

    def test_open_files_where_there_is_no_event(self, device: Path) -> None:
        """An older driver falls back to open files."""
        driver = Driver(knows_event=False)
        count = ReaderCount(device, watches=(("event", driver.watch), ("files", OpenFiles)))
        assert (count.count(), count.why) == (0, "files")
        count.close()

    def test_neither_way_says_why(self, device: Path) -> None:
        """If no way works the count is unknown, and every reason is given."""
        driver = Driver(knows_event=False)
        nowhere = device.parent / "nothing"
        count = ReaderCount(
            device,
            watches=(("event", driver.watch), ("files", lambda path: OpenFiles(path, nowhere))),
        )
        assert count.count() is None
        assert count.why == "not event: Invalid argument; not files: No such file or directory"
        count.close()
        assert (
            ReaderCount(device, watches=()).why
            == "this system does not report the users of a camera"
        )

    def test_device_that_goes_away(self, device: Path) -> None:
        """When the device is unplugged the count becomes unknown, and that is told."""
        driver = Driver(initial=1)
        told = threading.Event()
        count = ReaderCount(device, told.set, watches=(("event", driver.watch),))
        driver.gone = True
        assert told.wait(5)
        assert count.count() is None
        assert count.why == "no longer event: No such device"
        count.close()

    def test_costs_next_to_nothing(self, device: Path) -> None:
        """A second of watching open files takes less than a twentieth of a second of CPU time."""
        count = ReaderCount(device)
        before_s = time.thread_time(), time.process_time()
        threading.Event().wait(1.0)
        spent_s = time.process_time() - before_s[1] - (time.thread_time() - before_s[0])
        count.close()
        assert spent_s < 0.05
