"""How fast models ran on this machine: remembered for whoever chooses one."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import platformdirs
from pydantic import BaseModel, TypeAdapter

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.segmenters.base import SegmenterInfo

__all__ = ["Speed", "read_speeds", "remember_speed"]


class Speed(BaseModel):
    """The best median of any run so far.

    Attributes
    ----------
    ms : float
        Milliseconds from a frame to its coarse matte.
    runtime, device : str
        What it ran on.
    threads : int
        With how many threads.
    """

    ms: float
    runtime: str
    device: str
    threads: int


_Speeds: Final = TypeAdapter(dict[str, Speed])


def read_speeds() -> dict[str, Speed]:
    """Return what is remembered, by the model's name; nothing if it cannot be read."""
    try:
        return _Speeds.validate_json(_path().read_bytes())
    except (OSError, ValueError):
        return {}


def remember_speed(info: SegmenterInfo, ms: float) -> None:
    """Remember how fast a model ran, unless it was faster before on the same device.

    Where that cannot be written nothing happens: it is only good to know.
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
    path = _path()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(_Speeds.dump_json(speeds | {info.model: new}, indent=1))
        part.replace(path)
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _path() -> Path:
    return platformdirs.user_cache_path("greenroom") / "speeds.json"
