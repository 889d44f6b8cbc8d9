"""Connections with aiortc as the client, from the offer to the end."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import re
import socket
import threading
import time
from contextlib import ExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aioice import stun
from aiortc import RTCSessionDescription
from aiortc.rtcsctptransport import DataChunk, SackChunk

from greenroom.hosted.rtc import (
    AudioPacket,
    Peer,
    PeerOptions,
    SignallingError,
    VideoEncoder,
    ice,
    internals,
)
from hosted.rtc.clients import LOCAL, Client, Drawn, client_of, until
from hosted.service import asynchronous

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import av

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Echo:
    """A peer that sends everything back."""

    def __init__(self, options: PeerOptions = LOCAL) -> None:
        self.frames: list[tuple[int, int]] = []
        self.keys = 0
        self.sound: list[AudioPacket] = []
        self.messages: list[str] = []
        self.reasons: list[str] = []
        self.late_s: list[float] = []
        self._encoder: VideoEncoder | None = None
        self.peer = Peer(
            options,
            on_video=self._see,
            on_audio=self._hear,
            on_message=self._read,
            on_closed=self.reasons.append,
            name="echo",
        )

    def _see(self, frame: av.VideoFrame, arrived_s: float) -> None:
        self.frames.append((frame.width, frame.height))
        self.late_s.append(time.monotonic() - arrived_s)
        if not self.peer.codec:
            return
        if self._encoder is None:
            self._encoder = VideoEncoder(self.peer.codec)
        coded = self._encoder.encode(
            frame, key=self.peer.wants_key_frame(), bitrate=self.peer.target_bitrate
        )
        self.keys += coded.key
        self.peer.send_video(coded)

    def _hear(self, packet: AudioPacket) -> None:
        self.sound.append(packet)
        self.peer.send_audio(packet)

    def _read(self, text: str) -> None:
        self.messages.append(text)
        self.peer.send_message(f"got {len(text)}")


@asynccontextmanager
async def echoing(options: PeerOptions = LOCAL) -> AsyncIterator[tuple[Echo, Client]]:
    """Give an echo and a client, not connected yet."""
    echo = Echo(options)
    async with client_of(echo.peer) as client:
        yield echo, client


@asynccontextmanager
async def calling(options: PeerOptions = LOCAL) -> AsyncIterator[tuple[Echo, Client]]:
    """Give an echo and a client whose first frames it has."""
    async with echoing(options) as (echo, client):
        client.video()
        await client.connect(echo.peer)
        await until(lambda: len(echo.frames) > 3)
        yield echo, client


@asynccontextmanager
async def chatting() -> AsyncIterator[tuple[Echo, Client]]:
    """Give an echo and a client that has only an open channel to it."""
    async with echoing() as (echo, client):
        client.messaging()
        await client.connect(echo.peer)
        await until(lambda: client.channel.readyState == "open")
        yield echo, client


def port_of(answer: str) -> int:
    """Return the loopback port of an answer."""
    return int(re.findall(r"127\.0\.0\.1 (\d+) typ host", answer)[0])


@pytest.mark.parametrize("codec", ["VP8", "H264"])
@asynchronous
async def test_video_goes_there_and_back(codec: str) -> None:
    """Frames come at once, in the codec that was offered, and come back."""
    async with echoing() as (echo, client):
        client.video(codec=codec)
        await client.connect(echo.peer)
        await until(lambda: len(client.received["video"]) > 15)
        assert echo.peer.codec == codec
        back = client.received["video"]
        assert {(frame.width, frame.height) for frame in back} == {(320, 240)}
        steps = {after.pts - before.pts for before, after in pairwise(back)}
        assert 2999 <= min(steps) <= 3001  # the client's encoder rounds
        assert sorted(echo.late_s)[len(echo.late_s) // 2] < 0.02
        stats = echo.peer.stats()
        assert stats["frames_in"] > 15
        assert stats["frames_out"] > 15
        assert stats["bytes_in"] > 0
        assert stats["bytes_out"] > 0
    assert echo.reasons == [""]


@asynchronous
async def test_a_client_that_only_sends_is_sent_nothing() -> None:
    """So WHIP works: its offer says that it takes nothing."""
    async with echoing() as (echo, client):
        client.video("sendonly", "H264")
        answer = await client.connect(echo.peer)
        await until(lambda: len(echo.frames) > 3)
        assert echo.peer.codec == ""
        assert "a=recvonly" in answer
        assert "frames_out" not in echo.peer.stats()


@asynchronous
async def test_a_client_that_only_watches_gets_what_another_sends() -> None:
    """So WHEP works, and frames are encoded once for both."""
    echo = Echo()
    viewer = Peer(LOCAL)
    taken = echo.peer.send_video

    def to_both(coded: Any) -> None:
        taken(coded)
        viewer.send_video(coded)

    echo.peer.send_video = to_both  # type: ignore[method-assign]
    async with client_of(echo.peer) as client, client_of(viewer) as watching:
        client.video()
        await client.connect(echo.peer)
        await until(lambda: len(client.received["video"]) > 3)
        watching.video("recvonly")
        answer = await watching.connect(viewer)
        assert "a=sendonly" in answer
        assert viewer.codec == "VP8"
        await until(viewer.wants_key_frame)
        count = len(echo.frames)
        await until(lambda: len(echo.frames) > count + 3)
        assert watching.received["video"] == []  # nothing before a key frame
        echo.peer._media.video_out.ask_for_key()  # type: ignore[union-attr]  # noqa: SLF001
        await until(lambda: len(watching.received["video"]) > 3)


@asynchronous
async def test_a_peer_that_sends_nothing_answers_so() -> None:
    """Then it takes video only."""
    async with echoing() as (echo, client):
        client.video()
        answer = await client.connect(echo.peer, send_video=False)
        assert "a=recvonly" in answer
        await until(lambda: len(echo.frames) > 3)
        assert echo.peer.codec == ""


@asynchronous
async def test_the_size_changes_in_mid_call() -> None:
    """A turned camera, and one that is switched, come back as they are."""
    async with echoing() as (echo, client):
        drawn = client.video()
        await client.connect(echo.peer)
        for size in ((320, 240), (240, 320), (640, 360)):
            drawn.size = size
            await until(functools.partial(client.has_seen, size))


@asynchronous
async def test_audio_is_passed_through_late_enough() -> None:
    """Opus comes as it was sent and goes back decodable, delayed as it is told to."""
    async with echoing() as (echo, client):
        client.video()
        client.audio()
        answer = await client.connect(echo.peer)
        audio = answer[answer.index("m=audio") :]
        assert "opus/48000" in audio
        assert "PCMU" not in audio
        await until(lambda: len(client.received["audio"]) > 20)
        assert len({packet.ssrc for packet in echo.sound}) == 1
        assert client.received["audio"][-1].sample_rate == 48_000
        stream = echo.peer._media.audio_out  # type: ignore[union-attr]  # noqa: SLF001
        assert stream is not None
        echo.peer.audio_delay_s = 0.3
        sent, began_s = stream.packets, time.monotonic()
        await until(lambda: stream.packets > sent)
        assert time.monotonic() - began_s > 0.28
        count = len(client.received["audio"])
        await until(lambda: len(client.received["audio"]) > count + 10)


@asynchronous
async def test_messages_go_both_ways() -> None:
    """On whichever channel is open."""
    async with echoing() as (echo, client):
        client.messaging()
        assert not echo.peer.send_message("too early")
        await client.connect(echo.peer)
        await until(lambda: client.channel.readyState == "open")
        client.channel.send("hello")
        await until(lambda: client.messages)
        assert echo.messages == ["hello"]
        assert client.messages == ["got 5"]


@asynchronous
async def test_a_flood_of_messages_is_dropped_and_counted() -> None:
    """Long ones and more than fifty in a second never reach the session."""
    async with chatting() as (echo, client):
        client.channel.send("x" * 65_537)
        client.channel.send(b"bytes are no text")
        for number in range(200):
            client.channel.send(str(number))
        await until(lambda: echo.peer.stats().get("dropped_in_message_rate", 0) > 100)
        assert echo.peer.stats()["dropped_in_message_size"] == 2
        assert 50 <= len(echo.messages) < 100
        assert echo.messages[0] == "0"


@asynchronous
async def test_acknowledgements_of_everything_do_not_hold_up_the_loop() -> None:
    """One packet of a kilobyte once took seconds to be read, in which nobody was served."""
    async with chatting() as (echo, client):
        sctp = client.connection.sctp
        assert sctp is not None
        false = SackChunk()
        false.cumulative_tsn = sctp._last_received_tsn  # noqa: SLF001
        false.gaps = [(1, 65_535)] * 280
        for _ in range(5):
            await sctp._send_chunk(false)  # noqa: SLF001
        began_s = time.monotonic()
        client.channel.send("still there")
        await until(lambda: echo.messages == ["still there"])
        assert time.monotonic() - began_s < 1.0
        assert echo.peer.stats()["dropped_in_message_packets"] == 5


@asynchronous
async def test_parts_of_no_message_end_the_connection() -> None:
    """Parts of a byte each, of messages that never begin, are no more than a few hundred."""
    async with chatting() as (echo, client):
        sctp = client.connection.sctp
        assert sctp is not None
        for number in range(400):
            part = DataChunk()
            part.flags = 4  # unordered, neither the first nor the last
            part.tsn = (sctp._local_tsn + number) % 2**32  # noqa: SLF001
            part.stream_id, part.stream_seq, part.protocol = 1, 0, 51
            part.user_data = b"x"
            await sctp._send_chunk(part)  # noqa: SLF001
        await until(lambda: echo.reasons)
        assert echo.reasons == ["messages were sent that are never complete"]


@asynchronous
async def test_more_channels_than_four_are_closed() -> None:
    """Nobody needs them, and each has its memory."""
    async with echoing() as (echo, client):
        client.messaging()
        others = [client.connection.createDataChannel(str(number)) for number in range(6)]
        await client.connect(echo.peer)
        await until(lambda: sum(one.readyState == "closed" for one in others) == 3)
        assert echo.peer.stats()["dropped_in_channels"] == 3


@asynchronous
async def test_a_peer_that_vanishes_is_noticed_within_its_time() -> None:
    """Without media and without consent the connection ends by itself."""
    async with calling(dataclasses.replace(LOCAL, silence_s=1.0)) as (echo, client):
        # Cut the wire: nothing is sent or answered any more.
        ice = internals.connection_of(client.connection.getTransceivers()[0].receiver.transport)
        for protocol in ice._protocols:  # noqa: SLF001 - of the client
            protocol.transport.sendto = lambda *_: None  # type: ignore[method-assign]
        began_s = time.monotonic()
        await until(lambda: echo.reasons)
        assert echo.reasons == ["nothing was heard for 1 s"]
        assert time.monotonic() - began_s < 2.0


@asynchronous
async def test_a_loop_that_was_blocked_ends_no_connection() -> None:
    """What came meanwhile is read first, however long nobody listened."""
    async with calling(dataclasses.replace(LOCAL, silence_s=1.0)) as (echo, _):
        await asyncio.sleep(0.3)
        time.sleep(1.5)  # noqa: ASYNC251 - blocks the loop, as a careless application would
        count = len(echo.frames)
        await until(lambda: len(echo.frames) > count + 5)
        assert echo.reasons == []


@asynchronous
async def test_a_silent_peer_that_consents_stays() -> None:
    """Somebody who watches and only answers checks is there."""
    viewer = Peer(dataclasses.replace(LOCAL, silence_s=1.3))
    async with client_of(viewer) as client:
        client.messaging()
        await client.connect(viewer)
        await until(lambda: client.channel.readyState == "open")
        await asyncio.sleep(1.5)
        assert client.channel.readyState == "open"


@asynchronous
async def test_a_goodbye_ends_it_at_once() -> None:
    """A client that closes is not waited for."""
    async with calling() as (echo, client):
        await client.connection.close()
        await until(lambda: echo.reasons, 1.5)
        assert echo.reasons == ["the peer has left"]


@asynchronous
async def test_a_peer_that_never_comes_is_given_up() -> None:
    """A half-open connection ends when its time is over."""
    echo = Echo(dataclasses.replace(LOCAL, connect_s=0.5))
    client = Client()
    client.video()
    await echo.peer.answer(await client.offer())
    await until(lambda: echo.reasons, 2)
    assert echo.reasons == ["no connection within 0.5 s"]
    await client.close()


@asynchronous
async def test_a_larger_video_is_refused() -> None:
    """The connection ends with the reason, and no frame of it was handed on."""
    async with echoing(dataclasses.replace(LOCAL, max_size=(320, 240))) as (echo, client):
        client.video(track=Drawn((640, 480)))
        await client.connect(echo.peer)
        await until(lambda: echo.reasons)
        assert "640x480 pixels: expected at most 320x240" in echo.reasons[0]
        assert echo.frames == []


@asynchronous
async def test_key_frames_are_sent_on_request() -> None:
    """A picture loss is answered by one key frame, and there are no others."""
    async with calling() as (echo, client):
        await until(lambda: len(client.received["video"]) > 20)
        keys = echo.keys
        receiver = client.connection.getReceivers()[0]
        assert echo.peer._media is not None  # noqa: SLF001
        video_out = echo.peer._media.video_out  # noqa: SLF001
        assert video_out is not None
        await receiver._send_rtcp_pli(video_out.ssrc)  # noqa: SLF001 - as after a loss
        await until(lambda: echo.keys > keys)
        count = len(echo.frames)
        await until(lambda: len(echo.frames) > count + 10)
        assert echo.keys == keys + 1


@asynchronous
async def test_the_bit_rate_follows_the_receiver_within_limits() -> None:
    """What aiortc estimates is what is sent, as far as the options allow."""
    echo = Echo(dataclasses.replace(LOCAL, bitrates=(200_000, 900_000, 2_000_000)))
    assert echo.peer.target_bitrate == 900_000
    async with client_of(echo.peer) as client:
        client.video()
        await client.connect(echo.peer)
        await until(lambda: len(client.received["video"]) > 3)
        media = echo.peer._media  # noqa: SLF001 - reports of any content
        assert media is not None
        await until(lambda: media.remb is not None)
        for estimate, target in ((1, 200_000), (700_000, 700_000), (10**8, 2_000_000)):
            media.remb = estimate
            assert echo.peer.target_bitrate == target


@asynchronous
async def test_trickled_candidates_connect() -> None:
    """An offer without candidates is answered, and a fragment brings them."""
    async with echoing() as (echo, client):
        client.video()
        client.use_loopback()
        offer = await client.offer()
        lines = offer.split("\r\n")
        bare = "\r\n".join(line for line in lines if "candidate" not in line)
        answer = await echo.peer.answer(bare)
        # The client has nobody to check: it is the peer that finds it.
        hidden = "\r\n".join(line for line in answer.split("\r\n") if "candidate" not in line)
        await client.connection.setRemoteDescription(RTCSessionDescription(hidden, "answer"))
        ufrag = re.search("a=ice-ufrag.*", offer)
        assert ufrag is not None
        found = [line for line in lines if "a=candidate" in line]
        await echo.peer.add_candidates("\r\n".join([ufrag[0].strip(), *found]))
        await until(lambda: len(echo.frames) > 3)


@asynchronous
async def test_candidates_of_another_offer_are_refused() -> None:
    """An ICE restart needs a new connection, and a closed one takes nothing."""
    async with echoing() as (echo, client):
        client.video()
        with pytest.raises(SignallingError, match="is closed"):
            await echo.peer.add_candidates("a=end-of-candidates")
        await client.connect(echo.peer)
        with pytest.raises(SignallingError, match="begin a new connection"):
            await echo.peer.add_candidates("a=ice-ufrag:other\r\na=end-of-candidates")
        with pytest.raises(SignallingError, match="a new offer needs a new one"):
            await echo.peer.answer("v=0")


@asynchronous
async def test_no_more_than_thirty_candidates_are_tried() -> None:
    """Ten thousand of them cost no more, and the real one works all the same."""
    async with echoing() as (echo, client):
        client.video()
        client.use_loopback()
        offer = await client.offer()
        fake = [f"a=candidate:1 1 udp 1 127.0.0.1 {port} typ host" for port in range(2000, 2900)]
        at = offer.index("a=candidate")
        crowded = offer[:at] + "\r\n".join(fake) + "\r\n" + offer[at:]
        answer = await echo.peer.answer(crowded)
        await client.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert echo.peer.stats()["dropped_in_candidates"] >= 870
        await until(lambda: len(echo.frames) > 3)


@asynchronous
async def test_only_checks_are_sent_to_a_candidate_that_points_elsewhere() -> None:
    """Whoever did not answer them never gets media."""
    got: list[bytes] = []

    class Victim(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            assert addr
            got.append(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Victim, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    async with echoing() as (echo, client):
        client.video()
        client.use_loopback()
        offer = await client.offer()
        at = offer.index("a=candidate")
        line = f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host\r\n"
        answer = await echo.peer.answer(offer[:at] + line + offer[at:])
        await client.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await until(lambda: len(client.received["video"]) > 20)
    transport.close()
    assert 1 <= len(got) < 20
    assert all(data[0] < 2 and data[4:8] == b"\x21\x12\xa4\x42" for data in got)  # STUN


@asynchronous
async def test_checks_from_ever_new_addresses_are_not_followed() -> None:
    """A client that forges addresses does not make the server check all of them."""
    echo = Echo()
    client = Client()
    client.video()
    offer = await client.offer()
    answer = await echo.peer.answer(offer)
    names = [re.findall("a=ice-ufrag:(.*)\r", text)[0] for text in (answer, offer)]
    password = re.findall("a=ice-pwd:(.*)\r", answer)[0]
    port = port_of(answer)
    with ExitStack() as opened:
        for number in range(150):
            request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
            request.attributes["USERNAME"] = ":".join(names)
            request.attributes["PRIORITY"] = number
            request.attributes["ICE-CONTROLLING"] = 1
            request.add_message_integrity(password.encode())
            sender = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sender.sendto(bytes(request), ("127.0.0.1", port))
        await asyncio.sleep(0.3)
    connection = echo.peer._ice  # noqa: SLF001 - what it knows
    assert connection is not None
    assert 50 <= len(connection.remote_candidates) <= 60
    await echo.peer.close()
    await client.close()


@asynchronous
async def test_noise_on_the_socket_changes_nothing() -> None:
    """Empty datagrams, false media and false checks of others are dropped."""
    async with calling() as (echo, client):
        port = port_of(client.answer)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
        )
        noise = [
            b"",
            b"\x80",
            b"\x80\x60" + bytes(40),
            b"\x80\xc8" + bytes(40),
            b"\x16\xfe\xfd" + bytes(60),
            b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x00\x06\x00\xff" + bytes(4),
            b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12) + b"\x00\x20\x00\x00",
            bytes(1400),
        ]
        for datagram in noise * 3:
            transport.sendto(datagram)
        count = len(echo.frames)
        await until(lambda: len(echo.frames) > count + 10)
        transport.close()
        assert echo.peer.stats()["refused_not_of_the_peer"] >= 6
        assert echo.reasons == []


@asynchronous
async def test_a_flood_of_strangers_does_not_drown_the_peer() -> None:
    """Whoever finds the port can send thousands of datagrams, and the peer's own still count."""
    async with echoing() as (echo, client):
        client.video()
        client.messaging()
        await client.connect(echo.peer)
        await until(lambda: len(echo.frames) > 3 and client.channel.readyState == "open")
        port = port_of(client.answer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.connect(("127.0.0.1", port))
            for _ in range(50):
                for datagram in [b"\x80\x60" + bytes(20)] * 100 + [b"\x14" + bytes(20)] * 20:
                    stranger.send(datagram)
                await asyncio.sleep(0.005)
            client.channel.send("still there")
            count = len(echo.frames)
            await until(lambda: echo.messages and len(echo.frames) > count + 5)
        stats = echo.peer.stats()
        assert stats["refused_flood"] == 0
        assert stats["refused_not_of_the_peer"] < 4000
        assert echo.reasons == []


@asynchronous
async def test_a_second_video_is_refused_and_the_first_goes_on() -> None:
    """Nobody reads it, so it is not sent at all."""
    async with echoing() as (echo, client):
        client.video()
        client.video()
        answer = await client.connect(echo.peer)
        assert re.findall("a=(sendrecv|inactive|recvonly)", answer) == ["sendrecv", "inactive"]
        await until(lambda: len(client.received["video"]) > 3)


@asynchronous
async def test_offers_that_cannot_be_answered_close_the_peer() -> None:
    """The error says why, and the peer is done."""
    for text in ("", "v=0\r\n"):
        echo = Echo()
        with pytest.raises(SignallingError):
            await echo.peer.answer(text)
        assert len(echo.reasons) == 1
    echo = Echo()
    client = Client()
    client.video(codec="H264")
    offer = (await client.offer()).replace("packetization-mode=1", "packetization-mode=0")
    with pytest.raises(SignallingError, match="the offer cannot be answered"):
        await echo.peer.answer(offer)
    assert len(echo.reasons) == 1
    await client.close()


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_an_answer_that_nobody_waits_for_leaves_nothing(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets that are opened when the end has begun are closed, too."""
    opened = asyncio.Event()
    gather = ice.gather

    async def slow(*arguments: Any) -> None:
        opened.set()
        await asyncio.sleep(0.1)
        await gather(*arguments)

    async def give_up() -> None:
        client = Client()
        client.video()
        client.messaging()
        offer = await client.offer()
        await client.close()
        before = sockets()
        monkeypatch.setattr(ice, "gather", slow)
        echo = Echo()
        answering = asyncio.create_task(echo.peer.answer(offer))
        await opened.wait()
        if how == "cancel":
            answering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answering
        else:
            await echo.peer.close()
            with pytest.raises(SignallingError, match="closed before it was answered"):
                await answering
        assert len(echo.reasons) == 1
        assert sockets() == before
        await until(lambda: len(asyncio.all_tasks()) == 1, 2)

    asyncio.run(give_up())


def sockets() -> set[str]:
    """Return the sockets of this process."""
    found = set()
    for link in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # the folder that was read
            found.add(str(link.readlink()))
    return {target for target in found if "socket" in target}


def test_nothing_is_left_after_the_end() -> None:
    """No task, thread or socket remains, whoever ended it and however far it had come."""

    async def one(*, connected: bool, by_client: bool) -> None:
        echo = Echo()
        client = Client()
        client.video()
        client.audio()
        client.messaging()
        if connected:
            await client.connect(echo.peer)
            await until(lambda: len(echo.frames) > 3)
        else:
            await echo.peer.answer(await client.offer())
        if by_client:
            await client.close()
            await until(lambda: echo.reasons)
        await echo.peer.close()
        await echo.peer.close("again")
        assert len(echo.reasons) == 1
        await client.close()

    async def all_ways() -> None:
        before = {"tasks": len(asyncio.all_tasks()), "threads": running(), "sockets": sockets()}
        for connected, by_client in ((True, False), (True, True), (False, False)):
            await one(connected=connected, by_client=by_client)
        await until(lambda: len(asyncio.all_tasks()) == before["tasks"], 2)
        after = {"tasks": len(asyncio.all_tasks()), "threads": running(), "sockets": sockets()}
        assert after == before

    def running() -> set[str]:
        # The client's encoder borrows a thread of the loop.
        return {one.name for one in threading.enumerate() if not one.name.startswith("asyncio_")}

    asyncio.run(all_ways())


@asynchronous
async def test_a_hanging_handler_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its thread is abandoned, which is said; the connection is closed."""
    hanging, released = threading.Event(), threading.Event()

    def hang(_frame: av.VideoFrame, _arrived_s: float) -> None:
        hanging.set()
        released.wait(10)

    peer = Peer(LOCAL, on_video=hang, name="hanging")
    async with client_of(peer) as client:
        client.video()
        await client.connect(peer)
        await until(hanging.is_set)
        began_s = time.monotonic()
        await peer.close()
        assert time.monotonic() - began_s < 4
        assert "is abandoned" in caplog.text
        released.set()
