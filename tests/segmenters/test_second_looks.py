"""Looks of a second model on a thread of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.segmenters import Segmenter
from greenroom.segmenters.second_looks import SecondLooks

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT = Layout(8, 6, "gray")


class Waiting(Segmenter):
    """Answers with a frame's luma, once it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.answer: Any = None
        self.threads: list[threading.Thread] = []

    def segment(self, frame: Frame) -> Any:
        """See `Segmenter.segment`."""
        self.threads.append(threading.current_thread())
        assert self.may.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return frame.planes[0] / np.float32(255) if self.answer is None else self.answer


@pytest.fixture
def model() -> Iterator[Waiting]:
    """Return a segmenter that is not held up in the end."""
    made = Waiting()
    yield made
    made.may.set()


def looks_of(model: Waiting) -> SecondLooks:
    """Return looks for every fourth frame."""
    looks = SecondLooks(model, np.maximum)
    looks.every = 4
    return looks


def answered(looks: SecondLooks) -> Any:
    """Wait for the answer."""
    end_s = time.monotonic() + 10
    while (answer := looks.answer()) is None and time.monotonic() < end_s and not looks.has_failed:
        time.sleep(0.001)
    return answer


def test_a_look_is_answered_later_by_a_copy(model: Waiting) -> None:
    """The frame may change after the call; the answer is of what it was, and comes once."""
    looks = looks_of(model)
    assert looks.is_free
    frame = Frame.filled(LAYOUT, (100, 100, 100))
    expected = frame.planes[0] / np.float32(255)
    looks.look(frame)
    frame.planes[0][...] = 0
    waits = looks.is_free, looks.answer()
    assert waits == (False, None)
    model.may.set()
    np.testing.assert_array_equal(answered(looks), expected)
    assert looks.is_free
    assert looks.answer() is None
    assert model.threads[0] is not threading.current_thread()
    assert looks.each_s >= 0
    assert looks.close()


@pytest.mark.parametrize(
    "answer", [ValueError("broken"), np.full((2, 2), np.nan, np.float32), np.zeros((2, 2, 3))]
)
def test_a_failure_ends_the_looks(
    model: Waiting, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An error, or an answer that is no matte, is told once, and nothing is asked any more."""
    looks = looks_of(model)
    model.answer = answer
    model.may.set()
    looks.look(Frame.filled(LAYOUT, (100, 100, 100)))
    assert answered(looks) is None
    assert not looks.is_free
    assert looks.has_failed
    assert "the first goes on alone" in caplog.text
    assert looks.close()


def test_one_that_hangs_is_left_behind(model: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing does not wait for ever, and says that the model is still used."""
    monkeypatch.setattr("greenroom.segmenters.second_looks._CLOSE_S", 0.05)
    looks = looks_of(model)
    looks.look(Frame.filled(LAYOUT, (100, 100, 100)))
    assert looks.answer() is None
    assert not looks.close()
