"""What a worker is given and what it answers: plain values, for a process or another machine."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from greenroom.errors import DeviceError, ModelTimeoutError, SeamError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.archives.manifest import Made
    from greenroom.archives.planner import Unit
    from greenroom.archives.storage import Entry

__all__ = ["Failed", "Fault", "Finished", "Lost", "News", "Progress", "Said", "Task", "fault_of"]

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT))
_DENIED: Final = frozenset((errno.EACCES, errno.EPERM))
# Networks, network folders, and a machine that has too little of something at the moment. Errors of
# FFmpeg have these numbers, too, or others.
_PASSING: Final = frozenset(
    (
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED),
        *(errno.ECONNABORTED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPIPE, errno.EAGAIN),
        *(errno.EBUSY, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENETDOWN),
    )
)
_PASSING_ERRORS: Final = (
    ConnectionError,
    TimeoutError,
    MemoryError,
    DeviceError,
    ModelTimeoutError,
)


class Fault(StrEnum):
    """Reason why a unit failed, by what helps."""

    FILE = "file"
    """The file itself: another attempt would fail alike."""
    PASSING = "passing"
    """A network, a device, the worker: another attempt may succeed."""
    MACHINE = "machine"
    """The machine was lost: that is no attempt."""
    DENIED = "denied"
    """The storage refuses: so it may for all files."""
    FULL = "full"
    """There is no space left: for no file."""
    SEAM = "seam"
    """Segments of a file do not fit together: it is done as a whole."""


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of work, with all that a worker needs for it.

    Attributes
    ----------
    unit : Unit
    input : str
        Path or address.
    target : str
        Path or address for the result: a name of this attempt's own.
    shown : str
        Name for messages.
    settings : dict
        Settings by name, as JSON has them; those that are not the default.
    size : int
        Of the input, in bytes.
    limit : int
        Frames after which to stop, for a sample, of which nothing is kept; 0 for all.
    segment_s : float
        Of a split: length of segments to aim at, in seconds.
    segment : str
        Of a segment: where it begins and ends, as JSON.
    parts : tuple of str
        Of a join: paths or addresses of the segments' results, in order.
    fingerprint : str
        Of a segment and a join: that of the input that was divided.
    """

    unit: Unit
    input: str
    target: str
    shown: str
    settings: dict[str, Any]
    size: int = 0
    limit: int = 0
    segment_s: float = 0.0
    segment: str = ""
    parts: tuple[str, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A unit is done.

    Attributes
    ----------
    unit : Unit
    made : Made or None
        The result; None if the unit leaves none.
    input : Entry
        What the input was.
    summary : dict
        What `greenroom convert --json` prints of it.
    expected : int or None
        Frames of the whole input, if that is known.
    segments : tuple of str
        Of a split: where the file is divided, as JSON.
    quality : str
        Of a file: its quality report, as `QualityReport.to_text`.
    """

    unit: Unit
    made: Made | None
    input: Entry
    summary: dict[str, Any]
    expected: int | None = None
    segments: tuple[str, ...] = ()
    quality: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A unit failed.

    Attributes
    ----------
    unit : Unit
    fault : Fault
    message : str
        What happened, and what to do.
    """

    unit: Unit
    fault: Fault
    message: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker ended, or hung and was ended, while it did a unit.

    Attributes
    ----------
    unit : Unit
    message : str
        What happened.
    with_machine : bool
        Whether its machine is lost, for which the file is hardly the reason.
    """

    unit: Unit
    message: str
    with_machine: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """A unit goes on: so many frames of so many, or None if that is not known."""

    unit: Unit
    done: int
    expected: int | None


@dataclass(frozen=True, slots=True)
class Said:
    """A message about a unit for the user; ``level`` is that of `logging`."""

    unit: Unit
    level: int
    message: str


News = Finished | Failed | Lost | Progress | Said
"""What comes from workers."""


def fault_of(error: BaseException) -> Fault:
    """Return the kind of fault behind an error.

    >>> fault_of(OSError(errno.ENOSPC, "no space left on device"))
    <Fault.FULL: 'full'>
    >>> fault_of(PermissionError(13, "access denied"))
    <Fault.DENIED: 'denied'>
    >>> fault_of(ConnectionResetError())
    <Fault.PASSING: 'passing'>
    >>> fault_of(ValueError("no video in it"))
    <Fault.FILE: 'file'>
    """
    for one in _behind(error):
        number = getattr(one, "errno", None)
        if number in _FULL:
            return Fault.FULL
        if number in _DENIED or isinstance(one, PermissionError):
            return Fault.DENIED
        if isinstance(one, SeamError):
            return Fault.SEAM
        # A plain OSError is of a storage: see `greenroom.archives.storage`.
        is_of_storage = type(one) is OSError and number is None
        if number in _PASSING or is_of_storage or isinstance(one, _PASSING_ERRORS):
            return Fault.PASSING
    return Fault.FILE


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__
