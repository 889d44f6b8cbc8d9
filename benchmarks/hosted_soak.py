"""The hosted service over a long time, with clients that come and go: nothing may be left of them.

Some end their session, some vanish, some never come after the answer. Memory, threads and sockets
of the service without any session are compared between the end and a moment after the start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hosted_load import Caller, RefusedError, Service, coded_clips, serving

if TYPE_CHECKING:
    from hosted_load import Clips

MOST_MIB: Final = 10.0
WAYS: Final = ("ends", "ends", "vanishes", "never comes")
WARM_UP_S: Final = 300.0
LOOK_S: Final = 60.0
END_S: Final = 30.0
# Threads that wait for work end after 10 s without any.
IDLE_THREADS_S: Final = 12.0


def main() -> None:
    """Run, and fail if something is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    asyncio.run(soak(given.workers, given.minutes * 60))


@dataclass(frozen=True)
class Left:
    """What a service has without any session."""

    memory_mib: float
    threads: int
    sockets: int

    def __str__(self) -> str:
        """For whoever waits."""
        return f"{self.memory_mib:.1f} MiB, {self.threads} threads, {self.sockets} sockets"


async def soak(workers: int, seconds: float) -> None:
    """Let clients come and go, and fail if something is left of them."""
    clips = coded_clips()
    async with serving(lambda: Service.start(workers, "--max-sessions=4")) as service:
        calls = await come_and_go(service, clips, min(WARM_UP_S, seconds / 3))
        first = await left(service)
        print(f"after {calls} calls: {first}", flush=True)
        end_s = time.monotonic() + seconds * 2 / 3
        while time.monotonic() < end_s:
            calls += await come_and_go(service, clips, min(LOOK_S, end_s - time.monotonic()))
            last = await left(service)
            print(f"after {calls} calls: {last}", flush=True)
    grown_mib = last.memory_mib - first.memory_mib
    print(f"memory: {grown_mib:+.1f} MiB (asked: within {MOST_MIB:.0f})")
    if abs(grown_mib) > MOST_MIB or last.threads > first.threads or last.sockets > first.sockets:
        sys.exit("something is left of clients that are gone")


async def come_and_go(service: Service, clips: Clips, seconds: float) -> int:
    """Let a few clients at once come and go for a while; return how many came."""
    end_s = time.monotonic() + seconds
    calls = 0
    while time.monotonic() < end_s:
        ways = random.choices(WAYS, k=random.randint(1, 3))  # noqa: S311 - no secret
        await asyncio.gather(*(one_call(service, clips, way) for way in ways))
        calls += len(ways)
    return calls


async def one_call(service: Service, clips: Clips, way: str) -> None:
    """Be a client for a while."""
    caller = Caller(clips, probe=False)
    try:
        answer, location = await service.answer(await caller.offer())
        if way == "never comes":
            return
        await caller.take(answer)
        caller.begin()
        await asyncio.sleep(random.uniform(0.5, 4))  # noqa: S311
        if way == "ends":
            await service.ask("DELETE", location)
    except (RefusedError, TimeoutError):  # it is full, or busy
        await asyncio.sleep(1)
    finally:
        await caller.close()


async def left(service: Service) -> Left:
    """Wait until no session runs, and look what there is."""
    end_s = time.monotonic() + END_S
    while await service.metric("greenroom_sessions"):
        if time.monotonic() > end_s:
            sys.exit("sessions are left of clients that are gone")
        await asyncio.sleep(0.5)
    await asyncio.sleep(IDLE_THREADS_S)
    pids = service.pids()
    threads = sum(_threads(pid) for pid in pids)
    return Left(service.memory_mib(), threads, sum(_sockets(pid) for pid in pids))


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _sockets(pid: int) -> int:
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(entry.readlink()))
    return sum(link.startswith("socket:") for link in links)


if __name__ == "__main__":
    main()
