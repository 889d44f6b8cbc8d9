"""Metrics of several workers as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from greenroom.hosted.metrics import Metrics, SessionCounts
from greenroom.hosted.options import ServeOptions
from greenroom.hosted.workers.merged_metrics import MergedMetrics
from greenroom.hosted.workers.process import WORKER_HOST
from greenroom.hosted.workers.reports import WorkerReport
from greenroom.hosted.workers.worker import SessionWorker, worker_options

if TYPE_CHECKING:
    from collections.abc import Mapping


def text_of(frames: int, sessions: int) -> str:
    """Return the metrics of a worker that received some frames."""
    counts = SessionCounts(frames, frames)
    counts.drops["not taken"] = 3
    metrics = Metrics(lambda: [counts])
    metrics.sessions.set(sessions)
    metrics.note_refusal("full")
    metrics.observe_frame({"matting": 4.0}, 8.0)
    metrics.note_device("CPU")
    return metrics.text().decode()


def values(text: bytes) -> Mapping[str, float]:
    """Return samples by name and labels."""
    return {
        " ".join(
            [sample.name, *(sample.labels[one] for one in sorted(sample.labels))]
        ): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def workers() -> tuple[SessionWorker, ...]:
    """Return two workers that have reported."""
    options = ServeOptions()
    made = tuple(
        SessionWorker(worker_options(options, number, 2), "", lambda _: None) for number in range(2)
    )
    for worker, (frames, sessions) in zip(made, ((100, 1), (50, 2)), strict=True):
        worker.address = (WORKER_HOST, 1)
        worker.report = WorkerReport(cores_used=0.5, metrics=text_of(frames, sessions))
    return made


def test_samples_are_added_up() -> None:
    """Counters, gauges and histograms of all workers are summed; a device is listed once."""
    merged = MergedMetrics(workers())
    merged.note_refusal("full")
    told = values(merged.text())
    assert told["greenroom_frames_total in"] == 150
    assert told["greenroom_sessions"] == 3
    assert told["greenroom_refusals_total full"] == 3
    assert told["greenroom_drops_total not_taken"] == 6
    assert told["greenroom_frame_seconds_count"] == 2
    assert told["greenroom_stage_seconds_bucket 0.005 matting"] == 2
    assert told["greenroom_device_info CPU"] == 1
    assert told["greenroom_worker_up 1"] == 1
    assert told["greenroom_worker_cores 0"] == 0.5


def test_counts_of_an_ended_worker_stay() -> None:
    """No counter falls when a worker ends; what it had at the moment is gone."""
    made = workers()
    merged = MergedMetrics(made)
    last = made[1].report
    made[1].report, made[1].address = WorkerReport(), None
    merged.note_end(last.metrics, was_expected=False)
    told = values(merged.text())
    assert told["greenroom_frames_total in"] == 150
    assert told["greenroom_frame_seconds_count"] == 2
    assert told["greenroom_sessions"] == 1
    assert told["greenroom_worker_ends_total"] == 1
    assert told["greenroom_worker_up 1"] == 0
    merged.note_end(last.metrics, was_expected=True)
    again = values(merged.text())
    assert again["greenroom_frames_total in"] == 200
    assert again["greenroom_worker_ends_total"] == 1


def test_an_empty_text_is_no_fault() -> None:
    """A worker that has not reported yet adds nothing."""
    options = worker_options(ServeOptions(), 0, 1)
    told = values(MergedMetrics([SessionWorker(options, "", lambda _: None)]).text())
    assert told["greenroom_worker_up 0"] == 0
    assert "greenroom_sessions" not in told
