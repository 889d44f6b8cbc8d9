"""The directory of a cluster: which replicas there are, and where each takes requests.

It is an actor of Ray with a name, so that replicas and whoever is in front find it from every
machine. It outlives the process in front: started again, that one finds its replicas and their
sessions again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BEAT_S", "Directory", "Listing", "Replica"]

BEAT_S: Final = 2.0
"""Interval at which a replica enters itself again."""
# A replica that did not for this long is gone.
_GONE_S: Final = 10.0
# Time after which a question is answered though nothing has changed.
_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Replica:
    """A process that has sessions.

    Attributes
    ----------
    name : str
        The ids of its sessions begin with it.
    host : str
        Address of its machine.
    port : int
        TCP port where it takes requests of the process in front.
    """

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The replicas at some moment.

    Attributes
    ----------
    version : int
        Another one after each change.
    replicas : tuple of Replica
    """

    version: int
    replicas: tuple[Replica, ...]


class Directory:
    """Replicas by their names. All methods run on one event loop.

    Parameters
    ----------
    secret : str
        What requests to replicas have to have; the same for all of them.
    now_s : callable
        Returns monotonic seconds.

    State: the replicas, and when each was heard of. Lost when its machine is: the replicas enter
    themselves again.
    """

    def __init__(self, secret: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._secret = secret
        self._now_s = now_s
        self._heard: dict[Replica, float] = {}
        self._version = 1
        self._changed = asyncio.Event()

    async def secret(self) -> str:
        """Return what requests to replicas have to have."""
        return self._secret

    async def enter(self, replica: Replica) -> None:
        """Note that a replica runs; called again and again."""
        is_new = replica not in self._heard
        self._heard[replica] = self._now_s()
        if is_new:
            self._change()

    async def leave(self, name: str) -> None:
        """Note that a replica is about to end."""
        left = [one for one in self._heard if one.name == name]
        for replica in left:
            del self._heard[replica]
        if left:
            self._change()

    async def listing(self, known: int) -> Listing:
        """Return the replicas, as soon as they are others than in a version or after some time."""
        self._prune()
        if self._version == known:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _WAIT_S)
            self._prune()
        return Listing(self._version, tuple(self._heard))

    def _prune(self) -> None:
        """Take those out that are gone."""
        now_s = self._now_s()
        gone = [one for one, heard_s in self._heard.items() if now_s - heard_s > _GONE_S]
        for replica in gone:
            del self._heard[replica]
        if gone:
            self._change()

    def _change(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()
