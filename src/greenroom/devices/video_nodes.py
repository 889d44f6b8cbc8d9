"""Video4Linux device nodes as listed in ``/sys``."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["SYSFS", "VideoNode", "video_nodes"]

SYSFS: Final = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class VideoNode:
    """A device node.

    Attributes
    ----------
    number : int
        N of ``/dev/videoN``.
    path : str
        The device file.
    name : str or None
        Name given by the driver; None if it cannot be read.
    index : int
        Place among the nodes of one device: a camera's pictures come from its first node.
    is_virtual : bool
        Whether it belongs to no hardware.
    """

    number: int
    path: str
    name: str | None
    index: int
    is_virtual: bool


def video_nodes(sysfs: Path = SYSFS) -> list[VideoNode]:
    """List the nodes in a folder of ``/sys`` by number; none on systems without such a folder."""
    with suppress(OSError):
        entries = [
            (int(found[1]), entry)
            for entry in sysfs.iterdir()
            if (found := re.fullmatch(r"video(\d+)", entry.name))
        ]
        return [_node(entry, number) for number, entry in sorted(entries)]
    return []


def _node(entry: Path, number: int) -> VideoNode:
    name, index = None, 0
    with suppress(OSError):
        name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
    with suppress(OSError, ValueError):
        index = int((entry / "index").read_text(encoding="ascii"))
    is_virtual = "/devices/virtual/" in os.path.realpath(entry)
    return VideoNode(number, f"/dev/{entry.name}", name, index, is_virtual)
