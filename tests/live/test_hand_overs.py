"""Threads that change a session at the same time: nothing is left, and nobody sees the room."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from greenroom.errors import GreenroomError
from greenroom.testing import FakeCamera
from live.rig import DEADLINE_S, Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greenroom.settings import Settings
    from greenroom.sources import Source

pytestmark = pytest.mark.usefixtures("no_thread_left")


class Crowd:
    """Threads that each do something again and again; what they raise is the test's.

    Parameters
    ----------
    works : sequence of callable
        One for each thread. A GreenroomError ends nothing: a change may be refused.
    """

    def __init__(self, works: Sequence[Callable[[], object]]) -> None:
        self.faults: list[BaseException] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in works]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """End them all."""
        self._ended.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()
        assert self.faults == []

    def _run(self, work: Callable[[], object]) -> None:
        while not self._ended.is_set():
            try:
                work()
            except GreenroomError:
                continue
            except BaseException as error:
                self.faults.append(error)
                raise


def opener(cameras: dict[str, FakeCamera]) -> Callable[[Settings], Source]:
    """Return what opens the camera that settings name."""
    return lambda settings: cameras[settings.source].open()


def chooser(rig: Rig, source: str) -> Callable[[], None]:
    """Return what chooses a camera."""
    return lambda: rig.session.update(source=source)


@pytest.mark.parametrize("seed", range(4))
def test_everything_changes_at_once(seed: int) -> None:
    """Cover, settings, camera and its plug in any order: afterwards the person is shown again."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    cameras = {"first": FakeCamera(), "second": FakeCamera((96, 54))}

    def pause() -> None:
        time.sleep(chance.uniform(0, 0.05))

    def cover() -> None:
        rig.session.cover(on=chance.random() < 0.5)
        pause()

    def replace_camera() -> None:
        rig.session.update(source=chance.choice(["first", "second"]))
        pause()

    def change() -> None:
        rig.session.update(quality=chance.choice(["fast", "best"]), mirror=chance.random() < 0.5)
        pause()

    def plug() -> None:
        camera = cameras[chance.choice(["first", "second"])]
        camera.unplug()
        pause()
        camera.plug()
        pause()

    with Rig(watches=False, open_source=opener(cameras), source="first", governed=True) as rig:
        rig.until_shown()
        crowd = Crowd([cover, replace_camera, change, plug])
        time.sleep(1.5)
        crowd.end()
        rig.session.cover(on=False)
        rig.until_shown()
        rig.until_sent()
        assert rig.session.error is None
        assert rig.session.status().notices == ()
    assert rig.room_pixels == 0


def test_a_stop_in_the_middle_of_a_start() -> None:
    """Whenever it comes, everything ends, and the camera is closed."""
    for number in range(20):
        rig = Rig(watches=False, governed=True)
        starting = threading.Thread(target=rig.session.start)
        starting.start()
        time.sleep(0.001 * number)
        rig.session.stop()
        starting.join(DEADLINE_S)
        end_s = time.monotonic() + DEADLINE_S
        while rig.camera.is_open or any(one.is_alive() for one in rig.session.threads):
            assert time.monotonic() < end_s
            time.sleep(0.001)
        assert rig.room_pixels == 0


def test_a_stop_in_the_middle_of_a_change_of_camera() -> None:
    """Neither the camera before nor the one on trial stays open."""
    for number in range(8):
        cameras = {"first": FakeCamera(), "second": FakeCamera()}
        with Rig(watches=False, open_source=opener(cameras), source="first") as rig:
            rig.until_shown()
            crowd = Crowd([chooser(rig, "second"), chooser(rig, "first")])
            time.sleep(0.02 * number)
            rig.session.stop()
            crowd.end()
        assert not any(camera.is_open for camera in cameras.values())
