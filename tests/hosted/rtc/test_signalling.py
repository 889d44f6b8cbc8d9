"""Session descriptions and fragments."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from functools import cache

import pytest
from aiortc import sdp
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.hosted.rtc.signalling import SignallingError, read_fragment, read_offer
from hosted.rtc.clients import Client

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

CANDIDATE = "candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host"


@cache
def offer() -> str:
    """Return aiortc's offer of video, audio and a data channel."""

    async def make() -> str:
        client = Client()
        client.video()
        client.audio()
        client.messaging()
        client.use_loopback()
        text = await client.offer()
        await client.close()
        return text

    return asyncio.run(make())


def test_candidates_are_taken_out() -> None:
    """The description that is left has none, and is the same otherwise."""
    found = read_offer(offer())
    whole = sdp.SessionDescription.parse(offer())
    left = sdp.SessionDescription.parse(found.sdp)
    expected = {one.port for medium in whole.media for one in medium.ice_candidates}
    assert {one.port for one in found.candidates} == expected
    assert any(one.host == "127.0.0.1" for one in found.candidates)
    assert [medium.ice_candidates for medium in left.media] == [[], [], []]
    assert not any(medium.ice_candidates_complete for medium in left.media)
    assert [medium.fmt for medium in left.media] == [medium.fmt for medium in whole.media]
    assert f"a=ice-ufrag:{found.ufrag}\r\n" in offer()


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"^v=0", "v=1", "expected SDP that begins with 'v=0'"),
        (r"a=fingerprint.*\r\n", "", "has no 'a=fingerprint'"),
        (r"a=ice-pwd.*\r\n", "", "has no 'a=ice-ufrag' and 'a=ice-pwd'"),
        (r"a=rtcp-mux\r\n", "", "has no 'a=rtcp-mux'"),
        (r"a=group:BUNDLE.*\r\n", "", "not all in one bundle"),
        (r"BUNDLE 0 1 2(\r\n|.)*?(?=m=application)", "BUNDLE 5 2\r\n", "not all in one bundle"),
        (r"a=mid:1\r\n", "a=mid:0\r\n", "not all in one bundle"),
        (r"opus/48000/2", "speex/8000", "has speex, G722, PCMU, PCMA: expected opus"),
        (r"VP8/90000", "AV1/90000", "has AV1: expected VP8 or H264"),
        (r"m=application", "m=text", "is text: expected audio, video or application"),
        (r"(?=a=rtpmap:97)", "a=fmtp:50 x=y\r\n", "not a session description: StopIteration"),
        (r"m=.*(\r\n|.)*", "", "has 0 media: expected 1 to 8"),
        (
            r"(?=m=application)",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" * 6,
            "9 media",
        ),
    ],
)
def test_offers_that_cannot_be_answered(pattern: str, replacement: str, message: str) -> None:
    """The message says what was expected."""
    changed = re.sub(pattern, replacement, offer())
    assert changed != offer()
    with pytest.raises(SignallingError, match=re.escape(message)):
        read_offer(changed)


@pytest.mark.parametrize(
    "text",
    ["", "hello", "v=0\r\nm=video\r\n", "v=0\r\nm=video x y z\r\n", "v=0\r\na=group:\r\nm=\r\n"],
)
def test_what_is_no_description(text: str) -> None:
    """It is refused in words."""
    with pytest.raises(SignallingError, match="the offer"):
        read_offer(text)


def test_a_long_description_is_not_read() -> None:
    """Ten megabytes cost nothing."""
    with pytest.raises(SignallingError, match="expected at most 65536"):
        read_offer(offer() + "a=x\r\n" * 2_000_000)
    with pytest.raises(SignallingError, match="expected at most 65536"):
        read_fragment("a=candidate:x\r\n" * 100_000)


@settings(max_examples=40)
@given(st.data())
def test_damaged_offers_are_refused_or_read(data: st.DataObject) -> None:
    """Whatever is lost or added, nothing else than our error is raised."""
    lines = offer().splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        cut = data.draw(st.integers(0, len(lines[at])))
        lines[at] = lines[at][:cut] + data.draw(st.text(max_size=8))
    with suppress(SignallingError):
        assert read_offer("\r\n".join(lines)).ufrag


@pytest.mark.parametrize(
    ("profile", "direction", "expected"),
    [
        ("64001f", "sendonly", "42e01f"),  # a sender that has nothing else
        ("4d401f", "sendonly", "42e01f"),
        ("42c01f", "sendonly", "42c01f"),
        ("64001f", "sendrecv", "64001f"),  # it would be sent another one then
    ],
)
def test_high_profiles_are_received(profile: str, direction: str, expected: str) -> None:
    """What a sender's encoder makes is decoded, whatever its profile."""
    fmtp = f"a=fmtp:97 packetization-mode=1;profile-level-id={profile}\r\n"
    text = offer().replace("a=rtpmap:97 VP8/90000\r\n", f"a=rtpmap:97 H264/90000\r\n{fmtp}")
    text = text.replace("a=sendrecv", f"a={direction}")
    assert f"profile-level-id={expected}" in read_offer(text).sdp


def test_a_fragment_has_candidates_of_a_user() -> None:
    """Those that cannot be read are left out."""
    text = (
        "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=video 9 X 0\r\na=mid:0\r\n"
        f"a={CANDIDATE}\r\na=candidate:1 x udp y 127.0.0.1 z typ host\r\na=candidate:\r\n"
        "a=end-of-candidates\r\n"
    )
    fragment = read_fragment(text)
    assert fragment.ufrag == "abcd"
    assert [(one.host, one.port) for one in fragment.candidates] == [("127.0.0.1", 50_000)]
    assert read_fragment(f"a={CANDIDATE}").ufrag == ""
    assert read_fragment("a=end-of-candidates").candidates == ()


@pytest.mark.parametrize("text", ["", "hello", "m=video 9 X 0\r\n"])
def test_a_fragment_without_any(text: str) -> None:
    """The message says what a fragment is."""
    with pytest.raises(SignallingError, match="expected lines that begin with"):
        read_fragment(text)
