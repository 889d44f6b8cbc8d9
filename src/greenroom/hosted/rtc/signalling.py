"""Session descriptions: what an offer must have, and candidates that come later."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aioice import Candidate
from aiortc import sdp

from greenroom.errors import GreenroomError

__all__ = [
    "Fragment",
    "NoCandidateError",
    "Offer",
    "SignallingError",
    "read_fragment",
    "read_offer",
]

_MOST_BYTES: Final = 65_536
_MOST_MEDIA: Final = 8
_CODECS: Final = {"video": ("VP8", "H264"), "audio": ("opus",)}
_UFRAG: Final = re.compile(r"^a=ice-ufrag:(\S{4,256})\s*$", re.MULTILINE)
_PROFILE: Final = re.compile("profile-level-id=[0-9a-f]{6}", re.IGNORECASE)
_BASELINE: Final = re.compile("VP8/90000|profile-level-id=42", re.IGNORECASE)
# What aiortc's parser raises over text that is no session description.
_PARSER_ERRORS: Final = (
    *(AssertionError, AttributeError, IndexError, KeyError),
    *(StopIteration, TypeError, ValueError),
)


class SignallingError(GreenroomError):
    """An offer or a candidate cannot be used, or no candidate of this side was found."""


class NoCandidateError(SignallingError):
    """No candidate of this side was found: that is no fault of the offer."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered.

    Attributes
    ----------
    sdp : str
        Without candidates.
    candidates : tuple of Candidate
        All of them, in their order.
    ufrag : str
        The ICE user fragment, which tells one connection from the next.
    """

    sdp: str
    candidates: tuple[Candidate, ...]
    ufrag: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """Candidates that came later, of a fragment (RFC 8840).

    Attributes
    ----------
    candidates : tuple of Candidate
    ufrag : str
        Empty if it names none.
    """

    candidates: tuple[Candidate, ...]
    ufrag: str


def read_offer(text: str) -> Offer:
    """Check an offer, and take its candidates out.

    Raises
    ------
    SignallingError
        If it cannot be answered; the message says what was expected and what came.
    """
    lines = _lines(text, "the offer")
    if not lines or lines[0] != "v=0":
        message = "the offer is not a session description: expected SDP that begins with 'v=0'"
        raise SignallingError(message)
    others = [line for line in lines if not line.startswith(("a=candidate", "a=end-of-cand"))]
    plain = _as_baseline("\r\n".join(others) + "\r\n")
    try:
        description = sdp.SessionDescription.parse(plain)
    except _PARSER_ERRORS as error:
        message = f"the offer is not a session description: {str(error) or type(error).__name__}"
        raise SignallingError(message) from None
    _check(description)
    ufrag = _UFRAG.search(plain)
    assert ufrag is not None  # checked for every medium
    return Offer(plain, _candidates(lines), ufrag.group(1))


def read_fragment(text: str) -> Fragment:
    """Read the candidates of a fragment; those that cannot be read are left out.

    Raises
    ------
    SignallingError
        If it is too long, or has nothing of ICE.
    """
    lines = _lines(text, "the fragment")
    if not any(line.startswith(("a=candidate", "a=ice-", "a=end-of-cand")) for line in lines):
        message = "the fragment has no candidates: expected lines that begin with 'a=candidate:'"
        raise SignallingError(message)
    ufrag = _UFRAG.search("\n".join(lines))
    return Fragment(_candidates(lines), "" if ufrag is None else ufrag.group(1))


def _as_baseline(text: str) -> str:
    """Call the H.264 of a sender that has nothing else the baseline profile.

    aiortc knows no other, but what is received may be of any: the decoder takes them all.
    """
    sections = re.split(r"(?=^m=)", text, flags=re.MULTILINE)
    for number, section in enumerate(sections):
        only_sends = section.startswith("m=video") and "\na=sendonly" in section
        if only_sends and not _BASELINE.search(section):
            sections[number] = _PROFILE.sub("profile-level-id=42e01f", section)
    return "".join(sections)


def _lines(text: str, name: str) -> list[str]:
    if len(text) > _MOST_BYTES:
        message = f"{name} has {len(text)} characters: expected at most {_MOST_BYTES}"
        raise SignallingError(message)
    return [line.strip() for line in text.splitlines() if line.strip()]


def _candidates(lines: list[str]) -> tuple[Candidate, ...]:
    found = []
    for line in lines:
        if line.startswith("a=candidate:"):
            try:
                found.append(Candidate.from_sdp(line.removeprefix("a=candidate:")))
            except (ValueError, IndexError):
                continue
    return tuple(found)


def _check(description: sdp.SessionDescription) -> None:
    """Raise an error unless every medium of an offer can be answered."""
    media = description.media
    if not 1 <= len(media) <= _MOST_MEDIA:
        message = f"the offer has {len(media)} media: expected 1 to {_MOST_MEDIA}"
        raise SignallingError(message)
    names = [medium.rtp.muxId for medium in media]
    bundled = next((g.items for g in description.group if g.semantic == "BUNDLE"), [])
    alone = len(media) == 1 and not bundled
    if not alone and (len(set(names)) < len(names) or list(bundled) != names):
        message = (
            "the offer's media are not all in one bundle: expected 'a=group:BUNDLE' with every "
            "'a=mid' in the order of the media (RFC 9143)"
        )
        raise SignallingError(message)
    for medium in media:
        _check_medium(medium)


def _check_medium(medium: sdp.MediaDescription) -> None:
    name = f"the offer's medium {medium.rtp.muxId or medium.kind!r}"
    if medium.kind not in {"audio", "video", "application"}:
        message = f"{name} is {medium.kind}: expected audio, video or application"
        raise SignallingError(message)
    if medium.ice is None or not medium.ice.usernameFragment or not medium.ice.password:
        message = f"{name} has no 'a=ice-ufrag' and 'a=ice-pwd'"
        raise SignallingError(message)
    if medium.dtls is None or not medium.dtls.fingerprints:
        message = f"{name} has no 'a=fingerprint': media are encrypted by DTLS-SRTP only"
        raise SignallingError(message)
    if medium.kind == "application":
        return
    if not medium.rtcp_mux:
        message = f"{name} has no 'a=rtcp-mux'"
        raise SignallingError(message)
    offered = [codec.name for codec in medium.rtp.codecs]
    wanted = _CODECS[medium.kind]
    if not any(one.lower() == other.lower() for one in offered for other in wanted):
        codecs = ", ".join(dict.fromkeys(offered)) or "no codec"
        message = f"{name} has {codecs}: expected {' or '.join(wanted)}"
        raise SignallingError(message)
