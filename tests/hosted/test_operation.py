"""Admission, metrics and logs: what an operator relies on."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections import Counter

import pytest

from greenroom.hosted.admission import Load, RateLimit, measure_capacity
from greenroom.hosted.logs import JsonFormatter, session_log
from greenroom.hosted.metrics import Metrics, SessionCounts
from greenroom.live.status import Status
from greenroom.settings import Settings


def test_capacity_is_measured() -> None:
    """It is at least one, and follows from what a frame takes."""
    assert 1 <= measure_capacity(Settings(), 2.0) < 1000


@pytest.mark.parametrize(
    ("rates", "cpu_s", "expected"),
    [
        ([(30, 30), (30, 29)], 0.0, False),
        ([(30, 20), (30, 19), (30, 30)], 0.0, True),
        ([(30, 20), (30, 30), (30, 30)], 0.0, False),
        ([(0, 0)], 0.0, False),
        ([(30, 30)], 1e6, True),
    ],
)
def test_load(rates: list[tuple[float, float]], cpu_s: float, expected: bool) -> None:
    """It is high if most sessions lose frames, or no processor is idle, at two looks."""
    spent_s = iter((0.0, cpu_s, 2 * cpu_s))
    load = Load(2.0, lambda: next(spent_s))
    statuses = [Status(rate_in=came, rate_out=left) for came, left in rates]
    for _ in range(2):
        assert not load.is_high
        load.look(statuses)
    assert load.is_high is expected


def test_rate_limit() -> None:
    """A client has a burst, then its rate; others are not affected, and memory is bounded."""
    now_s = 100.0
    limit = RateLimit(2.0, 3, lambda: now_s)
    assert [limit.allows("anna") for _ in range(4)] == [True, True, True, False]
    assert limit.allows("ben")
    now_s += 0.5
    assert [limit.allows("anna") for _ in range(2)] == [True, False]
    admitted = sum(limit.allows(f"client {number}") for number in range(10_000))
    assert admitted < 5000
    now_s += 100
    assert limit.allows("another")


def test_metrics_count_what_ended_too() -> None:
    """Frames and drops of sessions that have ended stay in the sums."""
    running = SessionCounts(10, 8)
    running.drops = Counter({"half rate": 2})
    metrics = Metrics(lambda: [running])
    ended = SessionCounts(100, 90)
    ended.drops = Counter({"half rate": 5, "late": 1})
    metrics.session_ended(ended)
    metrics.observe_frame({"segment": 3.0}, 7.0)
    metrics.refusals.labels("full").inc()
    metrics.note_device("model on cpu")
    lines = metrics.text().decode().splitlines()
    for line in (
        'greenroom_frames_total{direction="in"} 110.0',
        'greenroom_frames_total{direction="out"} 98.0',
        'greenroom_drops_total{reason="half_rate"} 7.0',
        'greenroom_drops_total{reason="late"} 1.0',
        'greenroom_refusals_total{reason="full"} 1.0',
        'greenroom_device_info{device="model on cpu"} 1.0',
        'greenroom_stage_seconds_bucket{le="0.005",stage="segment"} 1.0',
        'greenroom_frame_seconds_bucket{le="0.005"} 0.0',
        'greenroom_frame_seconds_bucket{le="0.01"} 1.0',
    ):
        assert line in lines


def test_services_do_not_share_metrics() -> None:
    """Two services in one process count for themselves."""
    first, second = Metrics(list), Metrics(list)
    first.started.inc()
    assert "greenroom_sessions_started_total 1.0" in first.text().decode()
    assert "greenroom_sessions_started_total 0.0" in second.text().decode()


def test_logs_are_json_with_sessions() -> None:
    """A line says its session, by itself or by its thread, and an error with its traceback."""
    own = threading.get_ident()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(lambda thread: "by-thread" if thread == own else ""))
    logger = logging.getLogger("greenroom.hosted.test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    session_log(logger, "by-itself").info("a %s", "message")
    logger.warning("another\nline")
    try:
        int("x")
    except ValueError as error:
        logger.exception("failed: %s", error)
    logger.removeHandler(handler)
    first, second, third = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["session"], first["message"], first["level"]) == (
        "by-itself",
        "a message",
        "info",
    )
    assert second["session"] == "by-thread"
    assert third["error"].startswith("ValueError: invalid literal")
    assert "Traceback" in third["traceback"]
