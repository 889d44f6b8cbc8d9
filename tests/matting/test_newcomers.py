"""Who begins to be found is believed only when every look finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from greenroom.matting.newcomers import Newcomers
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.matting.newcomers import LookAt

    Floats = NDArray[np.float32]

SHAPE: Final = 120, 160


@pytest.fixture
def frame() -> Frame:
    """Return a gray frame whose half grid has `SHAPE`."""
    layout = Layout(2 * SHAPE[1], 2 * SHAPE[0], "yuv420p", Colour(1, 1))
    made = Frame.filled(layout, (128, 128, 128))
    assert made.half_planes.shape[1:] == (SHAPE[0], SHAPE[1])
    return made


def somebody(left: int, right: int) -> Floats:
    """Return the coverage of somebody between two columns."""
    found = np.zeros(SHAPE, np.float32)
    found[40:, left:right] = 1
    return found


def always(found: Floats) -> LookAt:
    """Return looks that all find the same."""
    return lambda *_, **__: found


def seen(newcomers: Newcomers, frame: Frame, found: Floats, looks: Floats) -> Floats:
    """Let a frame go by, and return the coverage that is believed."""
    weights = newcomers.confirmed(frame, found, always(looks))
    believed = found if weights is None else found * weights
    newcomers.follow(believed)
    return believed


def test_whom_every_look_finds_is_there(frame: Frame) -> None:
    """Somebody who is found in every look stays as they are."""
    person = somebody(20, 80)
    assert seen(Newcomers(), frame, person, person) is person


def test_what_one_look_finds_is_not_there(frame: Frame) -> None:
    """Nothing is left of what the other looks do not find."""
    assert not seen(Newcomers(), frame, somebody(20, 80), np.zeros(SHAPE, np.float32)).any()


def test_a_thing_where_somebody_was_is_a_newcomer(frame: Frame) -> None:
    """Once nobody is believed to be there, what is found where they were is looked at too."""
    newcomers, person = Newcomers(), somebody(20, 80)
    for _ in range(3):
        seen(newcomers, frame, person, person)
    nothing = np.zeros(SHAPE, np.float32)
    assert not seen(newcomers, frame, somebody(20, 21), nothing).any()
    assert not seen(newcomers, frame, person, nothing).any()


def test_specks_alone_are_nobody(frame: Frame) -> None:
    """What is left beside something that is not believed is no person if it is tiny."""
    found = somebody(20, 80)
    found[4, 140:144] = 1
    looks = np.zeros(SHAPE, np.float32)
    looks[4, 140:144] = 1
    assert not seen(Newcomers(), frame, found, looks).any()
