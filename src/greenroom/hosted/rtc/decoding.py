"""Decoding on a thread of its own: a bounded queue in, and the newest frame wins out."""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter, deque
from fractions import Fraction
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import av
from av.codec.context import Flags

from greenroom.hosted.rtc.encoding import VIDEO_RATE
from greenroom.hosted.rtc.picture_sizes import picture_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.hosted.rtc.assembly import EncodedFrame

__all__ = ["Decoding"]

logger = logging.getLogger(__name__)

_TIME_BASE: Final = Fraction(1, VIDEO_RATE)
_DECODERS: Final = {"VP8": "vp8", "H264": "h264"}
_PADDED: Final = 63  # pixels that FFmpeg adds to a side, for its alignment in memory
_MOST_WAITING: Final = 15  # coded frames: half a second
# A receiver that is always behind is given a frame now and then all the same.
_SKIPPED_AT_MOST: Final = 5


class Decoding:
    """Decodes the frames of one video, and hands the newest to whoever takes it.

    Every frame is decoded, as the next refers to it, but while more of them wait only the last is
    handed on. When too many wait, all up to the next key frame are dropped.

    Parameters
    ----------
    on_video : callable
        Takes a frame and the time when it arrived, on the thread of this; may block.
    on_key_needed : callable
        Called on that thread, or on that of `put`, when nothing goes on without a key frame.
    on_refused : callable
        Called with a sentence, once, when the video cannot be taken at all.
    max_size : tuple of int
        (width, height) of the largest picture, in either orientation.
    name : str
        Of the thread.

    Attributes
    ----------
    dropped : Counter
        Frames that were not handed on, by reason.
    decoded : int
    """

    def __init__(
        self,
        on_video: Callable[[av.VideoFrame, float], None],
        on_key_needed: Callable[[], None],
        on_refused: Callable[[str], None],
        *,
        max_size: tuple[int, int],
        name: str = "",
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self.decoded = 0
        self._on_video = on_video
        self._on_key_needed = on_key_needed
        self._on_refused = on_refused
        self._max_size = max_size
        self._waiting: deque[EncodedFrame] = deque()
        self._lock = threading.Lock()
        self._tokens: SimpleQueue[None] = SimpleQueue()  # one for each frame, and for the end
        self._awaits_key = True
        self._closed = False
        self._refused = False
        self._decoder: av.VideoCodecContext | None = None
        self._codec = ""
        self._thread = threading.Thread(target=self._run, name=f"decode {name}", daemon=True)
        self._thread.start()

    def put(self, frame: EncodedFrame) -> None:
        """Take a coded frame; never blocks."""
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING and not frame.key:
                self.dropped["overload"] += len(self._waiting)
                self._waiting.clear()
                self._awaits_key = True
            if self._awaits_key and not frame.key:
                self.dropped["no key frame"] += 1
            else:
                if frame.key:
                    self.dropped["overload"] += len(self._waiting)
                    self._waiting.clear()  # nothing after it refers to them
                self._awaits_key = False
                self._waiting.append(frame)
                self._tokens.put(None)
                return
        self._on_key_needed()

    def close(self) -> None:
        """End the thread as soon as the frame that it is busy with is done."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._tokens.put(None)

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        skipped = 0
        while (frame := self._taken()) is not None:
            picture = self._decode(frame)
            if picture is None:
                continue
            self.decoded += 1
            if self._waiting and skipped < _SKIPPED_AT_MOST:
                skipped += 1
                self.dropped["newer came"] += 1
                continue
            skipped = 0
            self._hand_on(picture, frame.arrived_s)
        self._decoder = None

    def _taken(self) -> EncodedFrame | None:
        """Return the next coded frame; None at the end."""
        while True:
            self._tokens.get()
            with self._lock:
                if self._closed:
                    return None
                if self._waiting:
                    return self._waiting.popleft()

    def _hand_on(self, picture: av.VideoFrame, arrived_s: float) -> None:
        try:
            self._on_video(picture, arrived_s)
        except Exception:
            # The one who takes them fails closed; the connection has to go on.
            logger.exception("a received frame could not be handled")
            self.dropped["failure"] += 1

    def _decode(self, frame: EncodedFrame) -> av.VideoFrame | None:
        """Return the picture of a coded frame; None if it has none that may be used."""
        if frame.key and (size := picture_size(frame.codec, frame.data)) is not None:
            # H.264 says it in whole macroblocks.
            margin = 15 if frame.codec == "H264" else 0
            if not self._fits(size, margin):
                return None
        packet = av.Packet(frame.data)
        packet.pts = frame.timestamp
        packet.time_base = _TIME_BASE
        try:
            pictures = self._decoder_for(frame.codec).decode(packet)
        except av.FFmpegError as error:
            logger.debug("a %s frame cannot be decoded: %s", frame.codec, error)
            self._decoder = None
            with self._lock:
                self.dropped["damaged"] += 1
                self._waiting.clear()
                self._awaits_key = True
            self._on_key_needed()
            return None
        if not pictures:
            return None
        picture = pictures[-1]
        assert isinstance(picture, av.VideoFrame)
        return picture if self._fits((picture.width, picture.height)) else None

    def _decoder_for(self, codec: str) -> av.VideoCodecContext:
        if self._decoder is None or codec != self._codec:
            decoder = av.CodecContext.create(_DECODERS[codec], "r")
            assert isinstance(decoder, av.VideoCodecContext)
            decoder.thread_count = 1  # more threads would hold frames back
            decoder.flags |= Flags.low_delay
            # H.264 may announce sizes anywhere: this is looked at before memory is taken.
            pixels = math.prod(side + _PADDED for side in self._max_size)
            decoder.options = {"max_pixels": str(pixels)}
            self._decoder, self._codec = decoder, codec
        return self._decoder

    def _fits(self, size: tuple[int, int], margin: int = 0) -> bool:
        """Return whether a size may be used; say once that it may not."""
        longest, shortest = max(self._max_size), min(self._max_size)
        if max(size) <= longest + margin and min(size) <= shortest + margin:
            return True
        self.dropped["too large"] += 1
        if not self._refused:
            self._refused = True
            self._on_refused(
                f"the video has {size[0]}x{size[1]} pixels: expected at most {longest}x{shortest}"
            )
        return False
