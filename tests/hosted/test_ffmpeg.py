"""A second client: FFmpeg publishes by WHIP to the command, and a viewer sees the result."""

from __future__ import annotations

import asyncio
import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from hosted.client import Client, until
from hosted.service import asynchronous
from hosted.test_server import running

if TYPE_CHECKING:
    from collections.abc import Iterator

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="FFmpeg comes with imageio-ffmpeg")

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.slow]

ENCODER = (
    *("-c:v", "libx264", "-profile:v", "baseline", "-bf", "0", "-g", "30"),
    *("-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
    *("-c:a", "libopus", "-ar", "48000", "-ac", "2"),
)


@contextmanager
def publishing(address: str) -> Iterator[None]:
    """Have FFmpeg publish a magenta picture and a tone."""
    process = subprocess.Popen(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            *("-loglevel", "error", "-re", "-f", "lavfi", "-i", "color=magenta:s=320x240:r=30"),
            *("-f", "lavfi", "-i", "sine=440", *ENCODER, "-f", "whip", address),
        ],
        stdin=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


async def _begun(http: httpx.AsyncClient) -> None:
    """Wait until there is a session."""
    for _ in range(100):
        if "greenroom_sessions 1.0" in (await http.get("/metrics")).text:
            return
        await asyncio.sleep(0.2)
    pytest.fail("nothing was published")


@asynchronous
async def test_ffmpeg_publishes() -> None:
    """H.264 of FFmpeg's comes out with the background that was asked for, and without its room."""
    start = quote(json.dumps({"settings": {"background": "color:teal"}}))
    with running("--max-sessions", "1") as service:
        async with httpx.AsyncClient(base_url=service.url) as http, Client(http) as viewer:
            with publishing(f"{service.url}whip/talk?start={start}"):
                await _begun(http)
                assert (await viewer.connect("/whep/talk")).status_code == 201
                await until(lambda: viewer.count > 20, "frames")
            red, green, blue = viewer.frames[-1][1].to_rgb().reshape(-1, 3).mean(axis=0)
            assert red < 60 < green < 200
            assert 60 < blue < 200
            assert viewer.room_pixels == 0
