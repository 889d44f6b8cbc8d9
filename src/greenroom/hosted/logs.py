"""Logs of the service: one JSON object a line, with the session that it is about.

Neither pictures nor tokens, addresses of clients or their session descriptions are logged.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JsonFormatter", "log_json", "session_log"]

_LOGGERS: Final = ("greenroom", "uvicorn.error")
# Libraries that log what clients send and where they are.
_QUIET: Final = ("aiortc", "aioice")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    Parameters
    ----------
    session_of : callable
        Returns the id of the session that a thread belongs to, by the thread's number; empty for
        none. Asked where a record does not say itself.
    """

    def __init__(self, session_of: Callable[[int], str] = lambda _thread: "") -> None:
        super().__init__()
        self._session_of = session_of

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        session = getattr(record, "session", "") or self._session_of(record.thread or 0)
        if session:
            told["session"] = session
        if record.exc_info and record.exc_info[1] is not None:
            told["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            if record.levelno >= logging.ERROR:
                told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def session_log(logger: logging.Logger, session: str) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose records name a session."""
    return logging.LoggerAdapter(logger, {"session": session})


def log_json(
    session_of: Callable[[int], str] = lambda _thread: "",
    stream: TextIO | None = None,
    level: int = logging.INFO,
) -> None:
    """Log as JSON on standard error; for the command, which owns the process."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(session_of))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
