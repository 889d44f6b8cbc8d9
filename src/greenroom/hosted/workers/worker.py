"""One worker of this machine: its processes, one after the other, and their reports."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from greenroom.hosted.options import Part
from greenroom.hosted.upload_folders import delete_abandoned_uploads
from greenroom.hosted.workers.process import WORKER_HOST, run_worker
from greenroom.hosted.workers.reached_worker import ReachedWorker
from greenroom.hosted.workers.reports import WorkerReport, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from greenroom.hosted.options import ServeOptions

__all__ = ["SessionWorker", "worker_options"]

logger = logging.getLogger(__name__)

# Time-out for the start of a process, and for its reports, of which there is one a second.
_START_S: Final = 60.0
_SILENCE_S: Final = 15.0
_LOOK_S: Final = 1.0
_END_S: Final = 5.0
# Not fork: it would copy the event loop, and locks that other threads hold.
_SPAWN: Final = multiprocessing.get_context("spawn")


def worker_options(options: ServeOptions, number: int, count: int) -> ServeOptions:
    """Return the options of one of several workers: its part of ports, sessions and processors."""
    ports = options.udp_ports
    if ports is not None:
        ports = ports[len(ports) * number // count : len(ports) * (number + 1) // count]
    most = options.max_sessions
    return replace(
        options,
        workers=1,
        part=Part(count, str(number)),
        udp_ports=ports,
        max_sessions=None if most is None else -(-most // count),
    )


class SessionWorker(ReachedWorker):
    """One worker, which is started again and again. Everything is called on the loop's thread.

    Parameters
    ----------
    options : ServeOptions
        Its own: see `worker_options`.
    secret : str
        What requests to it have to have.
    on_ended : callable
        Told the last report of a process that has ended.

    Attributes
    ----------
    failure : str
        Why it could not start.
    """

    def __init__(
        self, options: ServeOptions, secret: str, on_ended: Callable[[WorkerReport], None]
    ) -> None:
        super().__init__(options.part.name)
        self.failure = ""
        self.settled = asyncio.Event()
        """Set when the first process has started, or failed to."""
        self._options = options
        self._secret = secret
        self._on_ended = on_ended
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._heard_s = 0.0

    @property
    def pid(self) -> int | None:
        """Its process; None while it has none."""
        return None if self._process is None else self._process.pid

    async def run(self) -> bool:
        """Run one process until it has ended; return whether it had started."""
        ended = asyncio.Event()
        self._start(ended)
        has_started = False
        try:
            while not ended.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), _LOOK_S)
                limit_s = _START_S if self.address is None else _SILENCE_S
                has_started = has_started or self.address is not None
                if time.monotonic() - self._heard_s > limit_s and not ended.is_set():
                    logger.error("worker %s is silent, and is ended", self.name)
                    self.kill()
        finally:
            await self._clean_up()
        return has_started

    def drain(self, grace_s: float) -> None:
        """Have it end its sessions within a time, and then itself."""
        if self.address is None:
            self.kill()
        elif self._pipe is not None:
            with suppress(OSError):  # it has ended
                self._pipe.send_bytes(encode({"drain": grace_s}))

    def kill(self) -> None:
        """End its process at once."""
        if self._process is not None:
            self._process.kill()

    def _start(self, ended: asyncio.Event) -> None:
        self._heard_s = time.monotonic()
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=run_worker,
            args=(self._options, self._secret, theirs),
            name=f"greenroom worker {self.name}",
            daemon=True,
        )
        self._process.start()
        theirs.close()
        listening = threading.Thread(
            target=self._listen,
            args=(self._pipe, asyncio.get_running_loop(), ended),
            name=f"worker {self.name}",
            daemon=True,
        )
        listening.start()

    def _listen(
        self, pipe: Connection, loop: asyncio.AbstractEventLoop, ended: asyncio.Event
    ) -> None:
        """Pass on what a process says, until it ends; on a thread of its own."""
        with suppress(RuntimeError):  # the loop is closed
            with suppress(EOFError, OSError):
                while True:
                    loop.call_soon_threadsafe(self._hear, decode(pipe.recv_bytes()))
            loop.call_soon_threadsafe(ended.set)

    def _hear(self, message: dict[str, Any]) -> None:
        self._heard_s = time.monotonic()
        if "port" in message:
            self.address = (WORKER_HOST, int(message["port"]))
        elif "failed" in message:
            self.failure = str(message["failed"])
        else:
            self.take(WorkerReport.from_told(message["report"]))
            self.settled.set()

    async def _clean_up(self) -> None:
        """Leave nothing of a process."""
        process, pipe = self._process, self._pipe
        assert process is not None
        assert pipe is not None
        last = self.note_end()
        self._process = self._pipe = None
        try:
            await asyncio.to_thread(process.join, _END_S)
        finally:
            if process.is_alive():
                process.kill()
                process.join(_END_S)
            pipe.close()
            code = process.exitcode
            process.close()
            await asyncio.to_thread(delete_abandoned_uploads)
            self._on_ended(last)
            self.settled.set()
        logger.info("worker %s has ended, with status %s", self.name, code)
