"""The directory of a cluster, without Ray."""

from __future__ import annotations

import asyncio

from greenroom.hosted.cluster.directory import Directory, Replica
from hosted.service import asynchronous

ONE = Replica("one", "10.0.0.1", 1001)
TWO = Replica("two", "10.0.0.2", 1002)


@asynchronous
async def test_replicas_come_and_go() -> None:
    """A replica is listed from when it enters to when it leaves, each time as another version."""
    directory = Directory("secret")
    await directory.enter(ONE)
    first = await directory.listing(0)
    await directory.enter(TWO)
    second = await directory.listing(first.version)
    await directory.leave("one")
    third = await directory.listing(second.version)
    assert [listing.replicas for listing in (first, second, third)] == [(ONE,), (ONE, TWO), (TWO,)]
    assert await directory.secret() == "secret"


@asynchronous
async def test_question_waits_for_a_change() -> None:
    """Whoever knows the replicas is answered when there are others, and not before."""
    directory = Directory("")
    await directory.enter(ONE)
    known = (await directory.listing(0)).version
    asked = asyncio.create_task(directory.listing(known))
    await asyncio.sleep(0)
    await directory.enter(ONE)
    await directory.leave("nobody")
    await asyncio.sleep(0.02)
    assert not asked.done()
    await directory.enter(TWO)
    assert (await asyncio.wait_for(asked, 1)).replicas == (ONE, TWO)


@asynchronous
async def test_silent_replica_is_taken_out() -> None:
    """A replica that does not enter itself again for 10 s is gone; the others stay."""
    times_s = iter([0.0, 0.0, 0.0, 8.0, 11.0])
    directory = Directory("", lambda: next(times_s))
    await directory.enter(ONE)
    await directory.enter(TWO)
    known = (await directory.listing(0)).version
    await directory.enter(TWO)
    assert (await directory.listing(known)).replicas == (TWO,)
