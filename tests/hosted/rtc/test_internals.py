"""What `internals` relies on in aiortc and aioice: a failure here means that it has changed."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path

import aioice.ice
import aiortc
import pytest
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
)
from aiortc.rtcsctptransport import InboundStream

import greenroom.hosted.rtc
from greenroom.hosted.rtc import internals

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

PRIVATE = re.compile("_[^_]")
ADVICE = f"aiortc {aiortc.__version__} or aioice has changed: look through hosted/rtc/internals.py"


def peer_connection() -> RTCPeerConnection:
    """Return one with video and messages."""
    connection = RTCPeerConnection(
        RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )
    connection.addTransceiver("video")
    connection.createDataChannel("x")
    return connection


def test_the_attributes_are_there() -> None:
    """Everything that is touched exists, and is what it was."""

    async def look() -> None:
        connection = peer_connection()
        transceiver = connection.getTransceivers()[0]
        dtls = transceiver.receiver.transport
        ice = internals.connection_of(dtls)
        assert isinstance(ice, aioice.ice.Connection), ADVICE
        assert ice._protocols == [], ADVICE
        assert ice._local_candidates == [], ADVICE
        assert ice._local_candidates_start is ice._local_candidates_end is False, ADVICE
        assert ice._nominated == {}, ADVICE
        assert vars(dtls)["_rx_srtp"] is None, ADVICE
        assert vars(dtls)["_tx_srtp"] is None, ADVICE
        assert dtls.state == "new", ADVICE
        assert isinstance(internals.ssrc_of(transceiver.sender), int), ADVICE
        assert isinstance(internals.retransmission_ssrc(transceiver.sender), int), ADVICE
        assert internals.codecs_of(transceiver) == [], ADVICE
        assert transceiver._offerDirection is None, ADVICE
        assert connection.sctp is not None
        assert internals.unread_messages(connection.sctp) == (0, 0, 0, 0), ADVICE
        assert InboundStream().reassembly == [], ADVICE
        await connection.close()

    asyncio.run(look())


def test_datagrams_are_read_into_little_memory() -> None:
    """The event loops of the standard library have a size that can be set."""

    async def look() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        assert getattr(type(transport), "max_size", 0) > 2048, "asyncio has changed"
        internals.read_small_datagrams(transport)
        assert vars(transport)["max_size"] == 2048
        transport.close()
        await asyncio.sleep(0)

    asyncio.run(look())


def test_senders_and_receivers_are_started_and_stopped_by_these_methods() -> None:
    """A peer connection calls what stands on the instance."""
    for owner, names in ((RTCRtpSender, ("send", "stop")), (RTCRtpReceiver, ("receive", "stop"))):
        for name in names:
            assert inspect.iscoroutinefunction(getattr(owner, name)), ADVICE
    source = inspect.getsource(aiortc.rtcpeerconnection)
    for call in ("await transceiver.sender.send(", "await transceiver.receiver.receive("):
        assert call in source, ADVICE
    source = inspect.getsource(RTCDtlsTransport)
    assert "await self._data_receiver._handle_data(data)" in source, ADVICE
    source = inspect.getsource(aiortc.RTCRtpTransceiver.stop)
    assert "receiver.stop()" in source, ADVICE
    assert "sender.stop()" in source, ADVICE
    assert "self.query_consent()" in inspect.getsource(aioice.ice.Connection.connect), ADVICE
    gatherer = inspect.getsource(aiortc.RTCIceGatherer.gather)
    assert "self._connection.gather_candidates()" in gatherer, ADVICE


def test_media_are_encrypted_by_these_sessions() -> None:
    """Keys of both directions are made when the handshake is done."""
    source = inspect.getsource(RTCDtlsTransport)
    for name in ("_rx_srtp = Session(", "_tx_srtp = Session(", "_recv_next"):
        assert name in source, ADVICE


def test_nothing_of_the_packages_themselves_is_changed() -> None:
    """An application that uses aiortc, too, finds it as it is."""
    modules = [aiortc.rtcrtpreceiver, aiortc.rtcrtpsender, aiortc.codecs, aioice.ice]
    before = [dict(vars(module)) for module in modules]
    classes = [aioice.ice.Connection, aioice.ice.StunProtocol, RTCRtpSender, RTCRtpReceiver]
    methods = [dict(vars(one)) for one in classes]

    async def use() -> None:
        peer = greenroom.hosted.rtc.Peer(greenroom.hosted.rtc.PeerOptions(loopback=True))
        connection = peer_connection()
        await connection.setLocalDescription(await connection.createOffer())
        await peer.answer(connection.localDescription.sdp)
        await peer.close()
        await connection.close()

    asyncio.run(use())
    assert [dict(vars(module)) for module in modules] == before
    assert [dict(vars(one)) for one in classes] == methods


def test_no_other_module_touches_what_is_private() -> None:
    """Names with an underscore belong to the object itself, everywhere but in `internals`."""
    for path in sorted(Path(greenroom.hosted.rtc.__file__).parent.glob("*.py")):
        if path.name == "internals.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and PRIVATE.match(node.attr):
                owner = node.value
                own = isinstance(owner, ast.Name) and owner.id in {"self", "packet"}
                own |= isinstance(owner, ast.Call) and getattr(owner.func, "id", "") == "super"
                assert own, f"{path.name}:{node.lineno} {node.attr}"
