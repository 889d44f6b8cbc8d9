"""The sink of a hosted session: each frame is encoded once a codec, and sent to all that look."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from greenroom.hosted.rtc import VideoEncoder
from greenroom.sinks.sink import LiveSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import av

    from greenroom.hosted.rtc import Peer
    from greenroom.media.frame import Frame

__all__ = ["Broadcast"]

logger = logging.getLogger(__name__)

# Least time between key frames that are asked for, so that one viewer cannot spoil the others'
# picture by asking all the time.
_KEY_INTERVAL_S: Final = 0.3
# The slowest viewer lowers the bit rate of the others at most to this share of the fastest one's.
_LEAST_SHARE: Final = 0.25


class Broadcast(LiveSink):
    """Sends what a session gives to any number of receivers, each of them a peer.

    The size follows that of the frames. See `LiveSink` for the threads: `add` and `remove` may be
    called on any, all else on the outlet's.

    Parameters
    ----------
    create_encoder : callable
        Makes an encoder for a codec.

    State: the receivers, and an encoder for each of their codecs.
    """

    name = "webrtc"
    device = ""
    paced = False
    always = False
    keeps_layout = False

    def __init__(self, create_encoder: Callable[[str], VideoEncoder] = VideoEncoder) -> None:
        self._create_encoder = create_encoder
        self._lock = threading.Lock()
        self._receivers: dict[Peer, bool] = {}  # whether it lacks a key frame
        self._encoders: dict[str, VideoEncoder] = {}
        self._key_s: dict[str, float] = {}
        self.frames = 0
        """Frames that were sent to somebody."""

    def add(self, receiver: Peer) -> None:
        """Send to a receiver from now on, with a key frame first."""
        with self._lock:
            self._receivers[receiver] = True
        self._tell()

    def remove(self, receiver: Peer) -> None:
        """Send to a receiver no longer."""
        with self._lock:
            self._receivers.pop(receiver, None)
        self._tell()

    def readers(self) -> int:
        """See `LiveSink.readers`."""
        return len(self._receivers)

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        groups = self._groups()
        for codec in self._encoders.keys() - groups.keys():
            self._encoders.pop(codec).close()
        if not groups:
            return
        self.frames += 1
        planes = frame.to_av()
        for codec, receivers in groups.items():
            self._send(codec, receivers, planes)

    def close(self) -> None:
        """See `Sink.close`."""
        for encoder in self._encoders.values():
            encoder.close()
        self._encoders.clear()
        self._key_s.clear()

    def abort(self) -> None:
        """See `Sink.abort`."""
        self.close()

    def _groups(self) -> dict[str, list[Peer]]:
        """Return the receivers by codec."""
        groups: dict[str, list[Peer]] = {}
        with self._lock:
            for receiver in self._receivers:
                if receiver.codec:
                    groups.setdefault(receiver.codec, []).append(receiver)
        return groups

    def _send(self, codec: str, receivers: list[Peer], planes: av.VideoFrame) -> None:
        encoder = self._encoders.get(codec)
        if encoder is None:
            encoder = self._encoders[codec] = self._create_encoder(codec)
        key = self._is_key_due(codec, receivers)
        coded = encoder.encode(planes, key=key, bitrate=_shared_bitrate(receivers))
        for receiver in receivers:
            try:
                receiver.send_video(coded)
            except Exception as error:  # the others go on
                logger.exception("a receiver is dropped: %s", error)
                self.remove(receiver)
        if coded.key:
            self._key_s[codec] = time.monotonic()
            with self._lock:
                for receiver in receivers:
                    if receiver in self._receivers:
                        self._receivers[receiver] = False

    def _is_key_due(self, codec: str, receivers: Iterable[Peer]) -> bool:
        """Whether somebody lacks a key frame and the last one is not just past."""
        with self._lock:
            for receiver in receivers:
                if receiver.wants_key_frame() and receiver in self._receivers:
                    self._receivers[receiver] = True
            lacking = any(self._receivers.get(receiver, False) for receiver in receivers)
        return lacking and time.monotonic() - self._key_s.get(codec, -1e9) >= _KEY_INTERVAL_S

    def _tell(self) -> None:
        if self.on_readers is not None:
            self.on_readers()


def _shared_bitrate(receivers: Iterable[Peer]) -> int:
    """Return the bit rate that suits all receivers, as far as one may slow down the others."""
    rates = [receiver.target_bitrate for receiver in receivers]
    return max(min(rates), round(_LEAST_SHARE * max(rates)))
