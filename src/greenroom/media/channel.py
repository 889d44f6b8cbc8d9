"""A bounded queue between two threads that either side can close."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Channel", "ChannelClosedError"]

T = TypeVar("T")


class ChannelClosedError(Exception):
    """The other side has closed the channel."""


class Channel(Generic[T]):
    """Passes items from one thread to another, in order.

    Parameters
    ----------
    capacity : int
        Maximum number of queued items.
    newest_wins : bool
        When full, drop the oldest item instead of blocking the sender.
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
        """Send an item; block while the channel is full, unless the newest wins.

        Raises
        ------
        ChannelClosedError
            If the receiver has closed the channel.
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
        """Receive the next item; block until there is one.

        Raises
        ------
        ChannelClosedError
            If no more items will come.
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
        """Close the channel from the sender's side; queued items are still received."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Close the channel at once and drop queued items."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()
