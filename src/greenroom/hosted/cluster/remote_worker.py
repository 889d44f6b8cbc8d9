"""A replica as the process in front sees it: its reports come over a connection that stays open."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import h11

from greenroom.hosted.cluster.control import CONTROL_HEADER
from greenroom.hosted.workers.merged_metrics import counts_alone
from greenroom.hosted.workers.reached_worker import ReachedWorker
from greenroom.hosted.workers.reports import SECRET_HEADER, WorkerReport, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from greenroom.hosted.cluster.directory import Replica

__all__ = ["RemoteWorker"]

logger = logging.getLogger(__name__)

# There is a report a second: without one for this long, a replica or its machine is lost.
_SILENCE_S: Final = 3.0
_CONNECT_S: Final = 2.0
_RETRY_S: Final = 0.25
_ANSWER_S: Final = 5.0
_READ_BYTES: Final = 65536
_MAX_LINE_BYTES: Final = 4 << 20


class RemoteWorker(ReachedWorker):
    """One replica, for as long as the directory lists it. Everything runs on one event loop.

    Parameters
    ----------
    replica : Replica
    secret : str
        What requests to it have to have.
    on_lost : callable
        Told that it does not answer any more.

    State: the task that reads its reports.
    """

    def __init__(
        self, replica: Replica, secret: str, on_lost: Callable[[RemoteWorker], None]
    ) -> None:
        super().__init__(replica.name)
        self.replica = replica
        self.is_listed = True
        """Whether the directory lists it; a replica that is about to end leaves there before."""
        self._reported = asyncio.Event()
        self._secret = secret
        self._on_lost = on_lost
        self._following = asyncio.create_task(self._follow(), name=f"replica {replica.name}")

    @property
    def has_room(self) -> bool:
        """See `ReachedWorker.has_room`."""
        return self.is_listed and super().has_room

    async def close(self) -> WorkerReport:
        """Ask it no more; return its last report."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        return self.note_end()

    async def emptied(self) -> None:
        """Wait until it has no sessions."""
        while self.session_count:
            self._reported.clear()
            await self._reported.wait()

    async def ask(self, kind: str, told: dict[str, Any]) -> bool:
        """Ask it for something: see `greenroom.hosted.cluster.control`; return whether it will."""
        body = encode(told)
        with suppress(OSError, TimeoutError, h11.ProtocolError):
            async with asyncio.timeout(_ANSWER_S):
                async for event in self._asked("POST", kind, body):
                    if isinstance(event, h11.Response):
                        return event.status_code == 204
        return False

    async def _follow(self) -> None:
        """Read its reports, and connect again whenever the connection is lost."""
        while True:
            with suppress(OSError, TimeoutError, h11.ProtocolError):
                await self._read_reports()
            if self.address is not None:
                last = self.note_end()
                # Its sessions are given up; what it counted stays.
                self.report = WorkerReport(metrics=counts_alone(last.metrics))
                if self.is_listed:
                    logger.error("replica %s is lost, and its sessions with it", self.name)
                self._on_lost(self)
                self._reported.set()
            await asyncio.sleep(_RETRY_S)

    async def _read_reports(self) -> None:
        buffered = b""
        events = self._asked("GET", "reports", b"")
        while True:
            async with asyncio.timeout(_SILENCE_S):
                event = await anext(events, None)
            if event is None:
                return
            if isinstance(event, h11.Response) and event.status_code != 200:
                return  # a replica of an earlier service, which is about to end
            if not isinstance(event, h11.Data):
                continue
            *lines, buffered = (buffered + bytes(event.data)).split(b"\n")
            if len(buffered) > _MAX_LINE_BYTES:
                return
            for line in lines:
                self.take(WorkerReport.from_told(decode(line)["report"]))
                self.address = (self.replica.host, self.replica.port)
                self._reported.set()

    async def _asked(self, method: str, kind: str, body: bytes) -> AsyncIterator[Any]:
        """Send a request; yield the events of its answer."""
        host, port = self.replica.host, self.replica.port
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(host, port)
        try:
            connection = h11.Connection(h11.CLIENT)
            headers = [
                ("host", f"{host}:{port}"),
                ("connection", "close"),
                ("content-length", str(len(body))),
                (SECRET_HEADER, self._secret),
                (CONTROL_HEADER, kind),
            ]
            writer.write(connection.send(h11.Request(method=method, target="/", headers=headers)))
            writer.write(connection.send(h11.Data(data=body)) or b"")
            writer.write(connection.send(h11.EndOfMessage()) or b"")
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(_READ_BYTES))
                elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    return
                else:
                    yield event
        finally:
            writer.transport.abort()
