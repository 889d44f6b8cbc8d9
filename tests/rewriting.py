"""A video written again, frame by frame, as files are converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.sources import create_source

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["again"]


def again(source: Path, target: Path, **values: Any) -> Path:
    """Write a video again, under settings that differ from the defaults by some values."""
    settings = Settings(**values)
    reader = create_source(source, settings)
    sink = create_sink(target, settings, reader.info)
    for frame in reader:
        sink.write(frame)
    reader.close()
    sink.close()
    return target
