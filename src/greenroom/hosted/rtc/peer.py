"""One WebRTC connection, from its offer to its end."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from greenroom.hosted.rtc import ice, internals
from greenroom.hosted.rtc.channels import Channels, is_flooded, send_text
from greenroom.hosted.rtc.media import Media
from greenroom.hosted.rtc.rates import Allowance
from greenroom.hosted.rtc.signalling import Offer, SignallingError, read_fragment, read_offer
from greenroom.hosted.rtc.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import av
    from aioice import Candidate, Connection

    from greenroom.hosted.rtc.audio import AudioPacket
    from greenroom.hosted.rtc.encoding import CodedFrame
    from greenroom.hosted.rtc.options import PeerOptions

__all__ = ["Peer"]

logger = logging.getLogger(__name__)

_WATCH_S: Final = 0.25
_LATE_S: Final = 0.75  # a loop that comes back this late was blocked
_THREAD_S: Final = 2.0  # time-out for the decoder's thread
_CONTROL_PER_S: Final = 500  # datagrams of ICE, DTLS and messages
# The same, and media, from other addresses than the chosen one: ICE may change to one of them, but
# whoever finds the port must not use up what the peer may send.
_STRANGERS_PER_S: Final = 250
_STRANGERS_MEDIA_PER_S: Final = 1000
_AIORTC_ERRORS: Final = (
    *(AssertionError, AttributeError, KeyError, IndexError, TypeError, ValueError),
    *(InternalError, InvalidAccessError, InvalidStateError, OperationError),
)


class Peer:
    """One WebRTC connection: video, audio and messages, both ways.

    It answers one offer and lives until `close`, which it calls itself when the other side is
    gone. All is used on the event loop's thread, unless a method says otherwise.

    Parameters
    ----------
    options : PeerOptions
    on_video : callable, optional
        Takes each decoded frame, as an `av.VideoFrame` whose memory is its own, and the time
        when it arrived, by `time.monotonic`. Called on a thread of the peer's; may block: of the
        frames that come meanwhile only the newest is handed on. Without it video is dropped.
    on_audio : callable, optional
        Takes each `AudioPacket`, on the loop.
    on_message : callable, optional
        Takes the text of each message, on the loop. Messages of more than 64 KiB, and more than
        50 in a second, are dropped and counted.
    on_closed : callable, optional
        Called once, on the loop, with the reason.
    name : str
        For threads and logs.

    State: the connection, its streams, and its counts.
    """

    def __init__(
        self,
        options: PeerOptions,
        *,
        on_video: Callable[[av.VideoFrame, float], None] | None = None,
        on_audio: Callable[[AudioPacket], None] | None = None,
        on_message: Callable[[str], None] | None = None,
        on_closed: Callable[[str], None] | None = None,
        name: str = "",
    ) -> None:
        self.name = name
        self._options = options
        self._on_video = on_video
        self._on_audio = on_audio
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._connection: RTCPeerConnection | None = None
        self._ice: Connection | None = None
        self._media: Media | None = None
        self._offer: Offer | None = None
        self._candidates = 0
        self._channels = Channels(on_message)
        self._streams: Streams | None = None
        self._audio_delay_s = 0.0
        self._dropped: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Future[None] | None = None

    # Signalling

    async def answer(self, offer_sdp: str, *, send_video: bool = True) -> str:
        """Answer an offer; called once.

        Parameters
        ----------
        offer_sdp : str
            SDP. Of several videos only the first is used, of several audios too.
        send_video : bool
            Whether video is sent where the offer takes any.

        Returns
        -------
        str
            SDP, with all candidates.

        Raises
        ------
        SignallingError
            If the offer cannot be answered, or no UDP port is free (`NoCandidateError`). The peer
            is closed then.
        """
        if self._connection is not None or self._is_ending():
            message = "the connection was negotiated before: a new offer needs a new one"
            raise SignallingError(message)
        try:
            return await self._answer(read_offer(offer_sdp), send_video=send_video)
        except SignallingError as error:
            await self.close(str(error))
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self.close("the answer was not waited for"))
            raise
        except _AIORTC_ERRORS as error:
            await self.close("the offer cannot be answered")
            message = f"the offer cannot be answered: {str(error) or type(error).__name__}"
            raise SignallingError(message) from error
        finally:
            if self._is_ending() and self._ice is not None:
                await self._ice.close()  # sockets that were opened since the end began

    async def _answer(self, offer: Offer, *, send_video: bool) -> str:
        self._offer = offer
        connection = self._connection = RTCPeerConnection(_configuration(self._options))
        connection.on("datachannel", self._channels.add)
        connection.on("connectionstatechange", self._check_state)
        await connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        if connection.sctp is not None:
            self._channels.guard(connection.sctp)
        transceivers = connection.getTransceivers()
        if transceivers:
            dtls = transceivers[0].receiver.transport
        else:
            assert connection.sctp is not None  # an offer has one medium at least
            dtls = connection.sctp.transport
        self._media = Media(internals.SecureRtp(dtls))
        self._streams = Streams(
            self._media,
            self._options,
            self._loop,
            on_video=self._on_video,
            on_audio=self._on_audio,
            call=self._call,
            refuse=functools.partial(self._call, self._end),
            name=self.name,
        )
        self._streams.audio.delay_s = self._audio_delay_s
        self._prepare_ice(internals.connection_of(dtls))
        self._streams.adopt(transceivers, send_video=send_video)
        await connection.setLocalDescription(await connection.createAnswer())
        if self._closing is not None:
            message = "the connection was closed before it was answered"
            raise SignallingError(message)
        await self._try_candidates(offer.candidates)
        self._start(self._watch())
        return connection.localDescription.sdp

    def _prepare_ice(self, connection: Connection) -> None:
        """Have this connection gather and keep consent in our way."""
        assert self._media is not None
        self._ice = connection
        internals.bound_addresses(connection, ice.MOST_ADDRESSES)
        own, strangers = Allowance(_CONTROL_PER_S), Allowance(_STRANGERS_PER_S)
        strangers_media = Allowance(_STRANGERS_MEDIA_PER_S)

        def admit(is_media: bool, is_known: bool) -> bool:  # noqa: FBT001 - as it is called
            if is_media:  # the peer's have a limit of their own
                return is_known or strangers_media.take(time.monotonic())
            return (own if is_known else strangers).take(time.monotonic())

        make = functools.partial(
            internals.GuardedStunProtocol,
            connection,
            self._media.received,
            admit,
        )
        internals.replace_gathering(
            connection,
            functools.partial(ice.gather, connection, self._options, make),
            functools.partial(ice.keep_consent, connection, self._media.consented),
        )

    async def add_candidates(self, sdp_fragment: str) -> None:
        """Try candidates that came after the offer.

        Parameters
        ----------
        sdp_fragment : str
            As of RFC 8840, the body of a PATCH.

        Raises
        ------
        SignallingError
            If it has none, or is of another offer: an ICE restart needs a new connection.
        """
        fragment = read_fragment(sdp_fragment)
        if self._offer is None or self._ice is None or self._closing is not None:
            message = "candidates came for a connection that is closed"
            raise SignallingError(message)
        if fragment.ufrag not in {"", self._offer.ufrag}:
            message = (
                f"the candidates are of ICE user {fragment.ufrag!r}: expected "
                f"{self._offer.ufrag!r}. To restart ICE, begin a new connection"
            )
            raise SignallingError(message)
        await self._try_candidates(fragment.candidates)

    async def _try_candidates(self, candidates: tuple[Candidate, ...]) -> None:
        assert self._ice is not None
        for candidate in candidates:
            if self._candidates >= ice.MOST_CANDIDATES:
                self._dropped["candidates"] += 1
            elif ice.acceptable(candidate, loopback=self._options.loopback):
                self._candidates += 1
                await self._ice.add_remote_candidate(candidate)

    # Sending

    @property
    def codec(self) -> str:
        """Codec that the peer wants to receive, ``VP8`` or ``H264``; empty if it takes none."""
        return "" if self._streams is None else self._streams.codec

    def send_video(self, coded: CodedFrame) -> None:
        """Send a frame, on any thread; dropped up to the next key frame where that is slow."""
        stream = self._media.video_out if self._media is not None else None
        if stream is not None and stream.put(coded):
            self._call(stream.flush)

    def send_audio(self, packet: AudioPacket) -> None:
        """Send audio that came from a peer, on any thread, `audio_delay_s` after it came."""
        if self._streams is not None:
            self._call(self._streams.audio.put, packet)

    @property
    def audio_delay_s(self) -> float:
        """From a packet's arrival to its sending, in seconds; that of the video, to fit it."""
        return self._audio_delay_s

    @audio_delay_s.setter
    def audio_delay_s(self, delay_s: float) -> None:
        self._audio_delay_s = delay_s
        if self._streams is not None:
            self._streams.audio.delay_s = delay_s

    def send_message(self, text: str) -> bool:
        """Send a message, on any thread; return whether a channel is open and not congested."""
        channel = self._channels.open_one()
        if channel is None:
            return False
        self._call(send_text, channel, text)
        return True

    def wants_key_frame(self) -> bool:
        """Return whether the peer wants a key frame, and forget it; on any thread."""
        stream = self._media.video_out if self._media is not None else None
        return stream is not None and stream.take_key_request()

    @property
    def target_bitrate(self) -> int:
        """Bit rate that the peer estimates to get through, within the options, in bits/s."""
        least, first, most = self._options.bitrates
        estimate = self._media.remb if self._media is not None else None
        return max(least, min(most, first if estimate is None else estimate))

    # Life

    def stats(self) -> dict[str, float]:
        """Return counts since the beginning, and the present round trip (s), loss and jitter (s).

        Drops are named ``dropped_in_REASON`` and ``dropped_out_REASON``.
        """
        stats = {} if self._media is None else self._media.stats()
        dropped = self._dropped + self._channels.dropped
        if self._streams is not None:
            stats["frames_decoded"] = self._streams.decoded
            dropped += self._streams.dropped()
        for reason, count in dropped.items():
            name = f"dropped_in_{reason.replace(' ', '_')}"
            stats[name] = stats.get(name, 0) + count
        return stats

    def _check_state(self) -> None:
        state = self._connection.connectionState if self._connection is not None else ""
        if state == "failed":
            self._end("no connection could be established")
        elif state == "closed":
            self._end("the peer has left")

    async def _watch(self) -> None:
        """Close a connection that does not come about or falls silent; send reports."""
        assert self._media is not None
        media = self._media
        began_s = now_s = time.monotonic()
        report_s = 0.0
        while True:
            looked_s = now_s
            await asyncio.sleep(_WATCH_S)
            now_s = time.monotonic()
            if now_s - looked_s > _LATE_S:
                media.consented()  # it is us who did not listen
            if not media.secure.ready:
                if now_s - began_s > self._options.connect_s:
                    self._end(f"no connection within {self._options.connect_s:g} s")
                continue
            if media.left:
                self._end("the peer has left")
            if now_s - media.last_heard(now_s) > self._options.silence_s:
                self._end(f"nothing was heard for {self._options.silence_s:g} s")
            sctp = self._connection.sctp if self._connection is not None else None
            if sctp is not None and is_flooded(sctp):
                self._end("messages were sent that are never complete")
            if now_s >= report_s:
                report_s = now_s + random.uniform(0.5, 1.5)  # noqa: S311 - RFC 3550
                media.send_reports()

    async def close(self, reason: str = "") -> None:
        """End the connection; returns when its sockets, tasks and threads are gone.

        A thread that hangs in ``on_video`` is abandoned.

        Parameters
        ----------
        reason : str
            For ``on_closed``.
        """
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = self._loop.create_future()
        try:
            await self._shut_down()
        finally:
            self._closing.set_result(None)
            if self._on_closed is not None:
                self._on_closed(reason)

    async def _shut_down(self) -> None:
        if self._streams is not None:
            self._streams.close()
        if self._media is not None:
            self._media.say_goodbye()
        current = asyncio.current_task()
        for task in self._tasks - {current}:
            task.cancel()
        try:
            if self._connection is not None:
                await self._connection.close()
        except _AIORTC_ERRORS as error:  # over an offer that it could not make sense of
            logger.warning("%s: aiortc could not close the connection: %s", self.name, error)
        finally:
            if self._ice is not None:
                await self._ice.close()
        end_s = time.monotonic() + _THREAD_S
        while self._streams is not None and self._streams.alive:
            if time.monotonic() > end_s:
                logger.warning("%s: the decoder's thread hangs, and is abandoned", self.name)
                break
            await asyncio.sleep(0.005)

    def _is_ending(self) -> bool:
        return self._closing is not None

    def _end(self, reason: str) -> None:
        """Close, without waiting for it."""
        if self._closing is None:
            self._start(self.close(reason))

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function on the loop, from any thread; nothing happens once that is closed."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            logger.debug("%s: the event loop is closed", self.name)


def _configuration(options: PeerOptions) -> RTCConfiguration:
    servers = [
        RTCIceServer(
            urls=server.url,
            username=server.username or None,
            credential=server.credential or None,
        )
        for server in options.ice_servers
    ]
    policy = RTCIceTransportPolicy.RELAY if options.relay_only else RTCIceTransportPolicy.ALL
    return RTCConfiguration(
        iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE, iceTransportPolicy=policy
    )
