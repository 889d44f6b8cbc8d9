"""The hosted service at its limit, beside a bare relay: sessions held, delays, admission, memory.

The relay decodes each frame and encodes it again, on the service's own connections and encoders,
in as many processes as the service has workers. The clients take part of the same machine, so that
what they take is missing to both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

from hosted_load import (
    WINDOW_S,
    Caller,
    RefusedError,
    Relays,
    Server,
    Service,
    calling,
    coded_clips,
    leave,
    serving,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hosted_load import Clips

HELD_RATE: Final = 28.0
SETTLE_S: Final = 5.0
MOST_SESSIONS: Final = 24

# Asked, as in docs/performance.md.
LEAST_OF_RELAY: Final = 0.5
MOST_P95_MS: Final = {"relay": 50, "service": 100}
MOST_LOST: Final = 1
MOST_SESSION_MIB: Final = 40


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asyncio.run(measure(parser.parse_args().workers))


async def measure(workers: int) -> None:
    """Measure all, and print each line as it is known."""
    clips = coded_clips()
    print(f"| VP8 640x480 at 30/s, {os.cpu_count()} cores, {workers} workers | | asked |")
    print("|---|---:|---:|")
    relay = await held(lambda: Relays.start(workers), clips)
    line("sessions that the relay holds at 28 frames/s", relay, "")
    ours = await held(lambda: Service.start(workers, "--max-sessions=64"), clips)
    line("sessions that the service holds, governed", ours, "")
    line("service beside relay", f"{ours / max(1, relay):.2f}", f">= {LEAST_OF_RELAY}")
    admitted = await at_the_limit(workers, clips)
    async with serving(lambda: Relays.start(workers)) as relays:
        callers = await calling(relays, clips, admitted)
        await asyncio.sleep(SETTLE_S)
        p95 = (await window(callers)).p95_ms
        line(
            f"relay, p95 with {admitted} sessions, ms",
            f"{p95:.0f}",
            f"<= {MOST_P95_MS['relay']:.0f}",
        )
        await leave(callers)
    print(f"\nload of the machine over the last minutes: {os.getloadavg()}")


async def held(start: Callable[[], Awaitable[Server]], clips: Clips) -> int:
    """Return how many sessions a server holds at 28 frames/s, all of them."""
    async with serving(start) as server:
        callers: list[Caller] = []
        for count in range(1, MOST_SESSIONS + 1):
            callers += await calling(server, clips, 1, probe=not callers)
            if not await holds(callers):
                await leave(callers)
                return count - 1
        await leave(callers)
        return MOST_SESSIONS


async def holds(callers: Sequence[Caller]) -> bool:
    """Whether all sessions get their frames; a second look forgives a moment's noise."""
    for _ in range(2):
        await asyncio.sleep(SETTLE_S)
        seen = await window(callers)
        print(f"  {len(callers)}: {seen}", file=sys.stderr)
        if min(seen.rates) >= HELD_RATE:
            return True
    return False


async def at_the_limit(workers: int, clips: Clips) -> int:
    """Measure a service that admits as many as it thinks fit; return how many that were."""
    async with serving(lambda: Service.start(workers)) as server:
        # One each, as the first one of a worker has it load the model.
        callers = await calling(server, clips, workers)
        await asyncio.sleep(SETTLE_S)
        first_mib = server.memory_mib()
        with contextlib.suppress(RefusedError):
            while len(callers) < MOST_SESSIONS:
                callers += await calling(server, clips, 1, probe=False)
                await asyncio.sleep(1)
        admitted = len(callers)
        line("sessions admitted", admitted, "")
        await asyncio.sleep(2 * SETTLE_S)
        before = await window(callers, 2 * WINDOW_S)
        session_mib = (server.memory_mib() - first_mib) / max(1, admitted - workers)
        refused = 0
        for _ in range(3):
            try:
                callers += await calling(server, clips, 1, probe=False)
            except RefusedError:
                refused += 1
        after = await window(callers[:admitted], 2 * WINDOW_S)
        lost = max(0.0, *(a - b for a, b in zip(before.rates, after.rates, strict=True)))
        line("one session too many", f"{refused} of 3 refused", "refused")
        line("frames/s that others lose then", f"{lost:.2f}", f"< {MOST_LOST}")
        line("slowest session, frames/s", f"{min(before.rates):.1f}", f">= {HELD_RATE:.0f}")
        line("p95 with the engine, ms", f"{before.p95_ms:.0f}", f"<= {MOST_P95_MS['service']}")
        line("memory of a further session, MiB", f"{session_mib:.1f}", f"<= {MOST_SESSION_MIB}")
        await leave(callers)
    return admitted


def line(name: str, value: object, asked: str) -> None:
    """Print a row."""
    print(f"| {name} | {value} | {asked} |", flush=True)


if __name__ == "__main__":
    main()
