"""SCTP packets that are dropped before they are handled."""

from __future__ import annotations

import struct

import pytest
from aiortc.rtcsctptransport import DataChunk, SackChunk
from hypothesis import given
from hypothesis import strategies as st

from greenroom.hosted.rtc.sctp_packets import chunk_cost

HEADER = struct.pack("!HHLL", 5000, 5000, 1, 0)


def sack(*gaps: tuple[int, int]) -> bytes:
    """Return a packet with one acknowledgement."""
    chunk = SackChunk()
    chunk.cumulative_tsn = 1
    chunk.gaps = list(gaps)
    return HEADER + bytes(chunk)


def data(count: int) -> bytes:
    """Return a packet with parts of messages."""
    chunk = DataChunk()
    chunk.tsn, chunk.stream_id, chunk.stream_seq, chunk.protocol = 1, 1, 0, 51
    chunk.user_data = b"x"
    return HEADER + bytes(chunk) * count


@pytest.mark.parametrize(
    ("packet", "cost"),
    [
        (sack(), 1),
        (sack((2, 100), (200, 300)), 1),
        (sack((2, 65535)), None),
        (sack(*[(1, 65535)] * 280), None),
        (sack((9, 2)), 1),
        (data(1), 1),
        (data(40), 40),
        (data(65), None),
        (data(2) + sack((1, 65535))[12:], None),
        (b"", 0),
        (HEADER, 0),
    ],
)
def test_costs(packet: bytes, cost: int | None) -> None:
    """Packets with more chunks, or with more acknowledged, than any client has are dropped."""
    assert chunk_cost(packet) == cost


@given(st.binary(max_size=200))
def test_noise(noise: bytes) -> None:
    """Nothing is raised, and it ends, whatever comes."""
    cost = chunk_cost(noise)
    assert cost is None or cost <= 64
