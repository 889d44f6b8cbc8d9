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
    """Calls functions without arguments, on whatever thread tells. Safe for threads."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def add(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function from now on; returns a function that ends that."""
        self._listeners.append(listener)

        def remove() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return remove

    def tell(self) -> None:
        """Call all of them; one that fails is logged, and keeps nobody else from hearing."""
        for listener in list(self._listeners):
            try:
                listener()
            except Exception as error:
                logger.exception("%s", error)
