"""Live benchmark: latency from capture to sink, CPU time and memory of a real session."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from greenroom.engine.engine import VirtualBackground
from greenroom.errors import SourceError
from greenroom.live.parts import SessionParts
from greenroom.live.session import Session
from greenroom.media.source_info import SourceInfo
from greenroom.sinks.null_sink import NullSink
from greenroom.sources.realtime import MICROSECOND
from greenroom.sources.source import Source
from greenroom.sources.synthetic_person import PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from fractions import Fraction

    from greenroom.live.outlets import Outlet
    from greenroom.live.steering import Steering
    from greenroom.matting import Cadence
    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

__all__ = ["DrawnCamera", "LiveReport", "measure_live", "resident_mib"]

# Kernels load and cameras open during the warm-up, which is not measured.
_WARM_UP_S: Final = 1.0
# Longest run of the source alone.
_SOURCE_ALONE_S: Final = 20.0
# Number of different pictures of a drawn camera.
_PICTURES: Final = 30


@dataclass(frozen=True, slots=True)
class LiveReport:
    """Results of a live benchmark.

    Attributes
    ----------
    seconds : float
        Length of the measurement.
    frames : int
        Frames that reached the sink.
    dropped : dict
        Dropped frames by reason.
    latency_ms : dict
        ``p50``, ``p95``, ``p99`` and ``max``: from a frame's capture to its arrival in the sink.
    cpu_percent, decoder_percent : float
        CPU time of the whole process and of the source alone, in % of one core.
    memory_mib : float or None
        Growth of resident memory since the warm-up, in MiB.
    threads : int
        Growth of the number of threads since the warm-up.
    """

    seconds: float
    frames: int
    dropped: dict[str, int]
    latency_ms: dict[str, float]
    cpu_percent: float
    decoder_percent: float
    memory_mib: float | None
    threads: int


class DrawnCamera(Source):
    """A camera that repeats prepared frames in real time, at almost no cost.

    Parameters
    ----------
    pictures : sequence of Frame
        Of one layout.
    rate : Fraction
        Frames a second.
    """

    def __init__(self, pictures: Sequence[Frame], rate: Fraction) -> None:
        self._pictures = pictures
        self._closed = False
        width, height = pictures[0].size
        self.info = SourceInfo(
            "drawn", rate, MICROSECOND, negotiated=f"{width}x{height}, {float(rate):g} frames/s"
        )

    @classmethod
    def of_person(cls, size: tuple[int, int], rate: Fraction) -> Self:
        """Return a camera that shows the synthetic person, swaying."""
        person = PersonSource(size)
        return cls([person.frame(number) for number in range(_PICTURES)], rate)

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        period_s = 1 / float(self.info.rate)
        due_s = time.monotonic()
        number = 0
        while not self._closed:
            due_s += period_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            picture = self._pictures[number % len(self._pictures)]
            yield picture.shown_at(time.monotonic_ns() // 1000, MICROSECOND)
            number += 1

    def close(self) -> None:
        """See `Source.close`."""
        self._closed = True


def measure_live(
    settings: Settings,
    open_source: Callable[[Settings], Source],
    seconds: float,
    steering: Steering | None = None,
    on_second: Callable[[int, dict[str, float]], None] | None = None,
    *,
    cadence: Cadence | None = None,
) -> LiveReport:
    """Measure a session that writes to a null sink, and then its source alone.

    Parameters
    ----------
    settings : Settings
        Settings of the session.
    open_source : callable
        Opens the source; called twice.
    seconds : float
        Length of each of the two runs.
    steering : Steering, optional
        Passed to the session: lets the governor adapt the quality.
    on_second : callable, optional
        Called every second with the seconds passed and the latest frames' latency to the gate,
        as in `Status`.
    cadence : Cadence, optional
        Replaces the cadence of the chosen quality.

    Raises
    ------
    GreenroomError
        If the source cannot be opened, or ends too early.
    """
    engine = VirtualBackground(settings)
    if cadence is not None:
        engine.cadence = cadence
    parts = SessionParts(engine, [NullSink()], open_source, steering=steering)
    session = Session(settings, parts)
    session.start()
    try:
        while not session.outlets[0].status.frames and not session.ended.wait(0.01):
            pass
        session.ended.wait(_WARM_UP_S)
        baseline = _Baseline(session)
        for passed in range(int(seconds)):
            if session.ended.wait(1.0):
                break
            if on_second is not None:
                on_second(passed + 1, session.measures.summary()["latency_ms"])
        session.ended.wait(seconds % 1)
        if session.error is not None:
            raise session.error
        if session.ended.is_set():
            message = f"the source ended within {seconds:g} s. Loop it (--loop), or measure less."
            raise SourceError(message)
        report = baseline.report()
        session.stop()
        alone = _cpu_of_source(open_source(settings), min(seconds, _SOURCE_ALONE_S))
        return replace(report, decoder_percent=alone)
    finally:
        session.stop()


class _Baseline:
    """Counters of a session after the warm-up, to be subtracted from later ones."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._outlet: Outlet = session.outlets[0]
        self._frames = self._outlet.status.frames
        self._drops = session.status().drops
        self._outlet.latencies_s.clear()
        self._memory_mib = resident_mib()
        self._threads = threading.active_count()
        self._cpu_s, self._begun_s = time.process_time(), time.monotonic()

    def report(self) -> LiveReport:
        """Return the session's results since then, without the source alone."""
        seconds = time.monotonic() - self._begun_s
        cpu_s = time.process_time() - self._cpu_s
        status = self._outlet.status
        drops = {
            name: count - self._drops.get(name, 0)
            for name, count in self._session.status().drops.items()
        }
        memory_mib, before_mib = resident_mib(), self._memory_mib
        grown = None if memory_mib is None or before_mib is None else memory_mib - before_mib
        threads = threading.active_count() - self._threads
        latencies_ms = 1000 * np.array(self._outlet.latencies_s or [np.nan])
        return LiveReport(
            seconds=round(seconds, 2),
            frames=status.frames - self._frames - status.repeated,
            dropped={name: count for name, count in drops.items() if count},
            latency_ms=_percentiles(latencies_ms),
            cpu_percent=round(100 * cpu_s / seconds, 1),
            decoder_percent=0.0,
            memory_mib=None if grown is None else round(grown, 1),
            threads=threads,
        )


def _percentiles(times_ms: Any) -> dict[str, float]:
    found = {f"p{share}": float(np.percentile(times_ms, share)) for share in (50, 95, 99)}
    return {name: round(value, 2) for name, value in {**found, "max": times_ms.max()}.items()}


def _cpu_of_source(source: Source, seconds: float) -> float:
    """Run a source alone, and return its CPU time in % of one core."""
    cpu_s, begun_s = time.process_time(), time.monotonic()
    for _ in source:
        if time.monotonic() - begun_s >= seconds:
            break
    passed_s = time.monotonic() - begun_s
    source.close()
    return round(100 * (time.process_time() - cpu_s) / passed_s, 1)


def resident_mib() -> float | None:
    """Return the resident memory in MiB; None without Linux's /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return None
    return pages * 4096 / 2**20
