"""What a recurrent network remembers of a stream, and when it has to forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from greenroom.frames import Frame
    from greenroom.segmenters.runtimes.base import TensorInfo

__all__ = ["CutTest", "States"]

# Height and width at which two frames are compared.
_LOOK: Final = (36, 64)
# Mean difference of luma from which another scene begins, in 8-bit levels: consecutive frames
# of 13 clips of people, one of whom walks up to the camera, reach 15; of frames of two
# different clips 94 % are over 20, and those that are not show one person at one desk.
_CUT: Final = 20.0


class CutTest:
    """Tells whether a frame shows another scene than the one before.

    The test is the mean absolute difference of luma at 64x36, made from the small planes
    that other stages look at too; it takes some hundredths of a millisecond. Where it is
    wrong, a network only starts anew, as it does with the first frame.

    State: the last frame at that size.
    """

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None

    def is_cut(self, frame: Frame) -> bool:
        """Compare a frame with the last one, which it then becomes."""
        luma = cv2.resize(frame.small_planes[0], _LOOK[::-1], interpolation=cv2.INTER_AREA)
        look = np.asarray(luma, np.uint8)
        last, self._last = self._last, look
        return last is not None and float(cv2.absdiff(look, last).mean()) > _CUT

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None


class States:
    """The states of a recurrent network: zeros at first, then what it answered last.

    Parameters
    ----------
    names : mapping of str to str
        Each state's input, and the output that it is next time.
    inputs : sequence of TensorInfo
        What the model takes. A length that may vary starts as 1.

    State: the states, and the last frame's size and look.
    """

    def __init__(self, names: Mapping[str, str], inputs: Sequence[TensorInfo]) -> None:
        self._names = names
        self.first = {
            info.name: np.zeros([length or 1 for length in info.shape], info.dtype)
            for info in inputs
            if info.name in names
        }
        self._now: dict[str, NDArray[Any]] = dict(self.first)
        self._size: tuple[int, int] | None = None
        self._cuts = CutTest()

    def __bool__(self) -> bool:
        return bool(self._names)

    def of(self, frame: Frame) -> Mapping[str, NDArray[Any]]:
        """Return the states that a frame is to be looked at with, by input."""
        if self._names:
            if frame.size != self._size or self._cuts.is_cut(frame):
                self.reset()
            self._size = frame.size
        return self._now

    def take(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Remember what a network answered, in memory of our own."""
        for name, output in self._names.items():
            values, kept = outputs[output], self._now[name]
            if kept is self.first[name] or kept.shape != values.shape:
                self._now[name] = np.array(values)
            else:
                kept[...] = values

    def reset(self) -> None:
        """Begin anew."""
        self._now = dict(self.first)
        self._size = None
        self._cuts.reset()
