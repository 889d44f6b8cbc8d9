"""Sessions of the hosted service: CPU time, rate, latency and memory with more and more of them.

A portrait in front of a busy scene is sent as VP8 at 640x480 and 30 frames a second, encoded
beforehand, over the loopback interface to `greenroom serve` with one process, which replaces the
background. Clients are in a process of their own. Beside it the bare relay of `hosted_relay.py`,
in the same run: what receiving, decoding, encoding and sending take without an engine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from hosted_relay import BITRATE, RATE, SIZE, Client, coded_clip, turn

from greenroom.engine.demo import demo_source
from greenroom.hosted.rtc import CodedFrame, VideoEncoder
from greenroom.media.layout import Layout
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av

WARM_UP_S: Final = 6.0
_FRAMES: Final = 90
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=3, help="most sessions at once")
    parser.add_argument("--seconds", type=float, default=8.0, help="of one measurement")
    given = parser.parse_args()
    relay = asyncio.run(turn("ours", "VP8", coded_clip("VP8", given.seconds + 3)))
    print("| | CPU ms a frame | frames/s each | latency p50/p99 ms | PSS MiB |")
    print("|---|---:|---:|---:|---:|")
    print(f"| bare relay | {relay.cpu_ms:.1f} | | {relay.round_trip(50):.0f} (round trip) | |")
    clip = portrait_clip()
    for count in range(1, given.sessions + 1):
        row = asyncio.run(measured(count, clip, given.seconds))
        rates = ", ".join(f"{rate:.1f}" for rate in row.rates)
        print(
            f"| {count} sessions | {row.cpu_ms:.1f} | {rates} | {row.p50_ms:.0f}/{row.p99_ms:.0f} "
            f"| {row.memory_mib:.0f} |"
        )
        print(f"  one frame takes {row.cpu_ms / relay.cpu_ms:.2f} of the bare relay's", flush=True)


@dataclass
class Row:
    """What a number of sessions took."""

    cpu_ms: float
    rates: list[float]
    p50_ms: float
    p99_ms: float
    memory_mib: float


class Counting(Client):
    """Counts the frames that come back."""

    def __init__(self) -> None:
        super().__init__("VP8")
        self.count = 0
        self.address = ""

    def _see(self, frame: av.VideoFrame, arrived_s: float) -> None:  # noqa: ARG002
        self.count += 1

    async def stream(self, clip: Sequence[CodedFrame], seconds: float) -> None:
        """Send a clip again and again."""
        stream = self._media.video_out
        assert stream is not None
        began_s = report_s = time.monotonic()
        for number, frame in enumerate(islice(cycle(clip), int(seconds * RATE))):
            await asyncio.sleep(began_s + number / RATE - time.monotonic())
            stamp = number * 90_000 // RATE
            stream.put(CodedFrame(frame.codec, frame.payloads, stamp, frame.key, frame.size))
            stream.flush()
            if time.monotonic() - report_s > 1:
                report_s = time.monotonic()
                self._media.send_reports()


async def measured(count: int, clip: Sequence[CodedFrame], seconds: float) -> Row:
    """Run a service with some sessions, and measure its process."""
    flags = ("--port", "0", "--workers", "1", "--max-sessions", str(count))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "greenroom", "serve", *flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().removeprefix("greenroom: ").strip()
    clients = [Counting() for _ in range(count)]
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        for client in clients:
            answer = await http.post(
                "/sessions",
                content=await client.offer(),
                headers={"Content-Type": "application/sdp"},
            )
            answer.raise_for_status()
            client.address = answer.headers["location"]
            await client.take(answer.text)
        sending = [
            asyncio.create_task(client.stream(clip, WARM_UP_S + seconds + 1)) for client in clients
        ]
        await asyncio.sleep(WARM_UP_S)
        before, cpu_s, began_s = [one.count for one in clients], _cpu_s(process.pid), time.time()
        await asyncio.sleep(seconds)
        cpu_s, took_s = _cpu_s(process.pid) - cpu_s, time.time() - began_s
        came = [one.count - was for one, was in zip(clients, before, strict=True)]
        memory_mib = _pss_mib(process.pid)
        states = [json.loads((await http.get(client.address)).text) for client in clients]
        await asyncio.gather(*sending)
    for client in clients:
        await client.close()
    process.terminate()
    await process.wait()
    latencies = [state["status"]["latency_ms"] for state in states]
    return Row(
        1000 * cpu_s / max(1, sum(came)),
        [frames / took_s for frames in came],
        statistics.mean(one.get("p50", 0) for one in latencies),
        max(one.get("p99", 0) for one in latencies),
        memory_mib,
    )


def portrait_clip() -> list[CodedFrame]:
    """Return three seconds of a portrait in front of a busy scene, encoded."""
    layout = Layout(*SIZE, "yuv420p")
    encoder = VideoEncoder("VP8", RATE, BITRATE)
    clip = []
    for number, frame in enumerate(demo_source(Settings(), _FRAMES)):
        picture = frame.converted(layout).shown_at(number * 90_000 // RATE, None).to_av()
        picture.pts, picture.time_base = number, Fraction(1, RATE)
        clip.append(encoder.encode(picture, key=number == 0, bitrate=BITRATE))
    return clip


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
