"""The report of a file counts what goes wrong, and the sheet shows the worst files first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from greenroom.archives.report import QualityMeter, QualityReport, SheetRow, write_sheet
from greenroom.engine.engine import VirtualBackground
from greenroom.media.frame import Frame
from greenroom.settings import Settings
from greenroom.testing import ROOM_RGB, Fault, FaultySegmenter, PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = (128, 72)
VALUES = Settings(background="color:teal", quality="fast", on_failure="cover", smoothing=0)


class Blinking(PersonSegmenter):
    """Finds a part of the person in every second frame only."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """Return coverage without its lower half in turn."""
        coarse = super().segment(frame)
        self._calls += 1
        if self._calls % 2:
            coarse[len(coarse) // 2 :] = 0
        return coarse


def measured(frames: Iterable[Frame], segmenter: PersonSegmenter, **values: Any) -> QualityReport:
    """Process frames, and return the report."""
    meter = QualityMeter()
    with VirtualBackground(VALUES.changed(**values), segmenter=segmenter) as engine:
        process = meter.watching(VirtualBackground.process)
        for frame in frames:
            process(engine, frame)
    return meter.report


def test_frames_that_fail_and_frames_of_nobody() -> None:
    """Covered frames are no frames without a person, and these have a valid matte."""
    person = PersonSource(SIZE, frames=20)
    room = Frame.filled(person.frame(0).layout, ROOM_RGB)
    frames = [
        person.frame(n) if n < 15 else room.copy().shown_at(n, person.info.time_base)
        for n in range(20)
    ]
    report = measured(frames, FaultySegmenter({0: Fault.RAISE, 1: Fault.NAN}))
    assert (report.frames, report.covered, report.without_person) == (20, 2, 5)
    assert set(report.faults) >= {"covered", "without a person"}


def test_flicker_is_what_comes_and_goes() -> None:
    """Somebody who sways makes next to none; a part that blinks does."""
    frames = list(PersonSource(SIZE, frames=24))
    steady = measured(frames, PersonSegmenter())
    blinking = measured(frames, Blinking())
    assert steady.flicker < 0.004
    assert blinking.flicker > 0.02
    assert "flicker" in blinking.faults
    assert "flicker" not in steady.faults


def test_thumbnails_are_spread_and_opaque() -> None:
    """There are six of a file of any length, in order, of what was written."""
    report = measured(PersonSource(SIZE, frames=100), PersonSegmenter(), background="transparent")
    assert len(report.thumbnails) == 6
    shown = [cv2.imdecode(np.frombuffer(one, np.uint8), 1) for one in report.thumbnails]
    assert {one.shape for one in shown if one is not None} == {(90, 160, 3)}
    assert measured([], PersonSegmenter()).thumbnails == ()


def test_segments_add_up() -> None:
    """The report of a video is that of its segments."""
    parts = [
        QualityReport(30, 3, 0, 0.001, tuple(bytes([n]) for n in range(6))),
        QualityReport(10, 0, 1, 0.005, tuple(bytes([n]) for n in range(6, 12))),
    ]
    whole = QualityReport.joined(parts)
    assert (whole.frames, whole.without_person, whole.covered) == (40, 3, 1)
    assert abs(whole.flicker - 0.002) < 1e-12
    assert list(whole.thumbnails) == sorted(whole.thumbnails)
    assert len(whole.thumbnails) == 6
    assert QualityReport.from_text(whole.to_text()) == whole
    assert whole.to_dict()["faults"] == ["without a person", "covered"]


def test_sheet_has_the_worst_first(tmp_path: Path) -> None:
    """Failures, then conspicuous files; names cannot add anything to the page."""
    rows = [
        SheetRow(f"good {n}.mp4", QualityReport(100, 0, 0, 0.0001, (b"jpeg",))) for n in range(250)
    ]
    rows += [
        SheetRow("empty.mp4", QualityReport(100, 90, 0, 0.0)),
        SheetRow("<script>.mp4", None, "it cannot be read & so on"),
    ]
    first = write_sheet(tmp_path / "sheet", rows)
    text = first.read_text()
    assert text.index("&lt;script&gt;.mp4") < text.index("empty.mp4") < text.index("good 0.mp4")
    assert "<script" not in text
    assert "it cannot be read &amp; so on" in text
    assert "page-2.html" in text
    assert (tmp_path / "sheet" / "page-2.html").is_file()
    assert len(list((tmp_path / "sheet" / "thumbnails").iterdir())) == 250
    write_sheet(tmp_path / "sheet", rows[:3])
    assert not (tmp_path / "sheet" / "page-2.html").exists()
    assert len(list((tmp_path / "sheet" / "thumbnails").iterdir())) == 3
