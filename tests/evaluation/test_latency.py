"""The live benchmark, through the real threads."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from greenroom.errors import SourceError
from greenroom.evaluation.latency import DrawnCamera, measure_live
from greenroom.settings import Settings
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from greenroom.sources.source import Source


def test_a_camera_is_measured_and_then_its_source_alone() -> None:
    """Frames reach the sink, later than they were taken, and both runs have their CPU time."""
    opened: list[Source] = []

    def open_source(_: Settings) -> Source:
        opened.append(DrawnCamera.of_person((320, 180), Fraction(20)))
        return opened[-1]

    told: list[int] = []
    report = measure_live(
        Settings(background="color:teal"), open_source, 1.0, on_second=lambda s, _: told.append(s)
    )
    assert len(opened) == 2
    assert told == [1]
    assert 1 <= report.frames <= 40
    assert 0 < report.latency_ms["p50"] <= report.latency_ms["max"]
    assert report.cpu_percent > report.decoder_percent >= 0


def test_a_source_that_ends_is_an_error() -> None:
    """It is told to loop, or to be measured for less."""
    with pytest.raises(SourceError, match="--loop"):
        measure_live(
            Settings(background="color:teal"), lambda _: PersonSource((320, 180), frames=2), 1.0
        )
