"""What a worker's process does with itself."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenroom.hosted.options import Part
from greenroom.hosted.workers.process import take_processor

if not hasattr(os, "sched_getaffinity"):
    pytest.skip("this system does not bind threads to processors", allow_module_level=True)


def processors_of(part: Part) -> set[int]:
    """Return the processors that a thread has after it took those of a part."""

    def taken() -> set[int]:
        take_processor(part)
        return os.sched_getaffinity(0)

    with ThreadPoolExecutor(1) as threads:  # a thread's processors are its own
        return threads.submit(taken).result()


def test_each_worker_has_a_processor() -> None:
    """If there are as many as processors, or more."""
    processors = sorted(os.sched_getaffinity(0))
    for count in (len(processors), 2 * len(processors)):
        taken = [processors_of(Part(count, str(number))) for number in range(count)]
        assert taken == count // len(processors) * [{one} for one in processors]


@pytest.mark.parametrize("name", ["", "a1b2"])
def test_others_keep_all(name: str) -> None:
    """A process that is the only one, and one of a cluster, which has no number."""
    every = os.sched_getaffinity(0)
    assert processors_of(Part(len(every), name)) == every


def test_fewer_workers_keep_all() -> None:
    """Each of them has more than one processor then."""
    every = os.sched_getaffinity(0)
    if len(every) > 1:
        assert processors_of(Part(len(every) - 1, "0")) == every
