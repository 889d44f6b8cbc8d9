"""Workers that are kept running: pauses between tries, and what ends them."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from greenroom.errors import SinkError
from greenroom.hosted.options import ServeOptions
from greenroom.hosted.workers import local_fleet
from greenroom.hosted.workers.local_fleet import LocalFleet
from greenroom.hosted.workers.worker import SessionWorker
from hosted.client import until
from hosted.service import asynchronous


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have every process end at once; return when each was started."""
    began_s: list[float] = []

    async def run(worker: SessionWorker) -> bool:
        began_s.append(time.monotonic())
        worker.failure = "no model"
        worker.settled.set()
        return False

    monkeypatch.setattr(SessionWorker, "run", run)
    return began_s


@asynchronous
async def test_pauses_between_tries_double_up_to_a_limit(
    tries: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ends at once is tried less and less often, but again and again."""
    monkeypatch.setattr(local_fleet, "_BACKOFF_S", 0.01)
    monkeypatch.setattr(local_fleet, "_BACKOFF_MAX_S", 0.08)
    fleet = LocalFleet(ServeOptions(workers=1))
    keeping = asyncio.create_task(fleet._keep(fleet.workers[0]))  # noqa: SLF001
    await until(lambda: len(tries) >= 6, "six tries")
    await fleet.close()
    await keeping
    pauses_s = [after - before for before, after in pairwise(tries)]
    for pause_s, least_s in zip(pauses_s, (0.01, 0.02, 0.04, 0.08, 0.08), strict=False):
        assert pause_s >= 0.9 * least_s


@asynchronous
async def test_healthy_worker_is_started_again_soon(
    tries: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long run the pause is the shortest one again."""
    monkeypatch.setattr(local_fleet, "_HEALTHY_S", -1.0)
    monkeypatch.setattr(local_fleet, "_BACKOFF_S", 0.01)
    fleet = LocalFleet(ServeOptions(workers=1))
    assert await fleet._run_once(fleet.workers[0], 20.0) == 0.02  # noqa: SLF001
    assert len(tries) == 1


@pytest.mark.usefixtures("tries")
@asynchronous
async def test_drain_does_not_wait_for_a_pause() -> None:
    """A worker that waits for its next try is not waited for at the end."""
    fleet = LocalFleet(ServeOptions(workers=1))
    keeping = asyncio.create_task(fleet._run_once(fleet.workers[0], 30.0))  # noqa: SLF001
    await asyncio.sleep(0.01)
    began_s = time.monotonic()
    await fleet.drain(10.0)
    await keeping
    assert time.monotonic() - began_s < 9


@pytest.mark.usefixtures("tries")
@asynchronous
async def test_start_that_fails_says_why() -> None:
    """If a worker cannot start at first, none is kept, and the reason is told."""
    fleet = LocalFleet(ServeOptions(workers=2))
    with pytest.raises(SinkError, match="a worker did not start: no model"):
        await fleet.start()
    assert fleet.failure == "no model"
