"""A server that speaks as much RTSP (RFC 2326) as a network camera has to, over TCP."""

from __future__ import annotations

import socketserver
import struct

from stream_server import UntilLeft, encoded

__all__ = ["RtspServer"]

# RFC 3551: MPEG transport streams are payload type 33, with a clock of 90 kHz.
_SESSION = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\n"
_PACKET = 7 * 188


class _Handler(socketserver.StreamRequestHandler):
    server: RtspServer

    def handle(self) -> None:
        """Answer requests until it is to play, then send."""
        while line := self.rfile.readline():
            headers = {}
            while (header := self.rfile.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                headers[name.lower()] = value.strip()
            method = line.split()[0]
            reply = [b"RTSP/1.0 200 OK", b"CSeq: " + headers[b"cseq"], b"Session: 1"]
            body = b""
            if method == b"OPTIONS":
                reply.append(b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == b"DESCRIBE":
                body = _SESSION
                reply += [b"Content-Type: application/sdp", b"Content-Length: %d" % len(body)]
            elif method == b"SETUP":
                reply.append(b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
            self.wfile.write(b"\r\n".join(reply) + b"\r\n\r\n" + body)
            if method == b"PLAY":
                self._send()
                return

    def _send(self) -> None:
        data = encoded("mpegts", "mpeg2video", 100)
        count = len(data) // _PACKET
        try:
            for number in range(count):
                part = data[number * _PACKET : (number + 1) * _PACKET]
                head = struct.pack(">BBHII", 0x80, 33, number, 360000 * number // count, 1)
                length = len(head) + len(part)
                self.wfile.write(struct.pack(">cBH", b"$", 0, length) + head + part)
                if self.server.ended.wait(4 / count):
                    return
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever looked has gone


class RtspServer(UntilLeft, socketserver.ThreadingTCPServer):
    """Serves four seconds of a stream to everybody, until it is left."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        """The address of the stream."""
        return f"rtsp://127.0.0.1:{self.server_address[1]}/stream"
