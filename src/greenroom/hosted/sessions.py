"""The sessions of a service: admission, look-up, housekeeping, and the end."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from greenroom.errors import GreenroomError
from greenroom.hosted.admission import Load, measure_capacity, request_limit
from greenroom.hosted.backgrounds import OperatorBackgrounds
from greenroom.hosted.call import Call, Viewer, new_id
from greenroom.hosted.freed_memory import return_freed_memory
from greenroom.hosted.messages import ClientMessage
from greenroom.hosted.metrics import Metrics
from greenroom.hosted.refusals import (
    UnavailableError,
    busy,
    draining,
    full,
    no_session,
    not_published,
    over_limit,
    too_many_requests,
)
from greenroom.hosted.rtc.signalling import read_offer
from greenroom.hosted.segmenter_loans import SegmenterLoans
from greenroom.hosted.session import SessionContext, hosted_settings
from greenroom.hosted.upload_folders import delete_abandoned_uploads
from greenroom.web.page_state import run_quick, run_slow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.hosted.metrics import SessionCounts
    from greenroom.hosted.options import ServeOptions
    from greenroom.hosted.tokens import Grant

__all__ = ["SessionEvent", "Sessions"]

logger = logging.getLogger(__name__)

_STREAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOOK_S: Final = 1.0
# Negotiations at once: each takes CPU time of all.
_MAX_NEGOTIATIONS: Final = 4
# Share of all processors that frames may take, in %, and the most that one session gets.
_USABLE_PERCENT: Final = 82.0
_MOST_PERCENT: Final = 50.0
_LEAST_PERCENT: Final = 1.0


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """Something that happened to a session, for an application that embeds the service.

    Attributes
    ----------
    kind : str
        ``started``, ``ended`` or ``watched``.
    session : str
        Id of the session.
    stream : str
    owner : str
        Name of the grant.
    reason : str
        Why it ended.
    """

    kind: str
    session: str
    stream: str
    owner: str
    reason: str = ""


class Sessions:
    """All sessions of a service. Everything is called on the event loop's thread, but `metrics`.

    Parameters
    ----------
    options : ServeOptions
    on_event : callable, optional
        Told of each `SessionEvent`, on the loop. May not wait.
    holds : callable, optional
        Says whether a grant is still valid; sessions of others are ended.

    State: the sessions by id and by stream, and a task that looks after them from the first one on.
    """

    def __init__(
        self,
        options: ServeOptions,
        on_event: Callable[[SessionEvent], None] | None = None,
        holds: Callable[[Grant], bool] = lambda _grant: True,
    ) -> None:
        self.options = options
        self._on_event = on_event
        self._holds = holds
        self._peer_options = options.peer_options()
        self.backgrounds = OperatorBackgrounds(options.backgrounds)
        self.loans = SegmenterLoans()
        self.metrics = Metrics(self._running_counts)
        self._context = SessionContext(
            hosted_settings(options.settings),
            self.loans,
            self.backgrounds,
            self.metrics.observe_frame,
        )
        self._calls: dict[str, Call] = {}
        self._capacity = options.max_sessions
        self._measuring: asyncio.Task[int] | None = None
        self._load = Load(options.part.cores)
        self._limit = request_limit()
        self._negotiations = 0
        self._housekeeping: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._emptied = asyncio.Event()
        self._keeps_freed = False
        self.draining = False

    @property
    def calls(self) -> tuple[Call, ...]:
        """The sessions that run."""
        return tuple(call for call in self._calls.values() if call.is_running)

    @property
    def capacity(self) -> int | None:
        """Most sessions at once; None until it was measured."""
        return self._capacity

    @property
    def cores_used(self) -> float:
        """Processors that this process took of late."""
        return self._load.cores_used

    @property
    def is_ready(self) -> bool:
        """Whether another session would be admitted now."""
        has_room = self._capacity is None or len(self._calls) < self._capacity
        return has_room and not self.draining and not self._load.is_high

    async def prepare(self) -> None:
        """Measure how many sessions this machine holds, unless that was said; once."""
        if self._capacity is None:
            if self._measuring is None:
                cores = self.options.part.cores
                measure = run_slow(measure_capacity, self._context.settings, cores)
                self._measuring = asyncio.ensure_future(measure)
            self._capacity = await asyncio.shield(self._measuring)
            logger.info("this process holds %d sessions", self._capacity)
        self.metrics.capacity.set(self._capacity)
        if self._housekeeping is None:
            self._housekeeping = asyncio.create_task(self._look_after())

    async def begin(
        self,
        offer: str,
        grant: Grant,
        *,
        stream: str = "",
        start: ClientMessage | None = None,
        both_ways: bool = True,
    ) -> tuple[Call, str]:
        """Begin a session; return it and the answer.

        Parameters
        ----------
        offer : str
            SDP.
        grant : Grant
            Whose it will be.
        stream : str
            Name by which it can be watched; one that cannot be guessed by default. A session of
            the same owner and stream ends.
        start : ClientMessage, optional
            What it begins with.
        both_ways : bool
            Whether the client gets its own picture back.

        Raises
        ------
        UnavailableError
            If it is not admitted.
        GreenroomError
            If the offer cannot be answered, or a setting is refused.
        """
        stream = stream or f"session-{new_id()}"
        if _STREAM.fullmatch(stream) is None:
            message = "expected a stream's name of up to 64 letters, digits, '.', '_' and '-'"
            raise GreenroomError(message)
        await self.prepare()
        with self._negotiation(grant.name):
            read_offer(offer)  # before anything is ended or made for it
            await self._take_over(stream, grant)
            self._check_admission(grant)
            call = Call(stream, grant, self._note_end, self.options.part.id_prefix)
            self._calls[call.id] = call
            try:
                answer = await call.begin(
                    offer,
                    self._context,
                    self._peer_options,
                    start=start or ClientMessage(),
                    share=self._share(),
                    both_ways=both_ways,
                )
            except BaseException:
                self._calls.pop(call.id, None)
                raise
        self._divide()
        self.metrics.started.inc()
        self._tell_event("started", call)
        call.log.info("a session begins")
        return call, answer

    async def watch(self, offer: str, grant: Grant, stream: str) -> tuple[Call, Viewer, str]:
        """Begin to watch a stream; return its session, the viewer and the answer.

        Raises
        ------
        UnknownSessionError
            If nobody publishes it.
        UnavailableError
            If there are too many viewers.
        GreenroomError
            If the offer cannot be answered.
        """
        call = self._of_stream(stream)
        if call is None:
            raise not_published(stream)
        if self.draining:
            raise draining()
        if len(call.viewers) >= self.options.max_viewers:
            message = f"the stream '{stream}' has as many viewers as it may: {len(call.viewers)}"
            raise UnavailableError(message, "viewers")
        self._check_limit(grant)
        with self._negotiation(grant.name):
            viewer, answer = await call.watch(offer, self._peer_options, grant)
        self._tell_event("watched", call)
        call.log.info("a viewer joins")
        return call, viewer, answer

    def find(self, number: str, grant: Grant) -> Call:
        """Return a session of a client's.

        Raises
        ------
        UnknownSessionError
            If there is none, or it is somebody else's.
        """
        call = self._calls.get(number)
        if call is None or not call.is_running or call.grant.name != grant.name:
            raise no_session()
        return call

    def find_viewer(self, number: str, grant: Grant) -> tuple[Call, Viewer]:
        """Return a viewer of a client's, and what it watches.

        Raises
        ------
        UnknownSessionError
            As `find`.
        """
        for call in self.calls:
            viewer = call.viewers.get(number)
            if viewer is not None and viewer.grant.name == grant.name:
                return call, viewer
        raise no_session()

    def session_of(self, thread: int) -> str:
        """Return the id of the session that a thread belongs to, for logs; on any thread."""
        for call in list(self._calls.values()):
            if call.is_running and any(one.ident == thread for one in call.session.threads):
                return call.id
        return ""

    async def drain(self, grace_s: float) -> None:
        """Admit nobody any more, tell those who are there, and close all after a grace."""
        self.draining = True
        logger.info("the service ends within %g s", grace_s)
        message = "This server is being shut down. Another one may take a new session."
        for call in self.calls:
            call.tell_closing(message, grace_s)
        self._emptied.clear()
        if self._calls:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), grace_s)
        await self.close()

    async def close(self) -> None:
        """End all sessions; nothing of them is left."""
        self.draining = True
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._housekeeping
            self._housekeeping = None
        ends = [call.close("the service ends") for call in self._calls.values()]
        await asyncio.gather(*ends, *self._closing, return_exceptions=True)

    async def _take_over(self, stream: str, grant: Grant) -> None:
        """End an earlier session of the same owner and stream."""
        for call in list(self._calls.values()):
            if call.stream != stream:
                continue
            if call.grant.name != grant.name or not call.is_running:
                message = f"the stream '{stream}' is being published already"
                raise UnavailableError(message, "taken")
            await call.close("published anew")

    def _of_stream(self, stream: str) -> Call | None:
        return next((call for call in self.calls if call.stream == stream), None)

    def _check_admission(self, grant: Grant) -> None:
        """Refuse a session that others would suffer from."""
        assert self._capacity is not None
        if self.draining:
            raise draining()
        if len(self._calls) >= self._capacity:
            raise full(self._capacity)
        if self._load.is_high:
            raise busy()
        self._check_limit(grant)

    def _check_limit(self, grant: Grant) -> None:
        """Refuse more connections at once than a token allows."""
        if grant.sessions is None:
            return
        own = sum(call.grant.name == grant.name for call in self._calls.values())
        own += sum(
            viewer.grant.name == grant.name
            for call in self._calls.values()
            for viewer in call.viewers.values()
        )
        if own >= grant.sessions:
            raise over_limit(grant.sessions)

    @contextmanager
    def _negotiation(self, client: str) -> Iterator[None]:
        """Count a negotiation that goes on, and refuse too many."""
        if not self._limit.allows(client):
            raise too_many_requests()
        if self._negotiations >= _MAX_NEGOTIATIONS:
            message = "too many sessions begin at once: wait a little"
            raise UnavailableError(message, "rate", 1)
        self._negotiations += 1
        try:
            yield
        finally:
            self._negotiations -= 1

    def _share(self) -> float:
        """Return what each session gets of all processors, in %."""
        share = _USABLE_PERCENT / self.options.part.count / max(1, len(self._calls))
        return max(_LEAST_PERCENT, min(_MOST_PERCENT, share))

    def _divide(self) -> None:
        """Divide the processors anew."""
        share = self._share()
        self.metrics.sessions.set(len(self._calls))
        for call in self.calls:
            task = asyncio.ensure_future(run_quick(call.session.give_share, share))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _note_end(self, call: Call, reason: str) -> None:
        if self._calls.pop(call.id, None) is None:
            return
        self._keeps_freed = True
        self.metrics.session_ended(call.counts())
        self._divide()
        if not self._calls:
            self._emptied.set()
        self._tell_event("ended", call, reason)
        call.log.info("a session has ended after %.0f s: %s", _age_s(call), reason or "by itself")

    def _tell_event(self, kind: str, call: Call, reason: str = "") -> None:
        if self._on_event is None:
            return
        event = SessionEvent(kind, call.id, call.stream, call.grant.name, reason)
        try:
            self._on_event(event)
        except Exception as error:  # the application's fault is not the session's
            call.log.exception("the application's on_event failed: %s", error)

    def _running_counts(self) -> list[SessionCounts]:
        """Return the counts of the sessions that run; on any thread."""
        return [call.counts() for call in list(self._calls.values()) if call.is_running]

    async def _look_after(self) -> None:
        """Close what is idle or has ended, and watch the load."""
        await run_slow(delete_abandoned_uploads)
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._look()
            except Exception as error:
                logger.exception("%s", error)

    async def _look(self) -> None:
        if self._keeps_freed:
            self._keeps_freed = False
            await run_quick(return_freed_memory)
        calls = self.calls
        statuses = await run_quick(lambda: [call.session.status() for call in calls])
        self._load.look(statuses)
        self.metrics.cpu.set(self._load.cores_used / (os.cpu_count() or 1))
        self.metrics.viewers.set(sum(len(call.viewers) for call in calls))
        if statuses:
            self.metrics.note_device(statuses[0].device)
        now_s = time.monotonic()
        for call in calls:
            call.set_sound_delay()
            reason = self._reason_to_end(call, now_s)
            if reason:
                task = asyncio.ensure_future(call.close(reason))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    def _reason_to_end(self, call: Call, now_s: float) -> str:
        """Return why a session is to end; empty if it goes on."""
        session = call.session
        if session.ended.is_set():
            return str(session.error or "the video has ended")
        if now_s - session.feed.last_s > self.options.idle_s:
            return f"no video came for {self.options.idle_s:g} s"
        return "" if self._holds(call.grant) else "its token is no longer valid"


def _age_s(call: Call) -> float:
    return time.monotonic() - call.began_s
