"""Allow-lists of FFmpeg's demuxers and protocols, so that a file cannot open other files.

Playlists (HLS, DASH, ``ffconcat``), descriptions of sessions (SDP), patterns of names and FFmpeg's
filter graphs make FFmpeg open other files and sockets. Files and standard input are therefore
read only by the demuxers listed here. The lists also hold for everything that a demuxer opens
itself.
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

# FFmpeg's names. All read only their own input; "mov" has an option against references to samples
# in other files. "image2" is left out because it takes names for patterns.
_CONTAINERS: Final = (
    "apng,asf,avi,dhav,dv,film_cpk,flic,flv,gif,gxf,lxf,live_flv,matroska,mov,mpeg,mpegts,mxf,"
    "nsv,nut,nuv,ogg,pva,rm,smjpeg,swf,wtv,yuv4mpegpipe"
)
_BARE_VIDEO: Final = (
    "av1,avs2,avs3,cavsvideo,dirac,dnxhd,evc,h261,h263,h264,hevc,ipu,ivf,m4v,mjpeg,mjpeg_2000,"
    "mpegvideo,mpjpeg,obu,vc1,vc1test,vvc"
)
# Single pictures.
_PICTURES: Final = (
    "bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,gif_pipe,hdr_pipe,ico,iff,j2k_pipe,jpeg_pipe,"
    "jpegls_pipe,jpegxl_anim,jpegxl_pipe,jpegxs_pipe,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,"
    "pgm_pipe,pgmyuv_pipe,phm_pipe,png_pipe,ppm_pipe,psd_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,"
    "tiff_pipe,webp_pipe,xbm_pipe,xpm_pipe,xwd_pipe"
)
# Opened only to report that there is no video.
_SOUND: Final = "aac,ac3,aiff,amr,ape,au,caf,dts,eac3,flac,loas,mp3,truehd,tta,w64,wav,wv"

FILE_FORMATS: Final = f"{_CONTAINERS},{_BARE_VIDEO},{_PICTURES},{_SOUND}"
"""Demuxers for files and standard input, as ``format_whitelist`` takes them."""

_NO_REFERENCES: Final = {"enable_drefs": "0"}

FILE_OPTIONS: Final[Mapping[str, str]] = {
    **_NO_REFERENCES,
    "format_whitelist": FILE_FORMATS,
    "protocol_whitelist": "file",
}
"""Options for opening a file by its path."""

PIPE_OPTIONS: Final[Mapping[str, str]] = {
    **_NO_REFERENCES,
    "format_whitelist": FILE_FORMATS,
    # FFmpeg is handed the bytes and opens nothing; no protocol has this name.
    "protocol_whitelist": "none",
}
"""Options for reading standard input."""

# Demuxers and protocols for each kind of address: no local files, and only the network protocols
# that this kind needs.
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
    """Return the options for opening an address, with its allowed demuxers and protocols.

    Parameters
    ----------
    scheme : str
        The address's scheme; ``file`` for a session description (SDP), which a user gives in
        place of an address.
    """
    formats, protocols = _BY_SCHEME[scheme.lower()]
    return _NO_REFERENCES | {"format_whitelist": formats, "protocol_whitelist": protocols}


# Filters that draw and change test pictures. Others open files or sockets: "movie", "life",
# "drawtext", "zmq".
_DRAWING_FILTERS: Final = frozenset(
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
    """Return the first filter of a graph that is not allowed, or None.

    Parameters
    ----------
    graph : str
        Filters in FFmpeg's filtergraph syntax.
    """
    for piece in _FILTER_ENDS.split(_QUOTED.sub("\0", graph)):
        name = re.split(r"[=@\[]", piece.strip())[0].strip()
        is_label = piece.lstrip().startswith("[") or not piece.strip()
        if not is_label and name not in _DRAWING_FILTERS:
            return name.replace("\0", "'")
    return None


HEAD_BYTES: Final = 1024
"""Number of bytes from the start of a file that `list_kind` needs."""

# First bytes of playlists and other lists of files.
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
    """Return the kind of a playlist or other list of files or addresses; None for other files.

    Parameters
    ----------
    head : bytes
        The file's first bytes, up to `HEAD_BYTES`.
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
