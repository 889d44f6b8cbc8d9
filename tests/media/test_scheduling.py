"""Scheduling that an encoder changes."""

from __future__ import annotations

import os
import sys
from fractions import Fraction

import av
import pytest

from greenroom.media.scheduling import keeping_scheduling
from greenroom.sinks.codecs import CODECS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="policies of threads are Linux's")


def policies() -> set[int]:
    """Return the scheduling policies of this process' threads."""
    return {os.sched_getscheduler(int(task)) for task in os.listdir("/proc/self/task")}  # noqa: PTH208


def test_an_encoder_of_av1_makes_no_real_time_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What SVT-AV1 does as root is undone, for its threads too."""
    for name, value in CODECS["av1"].environment:  # it reads them once
        monkeypatch.setenv(name, value)
    with keeping_scheduling():
        encoder = av.CodecContext.create("libsvtav1", "w")
        encoder.width, encoder.height, encoder.pix_fmt = 64, 64, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
        encoder.open()
    assert policies() == {os.SCHED_OTHER}
