"""The page for operators: every metric is on it, and the files that it speaks of exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="the extra 'hosted' is not installed")

from prometheus_client.parser import text_string_to_metric_families

from greenroom.hosted.metrics import Metrics, SessionCounts
from greenroom.hosted.options import ServeOptions
from greenroom.hosted.workers.merged_metrics import MergedMetrics
from greenroom.hosted.workers.worker import SessionWorker, worker_options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hosted-operations.md").read_text()


def test_every_metric_is_described() -> None:
    """What /metrics has is on the page by the name that it has there, and nothing else."""
    counts = SessionCounts(1, 1)
    counts.drops["not taken"] = 1
    metrics = Metrics(lambda: [counts])
    metrics.note_refusal("full")
    metrics.observe_frame({"matting": 1.0}, 1.0)
    worker = SessionWorker(worker_options(ServeOptions(), 0, 1), "", lambda _: None)
    text = (metrics.text() + MergedMetrics([worker]).text()).decode()
    suffixes = {"counter": "_total", "info": "_info"}
    names = {
        family.name + suffixes.get(family.type, "")
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")
    }
    told = set(re.findall(r"`(greenroom_[a-z_]+)", PAGE))
    assert told == {name.replace("_info_info", "_info") for name in names}


def test_files_exist() -> None:
    """Every file of the folder that the page names is there, and each is named."""
    named = set(re.findall(r"deploy/([A-Za-z.]+)", PAGE))
    assert named == {path.name for path in (ROOT / "deploy").iterdir()}


def test_targets_exist() -> None:
    """Every target of the Makefile that the page names is there."""
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", PAGE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
