"""A worker of this machine: a process of its own, with a pipe to the one in front of it."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from greenroom.errors import GreenroomError
from greenroom.hosted.logs import log_json
from greenroom.hosted.tokens import TokenFile
from greenroom.hosted.workers.reports import decode, encode
from greenroom.hosted.workers.worker_server import WorkerServer

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from greenroom.hosted.options import Part, ServeOptions

__all__ = ["WORKER_HOST", "run_worker"]

logger = logging.getLogger(__name__)

WORKER_HOST: Final = "127.0.0.1"
"""Where the workers of this machine take requests."""
# A process whose front has died ends within this.
_ORPHAN_S: Final = 3.0
# Time after which a thread has another one run Python code. Threads of sessions give way by
# themselves, whenever they call C; to be interrupted in between costs more than it saves.
_SWITCH_INTERVAL_S: Final = 0.02


def run_worker(options: ServeOptions, secret: str, pipe: Connection) -> None:
    """Serve sessions until the process in front says so, or has ended; a process' main function.

    Parameters
    ----------
    options : ServeOptions
        `ServeOptions.part` says which worker it is.
    secret : str
        What every request has to have in its header.
    pipe : Connection
        To the process in front.
    """
    log_json()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    take_processor(options.part)
    try:
        _Worker(options, secret, pipe).run()
    except GreenroomError as error:
        with suppress(OSError):
            pipe.send_bytes(encode({"failed": str(error)}))
        raise SystemExit(1) from None


def take_processor(part: Part) -> None:
    """Have this thread, and those that it starts, run on one processor, if each worker has its own.

    The threads of a worker take turns in running Python code. On two processors they wait for each
    other and wake each other up; with one each, two workers held 9 sessions in place of 8.
    """
    if not hasattr(os, "sched_setaffinity") or not part.name.isdecimal():
        return
    processors = sorted(os.sched_getaffinity(0))
    if part.count >= len(processors):
        os.sched_setaffinity(0, {processors[int(part.name) % len(processors)]})


class _Worker:
    """The parts of the process.

    State: messages that are to be sent, and threads for both directions of the pipe, which end
    with the process.
    """

    def __init__(self, options: ServeOptions, secret: str, pipe: Connection) -> None:
        holds = None if options.tokens is None else TokenFile(options.tokens).holds
        self._pipe = pipe
        self._unsent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._sending = threading.Thread(target=self._send, name="reports", daemon=True)
        self._server = WorkerServer(options, secret, WORKER_HOST, self._tell, holds=holds)

    def run(self) -> None:
        """Serve until the end."""
        log_json(self._server.sessions.session_of)
        self._server.run()
        self._unsent.put(None)
        self._sending.join(_ORPHAN_S)

    def _tell(self, message: dict[str, Any]) -> None:
        """Have a message sent; with the first one the server has started."""
        self._unsent.put(encode(message))
        if "port" in message:
            self._sending.start()
            threading.Thread(target=self._obey, name="front", daemon=True).start()

    def _send(self) -> None:
        with suppress(OSError):  # the process in front has ended
            while (data := self._unsent.get()) is not None:
                self._pipe.send_bytes(data)

    def _obey(self) -> None:
        """Carry out what the process in front says, until it ends."""
        with suppress(EOFError, OSError):
            while True:
                message = decode(self._pipe.recv_bytes())
                self._server.begin_drain(float(message["drain"]))
        logger.warning("the process in front has ended, and so does this worker")
        ending = threading.Timer(_ORPHAN_S, os._exit, [1])
        ending.daemon = True
        ending.start()
        self._server.begin_drain(0.0)
