"""Corrections by a second model: carried along, and nowhere but where it looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from people_drawn import finder, frame_of, person, room

from greenroom.evaluation import metrics
from greenroom.matting import Cadence, RefinedMatting, Steps
from greenroom.segmenters.second_model import SecondModel
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Floats = NDArray[np.float32]

# Frames from a look to its answer.
LATE = 6
# What motion is seen by, in levels: (H, W) uint8.
PATTERN = cv2.resize(np.random.default_rng(3).integers(0, 14, (45, 80), np.uint8), (640, 360))


class LateModel(SecondModel):
    """A second model whose answers come some frames late.

    Attributes
    ----------
    looked : int
        Number of looks so far.
    """

    def __init__(self, look: Callable[[Frame], Floats], every: int = 20) -> None:
        self._look = look
        self.every = every
        self.looked = 0
        self._coming: Floats | None = None
        self._waits = 0

    @property
    def is_free(self) -> bool:
        """See `SecondModel.is_free`."""
        return self._coming is None

    def look(self, part: Frame) -> None:
        """See `SecondModel.look`."""
        self.looked += 1
        self._coming, self._waits = self._look(part), LATE

    def answer(self) -> Floats | None:
        """See `SecondModel.answer`."""
        self._waits -= 1
        if self._coming is None or self._waits > 0:
            return None
        answer, self._coming = self._coming, None
        return answer

    def fused(self, first: Floats, second: Floats) -> Floats:
        """See `SecondModel.fused`."""
        return np.maximum(first, second)


def half_blind(part: Frame) -> Floats:
    """Find only what is as bright as the left half of a person is drawn."""
    luma = cv2.resize(part.planes[0], (64, 64), interpolation=cv2.INTER_AREA)
    return np.clip((luma.astype(np.float32) - 191) / 5, 0, 1)


def drawn(x: float, number: int) -> Frame:
    """Draw a person with a pattern, whose right half is darker."""
    matte = person(centre=(x, 0.6))
    frame = frame_of(matte, number)
    luma, middle = frame.planes[0], round(x * frame.layout.width)
    luma[:, middle:] = np.minimum(luma[:, middle:], 188)
    pattern = np.roll(PATTERN, middle, axis=1)
    luma[...] = np.where(matte > 0.9, luma - pattern, luma)
    return frame


def mattes(matting: Any, centres: list[float], look: Any = half_blind) -> list[NDArray[np.uint8]]:
    """Return the mattes of a person who goes along."""
    return [matting.matte(drawn(x, number), look).values for number, x in enumerate(centres)]


def corrected(model: SecondModel | None) -> RefinedMatting:
    """Return a matting with a second model; colours, which learn from both, are left out."""
    steps = Steps(colours=False, plate=False)
    matting = RefinedMatting(Settings(smoothing=0), steps)
    matting.second = model
    return matting


class TestCorrection:
    """A person whose right half only the second model sees."""

    def test_a_moving_person_stays_corrected(self) -> None:
        """From the answer on, and for as long as it is carried along, the matte is whole."""
        centres = [0.4 + 0.004 * number for number in range(40)]
        model = LateModel(finder(), every=1000)
        plain = mattes(corrected(None), centres)
        ours = mattes(corrected(model), centres)
        truths = [person(centre=(x, 0.6)) for x in centres]
        assert model.looked == 1
        assert max(metrics.iou(one, truth) for one, truth in zip(plain, truths, strict=True)) < 0.6
        for number in range(LATE + 1, len(centres)):
            assert metrics.iou(ours[number], truths[number]) > 0.88, number

    def test_looks_are_apart(self) -> None:
        """The model looks again after as many frames as asked for, or with none not at all."""
        model, idle = LateModel(finder(), every=10), LateModel(finder(), every=0)
        mattes(corrected(model), [0.5] * 35)
        mattes(corrected(idle), [0.5] * 35)
        assert model.looked == 4
        assert idle.looked == 0

    def test_a_correction_stays_with_its_picture(self) -> None:
        """Where other things are than when the second model looked, nothing is added."""
        matting = corrected(LateModel(finder(), every=1000))
        mattes(matting, [0.5] * 12)
        gone = person(centre=(0.5, 0.6)) * (np.arange(640) < 320)  # the right half has left
        found = matting.matte(frame_of(gone.astype(np.float32), 12), half_blind).values
        assert found[:, 340:].max() < 64

    def test_an_answer_from_before_a_cut_is_thrown_away(self) -> None:
        """What was found in another scene changes nothing in this one."""
        model = LateModel(finder(), every=1000)
        matting = corrected(model)
        mattes(matting, [0.5] * 3)
        matting.reset()
        other = 255 - room()
        for number in range(3, 3 + LATE):
            nobody = frame_of(np.zeros((360, 640), np.float32), number, behind=other // 4)
            assert not matting.matte(nobody, finder()).values.any()
        assert model.looked == 1

    def test_nobody_is_made_of_nothing(self) -> None:
        """Where the first model finds nobody, the second is not asked, and adds nobody."""
        model = LateModel(lambda _: np.ones((8, 8), np.float32))
        matting = corrected(model)
        for number in range(LATE + 3):
            empty = frame_of(np.zeros((360, 640), np.float32), number)
            assert not matting.matte(empty, finder()).values.any()
        assert model.looked == 0

    def test_with_followed_detections(self) -> None:
        """It is carried through frames that the first model does not look at, too."""
        seen: list[Frame] = []
        matting = corrected(LateModel(finder(), every=1000))
        matting.cadence = Cadence.FOURTH
        centres = [0.4 + 0.002 * number for number in range(40)]

        def look(part: Frame) -> Floats:
            seen.append(part)
            return half_blind(part)

        found = mattes(matting, centres, look)
        assert len(seen) < len(centres)
        truth = person(centre=(centres[-1], 0.6))
        assert metrics.iou(found[-1], truth) > 0.88

    def test_without_a_model_nothing_changes(self) -> None:
        """A model that agrees with the first leaves the mattes as they are, bit for bit."""
        centres = [0.4 + 0.004 * number for number in range(16)]
        plain = mattes(RefinedMatting(Settings()), centres, finder())
        agreeing = LateModel(lambda _: np.zeros((8, 8), np.float32), every=5)
        matting = RefinedMatting(Settings())
        matting.second = agreeing
        for one, other in zip(mattes(matting, centres, finder()), plain, strict=True):
            np.testing.assert_array_equal(one, other)
