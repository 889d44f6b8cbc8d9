"""Measured speeds of models on this machine, to help the choice of a model."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import platformdirs
from pydantic import BaseModel, TypeAdapter

from greenroom.media.file_writing import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.segmenters.segmenter import SegmenterInfo

__all__ = ["Speed", "read_speeds", "remember_speed"]


class Speed(BaseModel):
    """Best median of all runs.

    Attributes
    ----------
    ms : float
        Milliseconds from a frame to its coarse matte.
    runtime, device : str
        Library and device of the run.
    threads : int
        Number of threads.
    """

    ms: float
    runtime: str
    device: str
    threads: int


_Speeds: Final = TypeAdapter(dict[str, Speed])


def read_speeds() -> dict[str, Speed]:
    """Return the stored speeds by model; empty if unreadable."""
    try:
        return _Speeds.validate_json(_path().read_bytes())
    except (OSError, ValueError):
        return {}


def remember_speed(info: SegmenterInfo, ms: float) -> None:
    """Store a model's speed unless it was faster before on the same device.

    Errors of writing are ignored.
    """
    speeds = read_speeds()
    before = speeds.get(info.model)
    new = Speed(ms=ms, runtime=info.runtime, device=info.device, threads=info.threads)
    if (
        before is not None
        and before.ms <= ms
        and before == new.model_copy(update={"ms": before.ms})
    ):
        return
    with suppress(OSError):
        data = _Speeds.dump_json(speeds | {info.model: new}, indent=1)
        write_atomically(_path(), data, private=False)


def _path() -> Path:
    return platformdirs.user_cache_path("greenroom") / "speeds.json"
