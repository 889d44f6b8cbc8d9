"""Metrics for Prometheus: sessions, frames, drops, times and refusals."""

from __future__ import annotations

from collections import Counter as Counts
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.metrics_core import Metric

__all__ = ["Metrics", "SessionCounts"]

_MS: Final = 0.001
_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.25, 1.0)


class SessionCounts:
    """Counts of one session, or of several together.

    Attributes
    ----------
    frames_in, frames_out : int
        Frames that came, and that were sent.
    drops : Counter of str
        Frames that were not shown, by reason.
    """

    def __init__(self, frames_in: int = 0, frames_out: int = 0) -> None:
        self.frames_in = frames_in
        self.frames_out = frames_out
        self.drops: Counts[str] = Counts()

    def add(self, other: SessionCounts) -> None:
        """Add others."""
        self.frames_in += other.frames_in
        self.frames_out += other.frames_out
        self.drops.update(other.drops)


class Metrics(Collector):
    """Metrics of one service, in a registry of their own.

    Parameters
    ----------
    running : callable
        Returns the counts of the sessions that run; called on the thread that asks.

    State: counts of sessions that have ended. All methods may be called on any thread.
    """

    def __init__(self, running: Callable[[], Iterable[SessionCounts]]) -> None:
        self._running = running
        self._ended = SessionCounts()
        self._device = ""
        registry = self._registry = CollectorRegistry()
        self.sessions = Gauge("greenroom_sessions", "Sessions that run", registry=registry)
        self.viewers = Gauge("greenroom_viewers", "Viewers of sessions", registry=registry)
        self.capacity = Gauge("greenroom_sessions_max", "Most sessions", registry=registry)
        self.cpu = Gauge(
            "greenroom_cpu_share", "Share of all processors in use, 0 to 1", registry=registry
        )
        self.started = Counter("greenroom_sessions_started", "Sessions begun", registry=registry)
        self.refusals = Counter(
            "greenroom_refusals", "Requests refused, by reason", ["reason"], registry=registry
        )
        self._frame_s = Histogram(
            "greenroom_frame_seconds", "Time in the engine", buckets=_BUCKETS_S, registry=registry
        )
        self._stage_s = Histogram(
            "greenroom_stage_seconds",
            "Time of each stage of a frame",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._stages: dict[str, Histogram] = {}
        registry.register(self)

    def observe_frame(self, stages_ms: Mapping[str, float], frame_ms: float) -> None:
        """Count a frame of any session."""
        self._frame_s.observe(frame_ms * _MS)
        for name, time_ms in stages_ms.items():
            stage = self._stages.get(name)
            if stage is None:
                stage = self._stages[name] = self._stage_s.labels(name)
            stage.observe(time_ms * _MS)

    def note_refusal(self, reason: str) -> None:
        """Count a request that was refused."""
        self.refusals.labels(reason).inc()

    def session_ended(self, counts: SessionCounts) -> None:
        """Keep the counts of a session that is no longer running."""
        self._ended.add(counts)

    def note_device(self, device: str) -> None:
        """Note which model runs on which device."""
        self._device = device

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        total = SessionCounts()
        total.add(self._ended)
        for counts in self._running():
            total.add(counts)
        frames = CounterMetricFamily(
            "greenroom_frames", "Frames received and sent", labels=["direction"]
        )
        frames.add_metric(["in"], total.frames_in)
        frames.add_metric(["out"], total.frames_out)
        yield frames
        drops = CounterMetricFamily(
            "greenroom_drops", "Frames that were not shown, by reason", labels=["reason"]
        )
        for reason, count in sorted(total.drops.items()):
            drops.add_metric([reason.replace(" ", "_")], count)
        yield drops
        yield InfoMetricFamily("greenroom_device", "Where the model runs", {"device": self._device})
