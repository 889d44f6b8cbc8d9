"""One WebRTC connection: ICE, RTP, decoding and encoding, without engine, settings or HTTP."""

from greenroom.hosted.rtc.audio import AudioPacket
from greenroom.hosted.rtc.encoding import CodedFrame, VideoEncoder
from greenroom.hosted.rtc.options import IceServer, PeerOptions
from greenroom.hosted.rtc.peer import Peer
from greenroom.hosted.rtc.signalling import NoCandidateError, SignallingError

__all__ = [
    "AudioPacket",
    "CodedFrame",
    "IceServer",
    "NoCandidateError",
    "Peer",
    "PeerOptions",
    "SignallingError",
    "VideoEncoder",
]
