"""Listeners: functions that are called when something changes."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Listeners"]

logger = logging.getLogger(__name__)


class Listeners:
    """Functions without arguments, called on the thread that calls `tell`. Safe for threads."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def add(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Add a function; return a function that removes it."""
        self._listeners.append(listener)

        def remove() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return remove

    def tell(self) -> None:
        """Call all functions; the error of one is logged and does not affect the others."""
        for listener in list(self._listeners):
            try:
                listener()
            except Exception as error:
                logger.exception("%s", error)
