"""Status snapshot of a live session, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["CaptureState", "CaptureStatus", "OutletStatus", "Showing", "Status"]


class CaptureState(StrEnum):
    """State of the camera."""

    CLOSED = "closed"
    OPENING = "opening"
    RUNNING = "running"
    LOST = "lost"
    FAILED = "failed"
    ENDED = "ended"


class Showing(StrEnum):
    """Kind of picture that is being sent."""

    PERSON = "person"
    COVER = "cover"
    CAMERA = "camera"


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """Status of the camera.

    Attributes
    ----------
    name : str
        The source, as it was named or as the device calls itself.
    state : CaptureState
        ``closed`` while nobody looks, ``lost`` while it is being looked for again, ``failed``
        when it was given up, ``ended`` after the last frame of a file.
    negotiated : str
        What it gives, such as ``1280x720 MJPEG, 30 frames/s``.
    error : str
        Why it is lost or failed, with what to do; empty otherwise.
    """

    name: str = ""
    state: CaptureState = CaptureState.CLOSED
    negotiated: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class OutletStatus:
    """Status of one output.

    Attributes
    ----------
    name : str
        Such as ``camera``, ``page`` or ``file:out.mp4``.
    device : str
        What it is, as others see it.
    state : str
        ``waiting`` for the first frame, ``running``, ``stalled``, ``failed`` or ``closed``.
    readers : int or None
        How many look at it; None where that cannot be told.
    frames, repeated, dropped : int
        Frames that it took, how many of these it had had before, and that it was too slow for.
    error : str
        What went wrong last, with what to do; empty if nothing did.
    got : Showing or None
        What it got last, as far as that is known; None before the first frame.
    """

    name: str
    device: str = ""
    state: str = "waiting"
    readers: int | None = None
    frames: int = 0
    repeated: int = 0
    dropped: int = 0
    error: str = ""
    got: Showing | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Status of a live session.

    Attributes
    ----------
    showing : Showing
        What is being sent.
    reason : str
        Why it is the cover: ``key`` (somebody asked for it), ``start``, ``camera``, ``failure``,
        ``late`` or ``asleep``; empty otherwise.
    message : str
        The same as a sentence, with what to do.
    covered : bool
        Whether somebody asked for the cover.
    without_cover : tuple of str
        Places that have not got it yet then: what they showed last may still be seen there.
    asleep : bool
        Whether the camera is closed because nobody looks.
    capture : CaptureStatus
        The camera.
    outlets : tuple of OutletStatus
        Where the picture goes.
    size : (int, int) or None
        Width and height of what is sent.
    rate_in, rate_out : float
        Frames a second that come, and that are made, over the last seconds.
    drops : dict
        Frames that were not shown, by reason.
    latency_ms : dict
        ``p50`` and ``p99`` from a frame's capture to when it was ready to leave.
    stages_ms : dict
        The median milliseconds of every stage.
    cpu_percent : float
        CPU time of this process, in % of one core.
    device : str
        Which model ran, by which library, on which device; and where the rest was done, if that
        was a GPU.
    plan : str
        What the governor chose.
    plan_reason : str
        Why.
    notices : tuple of str
        What the user has to know or to do for the settings to have their effect.
    """

    showing: Showing = Showing.COVER
    reason: str = "start"
    message: str = ""
    covered: bool = False
    without_cover: tuple[str, ...] = ()
    asleep: bool = False
    capture: CaptureStatus = CaptureStatus()
    outlets: tuple[OutletStatus, ...] = ()
    size: tuple[int, int] | None = None
    rate_in: float = 0.0
    rate_out: float = 0.0
    drops: dict[str, int] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    stages_ms: dict[str, float] = field(default_factory=dict)
    cpu_percent: float = 0.0
    device: str = ""
    plan: str = ""
    plan_reason: str = ""
    notices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)
