"""What is not public of Ray: where it prints what it notices of the cluster."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["log_messages"]

logger = logging.getLogger(__name__)


def log_messages() -> None:
    """Have Ray's messages be logged; by itself it prints them among the results of a command.

    They tell of processes and machines that are lost, at length. For a process that is connected.
    """
    module: Any = importlib.import_module("ray._private.worker")
    module.print_to_stdstream = _log


def _log(message: Mapping[str, Any], *_: object, **__: object) -> None:
    for line in message["lines"]:
        logger.debug("Ray: %s", line)
