"""What a batch tells the machines of a cluster, and how these are divided among its workers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greenroom.archives.inputs import MISSING
from greenroom.archives.jobs import WORKER_BYTES
from greenroom.archives.setting_files import with_paths
from greenroom.settings.choices import Device

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from greenroom.archives.inputs import Recording
    from greenroom.archives.storage import Entry
    from greenroom.archives.tasks import Task

__all__ = ["Job", "Place", "Share", "everywhere", "job_of", "share_of"]

# Units that share a card: while one decodes or encodes, others have it. Not measured.
_MOST_UNITS_A_CARD: Final = 4
# Inputs that every machine is asked for: one that lacks the storage would fail all files.
_SAMPLE: Final = 3


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker of a run is told at its start.

    Attributes
    ----------
    version : str
        That of greenroom in front.
    settings : dict
        Settings of most files by name, as JSON has them, for which engines are made ready.
    inputs : tuple of Entry
        Some inputs, of which it has to see one as it is here.
    mark : str
        Path or address of a file in the output folder; empty in a rehearsal.
    content : bytes
        Its content.
    """

    version: str
    settings: dict[str, Any]
    inputs: tuple[Entry, ...]
    mark: str = ""
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Share:
    """How a machine is divided.

    Attributes
    ----------
    workers : int
        Number of workers; 0 if it cannot be used.
    processors, cards : int
        What each of them takes, in Ray's resources CPU and GPU.
    units : int
        Units that each does at a time.
    """

    workers: int
    processors: int
    cards: int = 0
    units: int = 1


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one worker.

    Attributes
    ----------
    machine : str
        Address of its machine, for messages.
    number : int
        One that no other worker of the machine has, from 0 on.
    share : Share
        Of the machine.
    total : int
        Processors of the machine that are Ray's.
    """

    machine: str
    number: int
    share: Share
    total: int


def share_of(resources: Mapping[str, float], device: Device, processors: int) -> Share:
    """Divide a machine.

    Parameters
    ----------
    resources : mapping
        Ray's, of the machine: CPU, GPU, memory in bytes.
    device : Device
        Where models run. With `Device.AUTO`, a machine with GPUs has a worker for each of them.
    processors : int
        What a worker takes of a machine without GPUs.

    >>> share_of({"CPU": 8, "memory": 3 << 30}, Device.AUTO, 1)
    Share(workers=4, processors=1, cards=0, units=1)
    >>> share_of({"CPU": 16, "GPU": 2, "memory": 64 << 30}, Device.AUTO, 1)
    Share(workers=2, processors=8, cards=1, units=4)
    >>> share_of({"CPU": 8, "memory": 64 << 30}, Device.CUDA, 1).workers
    0
    """
    total, cards = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    if (device is Device.AUTO or device.is_nvidia) and cards and total:
        each = max(1, total // cards)
        return Share(min(cards, total), each, 1, min(_MOST_UNITS_A_CARD, each))
    if device.is_nvidia or total < processors:
        return Share(0, processors)
    by_memory = int(resources.get("memory", 0)) // WORKER_BYTES
    return Share(max(1, min(total // processors, by_memory)), processors)


def job_of(found: Sequence[Recording], version: str, mark: tuple[str, bytes] = ("", b"")) -> Job:
    """Return what workers are told of some recordings; see `Job` for the rest."""
    chosen = Counter(
        json.dumps(values, sort_keys=True)
        for values in (one.settings.model_dump(mode="json", exclude_unset=True) for one in found)
    )
    there = [one.input for one in found if one.input.fingerprint != MISSING]
    places = {number * (len(there) - 1) // (_SAMPLE - 1) for number in range(_SAMPLE)}
    inputs = tuple(there[place] for place in sorted(places)) if there else ()
    return Job(version, _with_whole_paths(json.loads(chosen.most_common(1)[0][0])), inputs, *mark)


def everywhere(task: Task) -> Task:
    """Return a task whose settings name files by whole paths."""
    return replace(task, settings=_with_whole_paths(task.settings))


def _with_whole_paths(settings: dict[str, Any]) -> dict[str, Any]:
    return with_paths(settings, Path.cwd())
