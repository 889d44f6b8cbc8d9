"""Memory that sessions leave."""

from __future__ import annotations

import ctypes
import gc
import platform
import resource
import weakref
from pathlib import Path

import pytest

from greenroom.hosted import sessions
from greenroom.hosted.freed_memory import return_freed_memory
from hosted import test_calls
from hosted.client import Client, PersonTrack, until
from hosted.service import asynchronous, serving

drawn = test_calls.drawn


def resident_mib() -> float:
    """Return the memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc only")
def test_freed_memory_is_returned() -> None:
    """What lies between blocks that live on goes back to the system."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    size = 100_000
    blocks = [libc.malloc(size) for _ in range(1600)]
    for block in blocks[::2]:
        ctypes.memset(block, 1, size)
        libc.free(block)
    before_mib = resident_mib()
    return_freed_memory()
    returned_mib = before_mib - resident_mib()
    for block in blocks[1::2]:
        libc.free(block)
    assert returned_mib > 40


def test_objects_that_refer_to_each_other_are_freed() -> None:
    """Without waiting until Python looks for them by itself."""

    class Left:
        """Something with a reference to itself."""

        itself: Left

    left = Left()
    left.itself = left
    freed = weakref.ref(left)
    gc.disable()
    try:
        del left
        assert freed() is not None
        return_freed_memory()
        assert freed() is None
    finally:
        gc.enable()


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_it_is_returned_after_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service does so once after a session has ended, and not while it runs."""
    returned: list[int] = []
    monkeypatch.setattr(sessions, "return_freed_memory", lambda: returned.append(1))
    async with serving() as service:
        async with Client(service.http, PersonTrack()) as client:
            await client.connect()
            await until(lambda: client.count > 40, "40 frames")
            assert not returned
        await until(lambda: bool(returned), "memory given back")
    assert returned == [1]
