"""Metrics of all workers as one text for Prometheus: samples of one name and labels are summed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from greenroom.hosted.workers.reached_worker import ReachedWorker

__all__ = ["MergedMetrics", "counts_alone", "merge"]

# Families whose samples only ever grow: what a worker counted stays when it has ended.
_GROWING: Final = ("counter", "histogram")


class MergedMetrics(Collector):
    """Metrics of the workers that run, of those that have ended, and of the process in front.

    Parameters
    ----------
    workers : sequence of ReachedWorker
        May change.

    State: the counts of workers that have ended, as text.
    """

    def __init__(self, workers: Sequence[ReachedWorker]) -> None:
        self._workers = workers
        self._ended = ""
        self._registry = CollectorRegistry()
        self._refusals = Counter(
            "greenroom_refusals",
            "Requests refused, by reason",
            ["reason"],
            registry=self._registry,
        )
        self._restarts = Counter(
            "greenroom_worker_ends",
            "Workers that ended though they should not have",
            registry=self._registry,
        )
        self._registry.register(self)

    def note_refusal(self, reason: str) -> None:
        """Count a request that was refused before it came to a worker."""
        self._refusals.labels(reason).inc()

    def note_end(self, text: str, *, was_expected: bool) -> None:
        """Keep the counts of a worker that has ended."""
        if not was_expected:
            self._restarts.inc()
        self._ended = counts_alone(self._ended, text)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        texts = [worker.report.metrics for worker in [*self._workers]]
        own = generate_latest(self._registry).decode()
        return _text(merge([own, self._ended, *texts])).encode()

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        running = GaugeMetricFamily(
            "greenroom_worker_up", "Whether a worker runs", labels=["worker"]
        )
        cores = GaugeMetricFamily(
            "greenroom_worker_cores", "Processors that a worker takes", labels=["worker"]
        )
        sessions = GaugeMetricFamily(
            "greenroom_worker_sessions", "Sessions of a worker", labels=["worker"]
        )
        for worker in [*self._workers]:
            label = [worker.name]
            running.add_metric(label, worker.address is not None)
            cores.add_metric(label, worker.report.cores_used)
            sessions.add_metric(label, worker.session_count)
        yield from (running, cores, sessions)


def counts_alone(*texts: str) -> str:
    """Return what only ever grows of several texts, added up."""
    return _text(one for one in merge(texts) if one.type in _GROWING)


def merge(texts: Iterable[str]) -> list[Metric]:
    """Return the families of several texts, their samples added up.

    Times of creation are not added: the earliest counts. What describes something, such as the
    device, is listed once.
    """
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            samples = values.setdefault(family.name, {})
            for sample in family.samples:
                key = (sample.name, tuple(sample.labels.items()))
                before = samples.get(key)
                samples[key] = _added(sample.name, before, sample.value)
    for name, family in families.items():
        for (sample_name, labels), value in values[name].items():
            family.add_sample(sample_name, dict(labels), value)
    return list(families.values())


def _added(name: str, before: float | None, value: float) -> float:
    if before is None:
        return value
    if name.endswith("_created"):
        return min(before, value)
    return max(before, value) if name.endswith("_info") else before + value


class _Families(Collector):
    """Families that were made before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        return self._families


def _text(families: Iterable[Metric]) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return generate_latest(registry).decode()
