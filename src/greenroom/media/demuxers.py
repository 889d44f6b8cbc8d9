"""Demuxers and protocols that FFmpeg may use, by allow-list: a file never leads to another one.

Playlists (HLS, DASH, ``ffconcat``), descriptions of sessions (SDP), patterns of names and FFmpeg's
filter graphs make FFmpeg open other files and sockets. What is opened by its path or read from
standard input is therefore read by a demuxer that is listed here, from that file alone. The
lists hold for everything that a demuxer opens in turn, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FILE_FORMATS",
    "FILE_OPTIONS",
    "HEAD_BYTES",
    "PIPE_OPTIONS",
    "forbidden_filter",
    "list_kind",
    "stream_options",
]

# By FFmpeg's names. None of these reads anything but its own input; "mov" would follow
# references to samples elsewhere, and is told not to. "image2" takes names for patterns.
_CONTAINERS: Final = (
    "apng",
    "asf",
    "avi",
    "dhav",
    "dv",
    "film_cpk",
    "flic",
    "flv",
    "gif",
    "gxf",
    "lxf",
    "live_flv",
    "matroska",
    "mov",
    "mpeg",
    "mpegts",
    "mxf",
    "nsv",
    "nut",
    "nuv",
    "ogg",
    "pva",
    "rm",
    "smjpeg",
    "swf",
    "wtv",
    "yuv4mpegpipe",
)
_BARE_VIDEO: Final = (
    "av1",
    "avs2",
    "avs3",
    "cavsvideo",
    "dirac",
    "dnxhd",
    "evc",
    "h261",
    "h263",
    "h264",
    "hevc",
    "ipu",
    "ivf",
    "m4v",
    "mjpeg",
    "mjpeg_2000",
    "mpegvideo",
    "mpjpeg",
    "obu",
    "vc1",
    "vc1test",
    "vvc",
)
# One picture each.
_PICTURES: Final = (
    "bmp_pipe",
    "dds_pipe",
    "dpx_pipe",
    "exr_pipe",
    "gif_pipe",
    "hdr_pipe",
    "ico",
    "iff",
    "j2k_pipe",
    "jpeg_pipe",
    "jpegls_pipe",
    "jpegxl_anim",
    "jpegxl_pipe",
    "jpegxs_pipe",
    "pam_pipe",
    "pbm_pipe",
    "pcx_pipe",
    "pfm_pipe",
    "pgm_pipe",
    "pgmyuv_pipe",
    "phm_pipe",
    "png_pipe",
    "ppm_pipe",
    "psd_pipe",
    "qoi_pipe",
    "sgi_pipe",
    "sunrast_pipe",
    "tiff_pipe",
    "webp_pipe",
    "xbm_pipe",
    "xpm_pipe",
    "xwd_pipe",
)
# Opened to say that there is no video in it.
_SOUND: Final = (
    "aac",
    "ac3",
    "aiff",
    "amr",
    "ape",
    "au",
    "caf",
    "dts",
    "eac3",
    "flac",
    "loas",
    "mp3",
    "truehd",
    "tta",
    "w64",
    "wav",
    "wv",
)

FILE_FORMATS: Final = ",".join((*_CONTAINERS, *_BARE_VIDEO, *_PICTURES, *_SOUND))
"""Demuxers for files and standard input, as ``format_whitelist`` takes them."""

_WITHOUT_OTHERS: Final = {"enable_drefs": "0"}

FILE_OPTIONS: Final[Mapping[str, str]] = {
    **_WITHOUT_OTHERS,
    "format_whitelist": FILE_FORMATS,
    "protocol_whitelist": "file",
}
"""For what is opened by its path."""

PIPE_OPTIONS: Final[Mapping[str, str]] = {
    **_WITHOUT_OTHERS,
    "format_whitelist": FILE_FORMATS,
    # Its bytes are handed to FFmpeg, which has nothing to open; no protocol has this name.
    "protocol_whitelist": "none",
}
"""For what is read from standard input."""

# What an address may lead on to: never a file of this machine, and of the network only what
# that kind of address is made of. The lists are those of demuxers and of protocols.
_RTSP: Final = ("rtsp,asf,mpegts", "rtsp,rtsps,rtp,srtp,tcp,udp,tls")
_HTTP: Final = (f"hls,dash,webvtt,{FILE_FORMATS}", "http,https,httpproxy,tls,tcp,crypto,data")
_RTP: Final = ("rtp,sdp,asf,mpegts", "rtp,srtp,udp")
_BY_SCHEME: Final = {
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "http": _HTTP,
    "https": _HTTP,
    "rtp": _RTP,
    "udp": (FILE_FORMATS, "udp"),
    "file": ("sdp,asf,mpegts", "file,rtp,srtp,udp"),
}


def stream_options(scheme: str) -> dict[str, str]:
    """Return what FFmpeg may use for an address, as options for opening it.

    Parameters
    ----------
    scheme : str
        That of the address; ``file`` for the description of a session (SDP), which a user
        gives as a source in place of an address.
    """
    formats, protocols = _BY_SCHEME[scheme.lower()]
    return _WITHOUT_OTHERS | {"format_whitelist": formats, "protocol_whitelist": protocols}


# Filters that draw test pictures and change them; none opens anything or listens, as "movie",
# "life", "drawtext" and "zmq" do.
_DRAWING: Final = frozenset(
    (
        *("allrgb", "allyuv", "color", "colorchart", "colorspectrum", "gradients", "mandelbrot"),
        *("mptestsrc", "nullsrc", "pal100bars", "pal75bars", "rgbtestsrc", "sierpinski"),
        *("smptebars", "smptehdbars", "testsrc", "testsrc2", "yuvtestsrc", "zoneplate"),
        *("blend", "boxblur", "colorchannelmixer", "crop", "drawbox", "drawgrid", "eq", "fade"),
        *("format", "fps", "gblur", "geq", "hflip", "hstack", "hue", "interlace", "loop"),
        *("negate", "noise", "null", "overlay", "pad", "realtime", "rotate", "scale", "select"),
        *("setdar", "setfield", "setparams", "setpts", "setrange", "setsar", "settb", "split"),
        *("tinterlace", "transpose", "trim", "vflip", "vstack"),
    )
)

_QUOTED: Final = re.compile(r"\\.|'[^']*(?:'|$)", re.DOTALL)
_FILTER_ENDS: Final = re.compile(r"[,;\]]")


def forbidden_filter(graph: str) -> str | None:
    """Return the first filter of a graph that does more than draw, if there is one.

    Parameters
    ----------
    graph : str
        Filters, as FFmpeg's filtergraph syntax has them.
    """
    for piece in _FILTER_ENDS.split(_QUOTED.sub("\0", graph)):
        name = re.split(r"[=@\[]", piece.strip())[0].strip()
        is_label = piece.lstrip().startswith("[") or not piece.strip()
        if not is_label and name not in _DRAWING:
            return name.replace("\0", "'")
    return None


HEAD_BYTES: Final = 1024
"""How much of a file tells what it is, for `list_kind`."""

# How files begin that name others.
_MARKS: Final = (
    (b"#EXTM3U", "an HLS playlist"),
    (b"ffconcat", "a list of files for FFmpeg (ffconcat)"),
    (b"v=0", "the description of a session (SDP)"),
    (b"[playlist]", "a playlist"),
    (b"[Reference]", "a playlist"),
    (b"<asx", "a playlist"),
    (b"RTSPtext", "a playlist"),
    (b"rtsp://", "a playlist"),
)
_XML_MARKS: Final = (
    (b"<MPD", "a DASH playlist"),
    (b"<SmoothStreamingMedia", "a Smooth Streaming playlist"),
    (b"<CompositionPlaylist", "an IMF playlist"),
)


def list_kind(head: bytes) -> str | None:
    """Say what kind of list of other files or addresses a file is, if it is one.

    Parameters
    ----------
    head : bytes
        How it begins, `HEAD_BYTES` at most.
    """
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, kind in _MARKS:
        if begin.startswith(mark.lower()):
            return kind
    if begin.startswith(b"<"):
        for mark, kind in _XML_MARKS:
            if mark.lower() in begin:
                return kind
    return None
