"""Never the room: every frame that anybody decodes, from the first on, through all at once."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from greenroom.hosted import segmenter_loans
from greenroom.testing import Fault, FaultySegmenter
from hosted.client import Client, PersonTrack, until
from hosted.service import asynchronous, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

# A fault in every few frames, and one that hangs: what it says in the end, that all is a person, is
# too late.
_KINDS = [fault for fault in Fault if fault is not Fault.HANG]
FAULTS = {9 + 7 * number: fault for number, fault in enumerate(_KINDS * 8)} | {30: Fault.HANG}
SIZES = ((64, 48), (240, 320), (16, 16), (322, 242), (160, 120), (320, 240))
CHANGES = (
    {"background": "color:navy"},
    {"quality": "fast"},
    {"background": "beach", "fit": "contain"},
    {"mirror": True},
    {"framing": "follow"},
    {"smoothing": 0.0},
    {"smoothing": 0.99, "quality": "best"},
    {"clean_edges": False},
    {"match_light": 1.0},
    {"background": "none"},
    {"background": "grayscale"},
    {"framing": "off", "mirror": False},
    {"background": "color:teal", "quality": "balanced"},
)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FaultySegmenter]]:
    """Have the person found by segmenters that fail all the time; return them."""
    made: list[FaultySegmenter] = []

    def create(*_: object) -> FaultySegmenter:
        made.append(FaultySegmenter(FAULTS if not made else {2: Fault.RAISE, 11: Fault.NAN}))
        return made[-1]

    monkeypatch.setattr(segmenter_loans, "create_segmenter", create)
    yield made
    for one in made:
        one.released.set()


@pytest.mark.parametrize("codec", ["VP8", "H264"])
@asynchronous
async def test_nobody_ever_sees_the_room(codec: str, faulty: list[FaultySegmenter]) -> None:
    """Faults, hangs, sizes, settings, covers and viewers that come and go show no pixel of it."""
    async with serving() as service, AsyncExitStack() as stack:
        track = PersonTrack()
        client = await stack.enter_async_context(Client(service.http, track))
        await client.connect(codec=codec, stream="room")
        viewers = []
        await until(lambda: client.count > 3, "frames")
        for number, change in enumerate(CHANGES):
            client.send(settings=change)
            track.size = SIZES[number % len(SIZES)]
            if number % 5 == 0:
                viewer = await stack.enter_async_context(Client(service.http))
                other = ("H264", "VP8")[number % 2]
                assert (await viewer.connect("/whep/room", codec=other)).status_code == 201
                viewers.append(viewer)
            if number % 4 == 1:
                client.send(cover=True)
                await asyncio.sleep(0.1)
                client.send(cover=False)
            await asyncio.sleep(0.4)
            if number == len(CHANGES) - 4:
                for one in faulty:
                    one.released.set()
        track.size = SIZES[-1]
        refused = {error["name"] for error in client.told("error")}
        assert refused == {"background"}
        await until(lambda: min(one.count for one in viewers) > 3, "frames of the viewers")
        everybody = [client, *viewers]
        assert [one.room_pixels for one in everybody] == [0] * len(everybody)
        assert threading.active_count() < 200
