"""Reassembly of frames from packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from greenroom.hosted.rtc.assembly import Assembler
from greenroom.hosted.rtc.payloads import Payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.hosted.rtc.assembly import EncodedFrame

# Of a packet: sequence number, timestamp, marker, data, whether a key frame begins.
Sent = tuple[int, int, bool, bytes, bool]


def stream(frames: int, parts: int = 3, first: int = 65_530, key_every: int = 0) -> list[Sent]:
    """Return the packets of a stream whose numbers wrap; its first frame is a key frame."""
    packets = []
    for frame in range(frames):
        key = frame == 0 or bool(key_every and frame % key_every == 0)
        for part in range(parts):
            sequence = (first + frame * parts + part) & 0xFFFF
            timestamp = (2**32 - 4000 + frame * 3000) % 2**32
            data = f"{frame}.{part} ".encode()
            packets.append((sequence, timestamp, part == parts - 1, data, key and part == 0))
    return packets


def whole(frame: int, parts: int = 3) -> bytes:
    """Return the data of a frame."""
    return b"".join(f"{frame}.{part} ".encode() for part in range(parts))


def fed(
    assembler: Assembler, packets: Sequence[Sent], now_s: float = 100.0, step_s: float = 0.001
) -> list[EncodedFrame]:
    """Return the frames that packets complete."""
    frames = []
    for number, (sequence, timestamp, marker, data, key) in enumerate(packets):
        frames += assembler.add(
            "VP8",
            (sequence, timestamp),
            Payload(data, key),
            now_s + number * step_s,
            marker=marker,
        )
    return frames


def test_a_frame_is_released_with_its_marker() -> None:
    """No packet of the next frame is waited for, and numbers that wrap change nothing."""
    assembler = Assembler()
    packets = stream(5)
    released = [len(fed(assembler, [packet])) for packet in packets]
    assert released == [0, 0, 1] * 5


def test_frames_keep_order_time_and_data() -> None:
    """Timestamps are counted from the first one."""
    frames = fed(Assembler(), stream(5))
    assert [frame.data for frame in frames] == [whole(number) for number in range(5)]
    assert [frame.timestamp for frame in frames] == [3000 * number for number in range(5)]
    assert [frame.key for frame in frames] == [True, False, False, False, False]


@given(st.permutations(range(9)))
def test_any_order_gives_the_same_frames(order: list[int]) -> None:
    """Packets that overtake each other are put in order, once the key frame's first is there."""
    packets = stream(4)
    head, rest = packets[:3], packets[3:]
    frames = fed(Assembler(), head + [rest[number] for number in order])
    assert [frame.data for frame in frames] == [whole(number) for number in range(4)]


def test_doubled_packets_are_dropped() -> None:
    """A packet that comes twice is counted, and changes nothing."""
    assembler = Assembler()
    frames = fed(assembler, [packet for packet in stream(3) for _ in range(2)])
    assert [frame.data for frame in frames] == [whole(number) for number in range(3)]
    assert assembler.dropped["late"] == 9


def test_without_markers_the_next_time_completes_a_frame() -> None:
    """Senders that set no marker bit are understood, too."""
    packets = [(*packet[:2], False, *packet[3:]) for packet in stream(3)]
    frames = fed(Assembler(), packets)
    assert [frame.data for frame in frames] == [whole(0), whole(1)]


def test_a_lost_packet_is_asked_for_and_mends_the_stream() -> None:
    """What is missing is asked for at once and again later, and comes late but in time."""
    assembler = Assembler()
    packets = stream(4)
    lost = packets.pop(4)
    assert len(fed(assembler, packets[:5])) == 1
    assert assembler.missing(100.0) == [lost[0]]
    assert assembler.missing(100.01) == []
    assert assembler.missing(100.2) == [lost[0]]
    frames = fed(assembler, [lost, *packets[5:]], 100.1)
    assert [frame.data for frame in frames] == [whole(1), whole(2), whole(3)]
    assert not assembler.needs_key


def test_after_a_loss_nothing_is_released_before_the_next_key_frame() -> None:
    """Frames that refer to a lost one never get to the decoder."""
    assembler = Assembler()
    packets = stream(30, key_every=20)
    del packets[16]
    frames = fed(assembler, packets, step_s=0.01)
    assert [frame.data for frame in frames] == [
        whole(number) for number in (*range(5), *range(20, 30))
    ]
    assert frames[5].key


def test_a_stream_joined_in_the_middle_awaits_a_key_frame() -> None:
    """Nothing is released before it, and that is said."""
    assembler = Assembler()
    packets = stream(6, key_every=4)
    assert fed(assembler, packets[4:12]) == []
    assert assembler.needs_key
    assert [frame.data for frame in fed(assembler, packets[12:])] == [whole(4), whole(5)]


def test_a_new_start_of_the_numbers_awaits_a_key_frame() -> None:
    """A jump of the sequence numbers is another stream."""
    assembler = Assembler()
    fed(assembler, stream(3))
    frames = fed(assembler, stream(3, first=30_000))
    assert [frame.data for frame in frames] == [whole(number) for number in range(3)]


def test_steps_of_the_numbers_cost_little() -> None:
    """A sender that leaves out thousands of packets each time does not make the server list them.

    A hundred of its packets once took seconds, in which nobody else was served.
    """
    assembler = Assembler()
    fed(assembler, stream(1, first=0))
    for number in range(1, 101):
        fed(assembler, [(2900 * number & 0xFFFF, 7, False, b"x", False)], step_s=0)
        assert len(assembler.missing(1.0)) <= 64
        assert held(assembler) <= 300
    assert [frame.data for frame in fed(assembler, stream(2, first=50_000))] == [whole(0), whole(1)]


def test_nothing_grows_without_bound() -> None:
    """Packets that never make a frame are dropped, whether after a gap, in it, or without end."""
    assembler = Assembler()
    fed(assembler, stream(1))
    endless = [((200 + n) & 0xFFFF, 7, False, b"x", False) for n in range(5000)]
    fed(assembler, endless, step_s=0)
    assert held(assembler) <= 1100
    assembler = Assembler()
    one_frame = [(n & 0xFFFF, 7, False, bytes(1000), n == 0) for n in range(10_000)]
    assert fed(assembler, one_frame) == []
    assert assembler.needs_key
    assert held(assembler) <= 1100


def held(assembler: Assembler) -> int:
    """Return how many packets are kept, and known to be lost."""
    return sum(
        len(held) for name, held in vars(assembler).items() if name in {"_held", "_parts", "_lost"}
    )
