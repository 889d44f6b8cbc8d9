"""A bounded queue between two threads that can be ended from either side."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Channel", "ChannelClosedError"]

T = TypeVar("T")


class ChannelClosedError(Exception):
    """The other side has ended the channel."""


class Channel(Generic[T]):
    """Passes items from one thread to another, in order.

    Parameters
    ----------
    capacity : int
        How many items may wait.
    newest_wins : bool
        When full, drop the oldest instead of making the sender wait.
    """

    def __init__(self, capacity: int, *, newest_wins: bool = False) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._newest_wins = newest_wins
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False
        self.dropped = 0

    def put(self, item: T) -> None:
        """Send an item, waiting for room unless the newest wins.

        Raises
        ------
        ChannelClosedError
            If the receiver is gone.
        """
        with self._changed:
            while len(self._items) >= self._capacity and not self._cancelled:
                if self._newest_wins:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if self._cancelled:
                raise ChannelClosedError
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Receive the next item, waiting for it.

        Raises
        ------
        ChannelClosedError
            If there will be none.
        """
        with self._changed:
            while not self._items and not self._finished and not self._cancelled:
                self._changed.wait()
            if not self._items or self._cancelled:
                raise ChannelClosedError
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def finish(self) -> None:
        """Say that no more items come; those that wait are still received."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """End the channel at once; items that wait are dropped."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()
