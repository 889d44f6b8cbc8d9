"""Segmenters that sessions share: a model is loaded a few times, not once for each session.

A session borrows one for as long as it looks at one part of a frame. Models whose results depend on
earlier frames, and those that make mattes themselves, have an owner each.

This is also the place where frames of several sessions meet: what runs them through a model as one
batch takes the place of the loan in `PooledSegmenter.segment`.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from greenroom.engine.device_selection import choose
from greenroom.errors import ModelTimeoutError
from greenroom.media.timings import Timings
from greenroom.segmenters import Segmenter, SegmenterPool, create_segmenter
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

__all__ = ["PooledSegmenter", "SegmenterLoans"]

# Time-out of waiting for one that is free.
_WAIT_S: Final = 2.0
# One that is lent for longer is hung, and is replaced.
_HUNG_S: Final = 5.0


class _SharedTimings(Timings):
    """Passes timings on to those of the session that has the segmenter now."""

    def __init__(self) -> None:
        super().__init__()
        self.target: Timings | None = None

    def add(self, name: str, seconds: float) -> None:
        """See `Timings.add`."""
        if self.target is not None:
            self.target.add(name, seconds)


@dataclass(eq=False)
class _Loaded:
    """One segmenter in memory, and since when it is lent."""

    segmenter: Segmenter
    timings: _SharedTimings
    lent_s: float | None = None


@dataclass(eq=False)
class _Shelf:
    """The segmenters of one model."""

    loaded: list[_Loaded] = field(default_factory=list)
    hung: list[_Loaded] = field(default_factory=list)
    users: int = 0
    freed: threading.Condition = field(default_factory=threading.Condition)


class SegmenterLoans:
    """Lends segmenters. All methods may be called on any thread.

    Parameters
    ----------
    create : callable, optional
        Makes a segmenter for settings and timings; the model that these name by default.
    most : int, optional
        Most segmenters of one model; by default as many as there are processors.

    State: the segmenters, until the last session that uses a model ends.
    """

    def __init__(
        self,
        create: Callable[[Settings, Timings], Segmenter] | None = None,
        most: int | None = None,
    ) -> None:
        self._create = create
        self._most = most or os.cpu_count() or 1
        self._lock = threading.RLock()  # a stream that fails to open ends its pool
        self._shelves: dict[Hashable, _Shelf] = {}
        self._pools: dict[Hashable, SegmenterPool] = {}

    @property
    def count(self) -> int:
        """Number of segmenters in memory that are shared."""
        with self._lock:
            return sum(len(shelf.loaded) for shelf in self._shelves.values())

    def take(self, settings: Settings, timings: Timings) -> Segmenter:
        """Return a segmenter for a session, as `greenroom.segmenters.create_segmenter` does.

        It is closed by the session, which leaves the shared ones to the others.

        Raises
        ------
        GreenroomError
            As `create_segmenter`.
        """
        key = _key(settings)
        if settings.device is Device.CUDA:
            return self._stream(key, settings, timings)
        with self._lock:  # a second session waits rather than load the same
            shelf = self._shelves.get(key)
            if shelf is None:
                first = self._load(settings)
                if first.segmenter.makes_mattes:
                    first.timings.target = timings
                    return first.segmenter
                shelf = self._shelves[key] = _Shelf([first])
            shelf.users += 1
        return PooledSegmenter(self, settings, key, timings)

    def _stream(self, key: Hashable, settings: Settings, timings: Timings) -> Segmenter:
        """Return one more segmenter over the model that all sessions have in common."""
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                compute = choose(settings.device).device
                unused = partial(self._close_unused, key)
                pool = SegmenterPool(settings, compute=compute, on_unused=unused)
                self._pools[key] = pool
            try:
                return pool.segmenter(timings)
            finally:
                self._close_unused(key)  # it could not be opened

    def _close_unused(self, key: Hashable) -> None:
        """Close the model of sessions that have all ended."""
        with self._lock:
            pool = self._pools.get(key)
            if pool is None or pool.count:
                return
            del self._pools[key]
        pool.close()

    @contextmanager
    def lend(self, settings: Settings, key: Hashable, timings: Timings) -> Iterator[Segmenter]:
        """Lend a segmenter.

        Raises
        ------
        ModelTimeoutError
            If none is free in time.
        """
        shelf = self._shelves[key]
        loaded = self._borrow(shelf, settings)
        loaded.timings.target = timings
        try:
            yield loaded.segmenter
        finally:
            loaded.timings.target = None
            with shelf.freed:
                loaded.lent_s = None
                if loaded in shelf.hung:  # it has been replaced
                    shelf.hung.remove(loaded)
                    loaded.segmenter.close()
                shelf.freed.notify()

    def give_back(self, key: Hashable) -> None:
        """Note that a session ends; the last one ends the model's segmenters."""
        with self._lock:
            shelf = self._shelves[key]
            shelf.users -= 1
            if shelf.users:
                return
            del self._shelves[key]
        with shelf.freed:
            for loaded in shelf.loaded:
                if loaded.lent_s is None:
                    loaded.segmenter.close()
                else:  # closed when it is given back
                    shelf.hung.append(loaded)
            shelf.loaded.clear()

    def _borrow(self, shelf: _Shelf, settings: Settings) -> _Loaded:
        end_s = time.monotonic() + _WAIT_S
        with shelf.freed:
            while True:
                now_s = time.monotonic()
                self._replace_hung(shelf, now_s)
                free = next((one for one in shelf.loaded if one.lent_s is None), None)
                if free is None and len(shelf.loaded) < self._most:
                    free = self._load(settings)
                    shelf.loaded.append(free)
                if free is not None:
                    free.lent_s = now_s
                    return free
                if now_s >= end_s:
                    message = f"the model was in use by other sessions for {_WAIT_S:g} s."
                    raise ModelTimeoutError(message)
                shelf.freed.wait(end_s - now_s)

    def _replace_hung(self, shelf: _Shelf, now_s: float) -> None:
        for one in list(shelf.loaded):
            if one.lent_s is not None and now_s - one.lent_s > _HUNG_S:
                shelf.loaded.remove(one)
                shelf.hung.append(one)

    def _load(self, settings: Settings) -> _Loaded:
        timings = _SharedTimings()
        return _Loaded((self._create or create_segmenter)(settings, timings), timings)


class PooledSegmenter(Segmenter):
    """A session's view of the shared segmenters of its model."""

    makes_mattes = False
    remembers = False

    def __init__(
        self, loans: SegmenterLoans, settings: Settings, key: Hashable, timings: Timings
    ) -> None:
        self._loans = loans
        self._settings = settings
        self._key = key
        self._timings = timings
        self._closed = False
        with loans.lend(settings, key, timings) as segmenter:
            self.info = segmenter.info

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        with self._loans.lend(self._settings, self._key, self._timings) as segmenter:
            coarse = segmenter.segment(frame)
            self.info = segmenter.info
            return coarse

    def close(self) -> None:
        """See `Segmenter.close`."""
        if not self._closed:
            self._closed = True
            self._loans.give_back(self._key)


def _key(settings: Settings) -> Hashable:
    """Return what a segmenter depends on."""
    return (
        settings.model,
        settings.device,
        settings.keep,
        settings.key_color,
        settings.threads,
        settings.models_dir,
        settings.accept_license,
    )
