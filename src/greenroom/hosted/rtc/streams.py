"""The streams of one connection, in the place of aiortc's senders and receivers."""

from __future__ import annotations

import functools
from collections import Counter
from typing import TYPE_CHECKING, Final

from greenroom.hosted.rtc import internals
from greenroom.hosted.rtc.audio import DelayLine
from greenroom.hosted.rtc.decoding import Decoding
from greenroom.hosted.rtc.receiving import AudioReceiver, VideoReceiver
from greenroom.hosted.rtc.sending import AudioStream, VideoStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    import av
    from aiortc import RTCRtpTransceiver
    from aiortc.rtcrtpparameters import RTCRtpReceiveParameters, RTCRtpSendParameters

    from greenroom.hosted.rtc.assembly import EncodedFrame
    from greenroom.hosted.rtc.audio import AudioPacket
    from greenroom.hosted.rtc.media import Media
    from greenroom.hosted.rtc.options import PeerOptions

__all__ = ["Streams"]

# Levels of H.264, in tenths: full HD and 4K at 30 frames a second. This is what is received; what
# is sent depends on its size.
_LEVELS: Final = (40, 51)


class Streams:
    """Starts the streams that were negotiated, decodes video, and delays audio; on the loop.

    Parameters
    ----------
    media : Media
        Gets the streams.
    options : PeerOptions
    loop : asyncio.AbstractEventLoop
    on_video, on_audio : callable, optional
        See `greenroom.hosted.rtc.peer.Peer`.
    call : callable
        Calls a function on the loop, from any thread.
    refuse : callable
        Takes the reason, on any thread, for which the connection has to end.
    name : str
        For the decoder's thread.

    Attributes
    ----------
    codec : str
        Of the video that is sent; empty if none is.
    audio : DelayLine
        Takes audio that is to be sent.
    """

    def __init__(
        self,
        media: Media,
        options: PeerOptions,
        loop: asyncio.AbstractEventLoop,
        *,
        on_video: Callable[[av.VideoFrame, float], None] | None,
        on_audio: Callable[[AudioPacket], None] | None,
        call: Callable[..., None],
        refuse: Callable[[str], None],
        name: str,
    ) -> None:
        self.codec = ""
        self.audio = DelayLine(loop, self._send_audio)
        self._media = media
        self._options = options
        self._on_video = on_video
        self._on_audio = on_audio
        self._call = call
        self._refuse = refuse
        self._name = name
        self._decoding: Decoding | None = None
        self._closed = False

    def adopt(self, transceivers: list[RTCRtpTransceiver], *, send_video: bool) -> None:
        """Put our own streams in the place of aiortc's; of each kind the first is used.

        Called between the offer and the answer, whose directions and codecs it decides.
        """
        used: set[str] = set()
        for transceiver in transceivers:
            if transceiver.kind in used:
                transceiver.direction = "inactive"
            elif transceiver.kind == "video":
                self._adopt_video(transceiver, sends=send_video)
            else:
                self._adopt_audio(transceiver)
            used.add(transceiver.kind)

    def _adopt_video(self, transceiver: RTCRtpTransceiver, *, sends: bool) -> None:
        transceiver.direction = "sendrecv" if sends else "recvonly"
        internals.announce_level(transceiver, _LEVELS[max(self._options.max_size) > 1920])
        if sends and internals.takes_media(transceiver):
            self.codec = internals.codecs_of(transceiver)[0].name
        internals.replace_sender(
            transceiver.sender, functools.partial(self._start_video_out, transceiver), _nothing
        )
        internals.replace_receiver(
            transceiver.receiver, functools.partial(self._start_video_in, transceiver), _nothing
        )

    def _adopt_audio(self, transceiver: RTCRtpTransceiver) -> None:
        transceiver.direction = "sendrecv"
        internals.keep_codec(transceiver, "opus")
        internals.replace_sender(
            transceiver.sender, functools.partial(self._start_audio_out, transceiver), _nothing
        )
        internals.replace_receiver(
            transceiver.receiver, functools.partial(self._start_audio_in, transceiver), _nothing
        )

    # Called by the peer connection once it is encrypted; more than once, if it has more media.

    async def _start_video_out(
        self, transceiver: RTCRtpTransceiver, parameters: RTCRtpSendParameters
    ) -> None:
        if self._media.video_out is None:
            sender = transceiver.sender
            self._media.video_out = VideoStream(
                parameters,
                internals.ssrc_of(sender),
                self._media.secure.send,
                retransmission=internals.retransmission_ssrc(sender),
            )

    async def _start_audio_out(
        self, transceiver: RTCRtpTransceiver, parameters: RTCRtpSendParameters
    ) -> None:
        if self._media.audio_out is None:
            self._media.audio_out = AudioStream(
                parameters, internals.ssrc_of(transceiver.sender), self._media.secure.send
            )

    async def _start_video_in(
        self, transceiver: RTCRtpTransceiver, parameters: RTCRtpReceiveParameters
    ) -> None:
        if self._media.video_in is not None or self._closed:
            return
        if self._on_video is not None:
            self._decoding = Decoding(
                self._on_video,
                functools.partial(self._call, self._need_key),
                self._refuse,
                max_size=self._options.max_size,
                name=self._name,
            )
        self._media.video_in = VideoReceiver(
            parameters,
            self._decode,
            functools.partial(self._media.secure.send, is_rtcp=True),
            own_ssrc=internals.ssrc_of(transceiver.sender),
            bitrates=self._options.bitrates,
        )
        self._media.route(self._media.video_in)

    async def _start_audio_in(
        self, transceiver: RTCRtpTransceiver, parameters: RTCRtpReceiveParameters
    ) -> None:
        if self._media.audio_in is None:
            self._media.audio_in = AudioReceiver(parameters, self._hear)
            self._media.audio_ssrc = internals.ssrc_of(transceiver.sender)
            self._media.route(self._media.audio_in)

    def _decode(self, frame: EncodedFrame) -> None:
        if self._decoding is not None:
            self._decoding.put(frame)

    def _need_key(self) -> None:
        if self._media.video_in is not None:
            self._media.video_in.need_key()

    def _hear(self, packet: AudioPacket) -> None:
        if self._on_audio is not None:
            self._on_audio(packet)

    def _send_audio(self, packet: AudioPacket) -> None:
        if self._media.audio_out is not None:
            self._media.audio_out.send(packet)

    @property
    def decoded(self) -> int:
        """Frames that were decoded."""
        return 0 if self._decoding is None else self._decoding.decoded

    def dropped(self) -> Counter[str]:
        """Return what was dropped between the network and who takes it, by reason."""
        dropped = Counter(self._decoding.dropped) if self._decoding is not None else Counter()
        dropped["audio"] = self.audio.dropped
        return dropped

    def close(self) -> None:
        """End the decoder's thread as soon as it can, and forget audio that waits."""
        self._closed = True
        self.audio.close()
        if self._decoding is not None:
            self._decoding.close()

    @property
    def alive(self) -> bool:
        """Whether the decoder's thread still runs."""
        return self._decoding is not None and self._decoding.alive


async def _nothing() -> None:
    """Stop nothing: streams end with the connection."""
