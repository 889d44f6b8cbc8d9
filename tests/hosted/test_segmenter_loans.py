"""Loans of segmenters: shared models, hung ones, and the end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom.engine.compute import Compute
from greenroom.errors import ModelError, ModelTimeoutError
from greenroom.hosted import segmenter_loans
from greenroom.hosted.segmenter_loans import SegmenterLoans
from greenroom.media.timings import Timings
from greenroom.segmenters import create_segmenter
from greenroom.settings import Settings
from greenroom.testing import PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.segmenters import Segmenter

FRAME = PersonSource((320, 240)).frame(0)


class Slow(PersonSegmenter):
    """Waits until it may go on, and counts how many run at once."""

    makes_mattes = False
    running = most = 0
    lock = threading.Lock()

    def __init__(self) -> None:
        super().__init__()
        self.going = threading.Event()
        self.going.set()

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        with self.lock:
            Slow.running += 1
            Slow.most = max(Slow.most, Slow.running)
        self.going.wait()
        coarse = super().segment(frame)
        with self.lock:
            Slow.running -= 1
        return coarse


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Slow]:
    """Return the segmenters that are made to be lent."""
    made: list[Slow] = []

    def create(_settings: Settings, _timings: Timings | None) -> Segmenter:
        made.append(Slow())
        return made[-1]

    monkeypatch.setattr(segmenter_loans, "create_segmenter", create)
    return made


def test_results_are_those_of_the_model() -> None:
    """What a session gets is what a segmenter of its own would give, with its stages' times."""
    settings, timings = Settings(), Timings()
    loans = SegmenterLoans()
    lent, own = loans.take(settings, timings), create_segmenter(settings)
    assert np.array_equal(lent.segment(FRAME), own.segment(FRAME))
    assert lent.info == own.info
    assert {"prepare", "invoke"} <= timings.latest.keys()
    own.close()
    lent.close()
    assert loans.count == 0


def test_sessions_share(made: list[Slow]) -> None:
    """Twenty sessions have two segmenters, closed with the last session."""
    loans = SegmenterLoans(most=2)
    sessions = [loans.take(Settings(), Timings()) for _ in range(20)]
    with ThreadPoolExecutor(20) as threads:
        results = list(threads.map(lambda one: one.segment(FRAME), sessions))
    assert all(np.array_equal(result, results[0]) for result in results)
    assert len(made) <= 2
    assert Slow.most <= 2
    for session in sessions:
        session.close()
        session.close()
    assert all(segmenter.closed for segmenter in made)


def test_each_model_has_its_own(made: list[Slow]) -> None:
    """Sessions with other models do not share."""
    loans = SegmenterLoans()
    first = loans.take(Settings(), Timings())
    second = loans.take(Settings(threads=2), Timings())
    assert len(made) == 2
    first.close()
    assert [segmenter.closed for segmenter in made] == [True, False]
    second.close()


def test_models_with_a_memory_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that makes mattes itself belongs to its session alone."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: PersonSegmenter())
    loans = SegmenterLoans()
    first, second = (loans.take(Settings(), Timings()) for _ in range(2))
    assert first is not second
    assert isinstance(first, PersonSegmenter)
    assert loans.count == 0


def test_hung_one_is_replaced(made: list[Slow], monkeypatch: pytest.MonkeyPatch) -> None:
    """While one hangs others wait for a while, and then get another one; no session is stuck."""
    monkeypatch.setattr(segmenter_loans, "_WAIT_S", 0.05)
    loans = SegmenterLoans(most=1)
    hung, other = (loans.take(Settings(), Timings()) for _ in range(2))
    made[0].going.clear()
    thread = threading.Thread(target=hung.segment, args=(FRAME,))
    thread.start()
    while not Slow.running:
        pass
    with pytest.raises(ModelTimeoutError, match="in use by other sessions"):
        other.segment(FRAME)
    monkeypatch.setattr(segmenter_loans, "_HUNG_S", 0.0)
    assert other.segment(FRAME).shape == (36, 64)
    assert len(made) == 2
    made[0].going.set()
    thread.join()
    assert made[0].closed
    hung.close()
    other.close()
    assert made[1].closed


def test_sessions_on_a_gpu_meet_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the device ``cuda`` all sessions share one model, also one that remembers."""
    made: list[FakePool] = []

    class FakePool:
        """Counts its streams."""

        def __init__(
            self, settings: Settings, *, compute: object, on_unused: Callable[[], None]
        ) -> None:
            assert compute is gpu
            self.settings, self.on_unused = settings, on_unused
            self.count, self.closed, self.fails = 0, False, False
            made.append(self)

        def segmenter(self, _: Timings) -> Segmenter:
            """Return one that knows when it is closed."""
            if self.fails:
                message = "no memory"
                raise ModelError(message)
            pool = self

            class Stream(PersonSegmenter):
                def close(self) -> None:
                    pool.count -= 1
                    if not pool.count:
                        pool.on_unused()

            self.count += 1
            return Stream()

        def close(self) -> None:
            """See `SegmenterPool.close`."""
            self.closed = True

    gpu: Any = object()
    monkeypatch.setattr(segmenter_loans, "choose", lambda _: Compute(gpu))
    monkeypatch.setattr(segmenter_loans, "SegmenterPool", FakePool)
    loans, settings = SegmenterLoans(), Settings(device="cuda")
    first, second = (loans.take(settings, Timings()) for _ in range(2))
    other = loans.take(settings.changed(threads=2), Timings())
    assert [pool.count for pool in made] == [2, 1]
    first.close()
    assert not made[0].closed
    made[0].fails = True
    with pytest.raises(ModelError):
        loans.take(settings, Timings())
    assert not made[0].closed
    second.close()
    other.close()
    assert all(pool.closed for pool in made)
    assert loans.take(settings, Timings()) is not first
    assert len(made) == 3
