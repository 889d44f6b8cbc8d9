"""SCTP packets that would cost more than they are worth, told before they are handled (RFC 9260).

aiortc makes a set of every number that an acknowledgement covers, and goes through all parts of
messages that are not complete for every one that comes: packets which nobody sends but to do harm
would hold up the event loop, and with it all other sessions, for seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["chunk_cost"]

_HEADER_BYTES: Final = 12
_SACK: Final = 3
_SACK_BYTES: Final = 16  # before its gap blocks
# Chunks of a packet, and numbers that an acknowledgement may cover: many times what is in flight.
_MOST_CHUNKS: Final = 64
_MOST_COVERED: Final = 2048


def chunk_cost(packet: bytes) -> int | None:
    """Return how many chunks a packet has; None if it is to be dropped."""
    count = 0
    for kind, chunk in _chunks(packet):
        count += 1
        if count > _MOST_CHUNKS or (kind == _SACK and _covered(chunk) > _MOST_COVERED):
            return None
    return count


def _chunks(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Iterate over the types and contents of a packet's chunks."""
    position = _HEADER_BYTES
    while position + 4 <= len(packet):
        size = max(4, int.from_bytes(packet[position + 2 : position + 4]))
        yield packet[position], packet[position : position + size]
        position += size + -size % 4


def _covered(chunk: bytes) -> int:
    """Return how many numbers the gap blocks of an acknowledgement cover."""
    count = int.from_bytes(chunk[12:14])
    blocks = chunk[_SACK_BYTES : _SACK_BYTES + 4 * count]
    return sum(
        int.from_bytes(blocks[at + 2 : at + 4]) - int.from_bytes(blocks[at : at + 2]) + 1
        for at in range(0, len(blocks), 4)
        if blocks[at : at + 2] <= blocks[at + 2 : at + 4]
    )
