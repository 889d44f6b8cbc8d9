"""Bit rate that a sender is told to keep to, from delays and losses (REMB).

A rising delay between packets shows that a queue builds up somewhere: aiortc's filter for it, of
Google's congestion control [1]_, is fed once a frame. On a busy server packets are late as well,
because the process was: a delay alone therefore lowers the bit rate no further than to half of
the first one, and losses do the rest.

References
----------
.. [1] S. Holmer et al., "A Google Congestion Control Algorithm for Real-Time Communication",
   draft-ietf-rmcat-gcc-02.
"""

from __future__ import annotations

from typing import Final

from aiortc.rate import (
    INTER_ARRIVAL_SHIFT,
    TIMESTAMP_GROUP_LENGTH_MS,
    TIMESTAMP_TO_MS,
    BandwidthUsage,
    InterArrival,
    OveruseDetector,
    OveruseEstimator,
)

__all__ = ["BandwidthEstimator"]

_INTERVAL_S: Final = 1.0  # between two messages to the sender
_URGENT_S: Final = 0.4  # the same, when a queue builds up
_GROWTH: Final = 1.08  # a second
_BACK_OFF: Final = 0.85  # of what comes in, when a queue builds up
_DELAY_FLOOR: Final = 0.5  # of the first bit rate
# Shares of lost packets: below the first the bit rate grows, above the second it falls.
_LITTLE_LOSS: Final = 0.02
_MUCH_LOSS: Final = 0.10
# A sender that has little to send may have this multiple of it when it needs more.
_HEADROOM: Final = 2.0


class BandwidthEstimator:
    """Estimates what gets through from one sender.

    Parameters
    ----------
    bitrates : tuple of int
        The least, the first and the highest, in bits/s.

    State: the filter of delays, what came since the last message, and the present bit rate.

    Attributes
    ----------
    bitrate : float
        The present estimate, in bits/s.
    """

    def __init__(self, bitrates: tuple[int, int, int]) -> None:
        self._least, self._first, self._most = bitrates
        self.bitrate = float(self._first)
        self._arrivals = InterArrival(
            (TIMESTAMP_GROUP_LENGTH_MS << INTER_ARRIVAL_SHIFT) // 1000, TIMESTAMP_TO_MS
        )
        self._delays = OveruseEstimator()
        self._detector = OveruseDetector()
        self._bytes = 0
        self._told_s: float | None = None

    def add(self, sent: int, size: int, now_s: float) -> None:
        """Take a frame.

        Parameters
        ----------
        sent : int
            When its last packet was sent, as the header extension has it: 1/2**18 s, modulo 64 s.
        size : int
            Of its payloads, in bytes.
        now_s : float
            When it came, by `time.monotonic`.
        """
        self._bytes += size
        now_ms = round(now_s * 1000)
        delta = self._arrivals.compute_deltas(sent << 8, now_ms, size)
        if delta is None:
            return
        spacing_ms = delta.timestamp * TIMESTAMP_TO_MS
        self._delays.update(
            delta.arrival_time, spacing_ms, delta.size, self._detector.state(), now_ms
        )
        self._detector.detect(
            self._delays.offset(), spacing_ms, self._delays.num_of_deltas(), now_ms
        )

    def due(self, now_s: float) -> bool:
        """Return whether the sender is to be told something."""
        if self._told_s is None:
            return True
        urgent = self._detector.state() == BandwidthUsage.OVERUSING
        return now_s - self._told_s >= (_URGENT_S if urgent else _INTERVAL_S)

    def update(self, loss: float, now_s: float) -> int:
        """Return what the sender is told.

        Parameters
        ----------
        loss : float
            Share of the packets that were lost since this was called last.
        now_s : float

        Returns
        -------
        int
            In bits/s.
        """
        if self._told_s is not None:
            passed_s = max(now_s - self._told_s, 1e-3)
            self._adapt(8 * self._bytes / passed_s, loss, min(passed_s, 2.0))
        self._told_s = now_s
        self._bytes = 0
        return round(self.bitrate)

    def _adapt(self, incoming: float, loss: float, passed_s: float) -> None:
        if loss > _MUCH_LOSS:
            self.bitrate = max(self.bitrate * (1 - loss / 2), self._least)
        elif self._detector.state() == BandwidthUsage.OVERUSING:
            floor = min(self.bitrate, self._first * _DELAY_FLOOR)
            self.bitrate = min(self.bitrate, max(incoming * _BACK_OFF, floor))
        elif loss < _LITTLE_LOSS and self._detector.state() == BandwidthUsage.NORMAL:
            limit = max(self._first, incoming * _HEADROOM, self.bitrate)
            self.bitrate = min(self.bitrate * _GROWTH**passed_s, limit, self._most)
