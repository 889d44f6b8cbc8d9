"""One client's call: its connection, its session, and those who watch it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from greenroom.errors import GreenroomError
from greenroom.hosted.logs import session_log
from greenroom.hosted.messages import (
    closing_message,
    error_message,
    parse_message,
    settings_message,
    status_message,
)
from greenroom.hosted.metrics import SessionCounts
from greenroom.hosted.refusals import UnavailableError
from greenroom.hosted.rtc import Peer
from greenroom.hosted.session import HostedSession
from greenroom.web.page_state import run_quick, run_slow

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from greenroom.hosted.messages import ClientMessage
    from greenroom.hosted.rtc import AudioPacket, PeerOptions
    from greenroom.hosted.session import SessionContext
    from greenroom.hosted.tokens import Grant

__all__ = ["Call", "Viewer", "new_id"]

logger = logging.getLogger(__name__)

_ID_BYTES: Final = 12
# Time between two status messages, and between two attempts until the channel is open.
_STATUS_S: Final = 1.0
_OPENING_S: Final = 0.05
# Changes of settings that may wait for an earlier one.
_MAX_WAITING: Final = 8


def new_id() -> str:
    """Return a new id, which cannot be guessed."""
    return secrets.token_urlsafe(_ID_BYTES)


class Viewer:
    """One connection that watches a call.

    Attributes
    ----------
    id : str
        Begins as the call's.
    peer : Peer
    grant : Grant
        Whose it is.
    """

    def __init__(self, peer: Peer, grant: Grant, id_prefix: str = "") -> None:
        self.id = f"{id_prefix}{new_id()}"
        self.peer = peer
        self.grant = grant


class Call:
    """A session with its client's connection. Everything is called on the event loop's thread.

    Parameters
    ----------
    stream : str
        Name by which it can be watched.
    grant : Grant
        Whose it is.
    on_ended : callable
        Called once, with the call and the reason.
    id_prefix : str
        What the ids of call and viewers begin with.

    Attributes
    ----------
    id : str
        Cannot be guessed.
    viewers : dict of Viewer
        By their ids.
    """

    def __init__(
        self,
        stream: str,
        grant: Grant,
        on_ended: Callable[[Call, str], None],
        id_prefix: str = "",
    ) -> None:
        self.id = f"{id_prefix}{new_id()}"
        self._id_prefix = id_prefix
        self.stream = stream
        self.grant = grant
        self.viewers: dict[str, Viewer] = {}
        self.log = session_log(logger, self.id)
        self.began_s = time.monotonic()
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._peer: Peer | None = None
        self._session: HostedSession | None = None
        self._changing = asyncio.Lock()
        self._waiting = 0
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._ended = False

    @property
    def session(self) -> HostedSession:
        """The session; only of a call that was begun."""
        assert self._session is not None
        return self._session

    @property
    def is_running(self) -> bool:
        """Whether it was begun and has not ended."""
        return self._session is not None and not self._ended

    async def begin(
        self,
        offer: str,
        context: SessionContext,
        options: PeerOptions,
        *,
        start: ClientMessage,
        share: float,
        both_ways: bool,
    ) -> str:
        """Make the session, and answer an offer.

        Parameters
        ----------
        offer : str
            SDP.
        start : ClientMessage
            What it begins with.
        share : float
            Its share of all processors, in %.
        both_ways : bool
            Whether the client gets its own picture back.

        Raises
        ------
        GreenroomError
            If the offer cannot be answered, a setting is refused, or it was closed meanwhile.
            Nothing is left then.
        """
        self._session = session = await run_slow(
            HostedSession, self.stream, context, start.settings, share
        )
        if self._ended:
            await asyncio.shield(run_slow(session.stop))
            message = "the service has ended"
            raise UnavailableError(message, "draining", 1)
        try:
            if start.cover is not None:
                session.cover(on=start.cover)
            session.start()
            self._unsubscribe = session.subscribe(self._note_news)
            self._peer = Peer(
                options,
                on_video=session.feed.put,
                on_audio=self._relay,
                on_message=self._take_message,
                on_closed=self._end,
                name=self.stream,
            )
            answer = await self._peer.answer(offer, send_video=both_ways)
            if both_ways:
                session.broadcast.add(self._peer)
        except BaseException:
            await self.close("it was not begun", tell=False)
            raise
        self._start(self._tell())
        return answer

    async def watch(self, offer: str, options: PeerOptions, grant: Grant) -> tuple[Viewer, str]:
        """Answer the offer of somebody who watches.

        Raises
        ------
        SignallingError
            If it cannot be answered.
        """

        def forget(reason: str) -> None:
            self._remove(viewer, reason)

        peer = Peer(options, on_closed=forget, name=self.stream)
        viewer = Viewer(peer, grant, self._id_prefix)
        self.viewers[viewer.id] = viewer
        try:
            answer = await peer.answer(offer)
        except BaseException:
            self.viewers.pop(viewer.id, None)
            await peer.close()
            raise
        if self._ended:
            await peer.close("the stream has ended")
        else:
            self.session.broadcast.add(peer)
        return viewer, answer

    async def add_candidates(self, fragment: str) -> None:
        """Take candidates that come after the offer.

        Raises
        ------
        SignallingError
            If they are none.
        """
        assert self._peer is not None
        await self._peer.add_candidates(fragment)

    async def change(self, message: ClientMessage) -> None:
        """Carry out a client's message: the cover at once, settings in their order.

        Raises
        ------
        GreenroomError
            If it is refused.
        """
        if message.cover is not None:
            self.session.cover(on=message.cover)
        if not message.settings:
            return
        if self._waiting >= _MAX_WAITING:
            problem = "too many changes at once: wait for an answer before the next one"
            raise GreenroomError(problem)
        self._waiting += 1
        try:
            async with self._changing:
                await run_slow(self.session.change, message.settings)
        finally:
            self._waiting -= 1

    def tell_closing(self, message: str, seconds: float) -> None:
        """Tell the client that the service ends."""
        if self._peer is not None:
            self._peer.send_message(closing_message(message, seconds))

    def counts(self) -> SessionCounts:
        """Return what came, left and was dropped so far. May be called on any thread."""
        session = self.session
        counts = SessionCounts(session.feed.frames, session.broadcast.frames)
        drops = dict(session.status().drops)
        drops["not taken"] = session.feed.dropped
        counts.drops.update(drops)
        return counts

    def stats(self) -> dict[str, float]:
        """Return what is known of the client's connection."""
        return {} if self._peer is None else self._peer.stats()

    def network(self) -> dict[str, float]:
        """Return what the client is told of its connection."""
        stats = self.stats()
        return {name: stats[name] for name in ("rtt_s", "loss", "jitter_s") if name in stats}

    def set_sound_delay(self) -> None:
        """Have sound wait for as long as the picture takes."""
        delay_s = self.session.delay_s
        for peer in self._receivers():
            peer.audio_delay_s = delay_s

    async def close(self, reason: str, *, tell: bool = True) -> None:
        """End it: no thread, connection or file is left."""
        if self._ended:
            return
        self._ended = True
        self._unsubscribe()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        peers = self._receivers()
        self.viewers.clear()
        if self._session is not None:  # first, so that nothing of it is sent any more
            await asyncio.shield(run_slow(self._session.stop))
        await asyncio.gather(*(peer.close(reason) for peer in peers), return_exceptions=True)
        if tell:
            self._on_ended(self, reason)

    def _receivers(self) -> list[Peer]:
        own = [] if self._peer is None else [self._peer]
        return [*own, *(viewer.peer for viewer in self.viewers.values())]

    def _end(self, reason: str) -> None:
        """Close after the client's connection has ended."""
        if not self._ended:
            self._start(self.close(reason))

    def _remove(self, viewer: Viewer, reason: str) -> None:
        """Forget a viewer whose connection has ended."""
        if self.viewers.pop(viewer.id, None) is not None:
            self.log.info("a viewer has left: %s", reason)
        if self._session is not None:
            self._session.broadcast.remove(viewer.peer)

    def _relay(self, packet: AudioPacket) -> None:
        """Pass sound on to all that look."""
        for peer in self._receivers():
            peer.send_audio(packet)

    def _take_message(self, text: str) -> None:
        """Carry out a message of the client's, and answer it."""
        if self.is_running:
            self._start(self._answer(text))

    async def _answer(self, text: str) -> None:
        assert self._peer is not None
        try:
            message = parse_message(text)
            await self.change(message)
        except GreenroomError as error:
            self._peer.send_message(error_message(str(error), getattr(error, "name", None)))
            return
        if message.settings:
            self._peer.send_message(settings_message(self.session.told_settings))

    def _note_news(self) -> None:
        """Have the status told now; called on any thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._news.set)

    async def _tell(self) -> None:
        """Tell the client the settings when its channel opens, and the status then and later."""
        assert self._peer is not None
        text = settings_message(self.session.told_settings)
        while not self._peer.send_message(text):  # noqa: ASYNC110 - nobody tells that it is open
            await asyncio.sleep(_OPENING_S)
        while True:
            self._news.clear()
            status = await run_quick(self.session.status)
            self._peer.send_message(status_message(status, self.network()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _STATUS_S)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
