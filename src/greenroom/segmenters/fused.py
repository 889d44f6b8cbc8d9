"""Segmenter of two models that look at the same frame, and whose answers are fused."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from greenroom.errors import ModelError, ModelOutputError
from greenroom.media.timings import Timings
from greenroom.segmenters.fusion import fuse
from greenroom.segmenters.second_looks import SecondLooks
from greenroom.segmenters.segmenter import Segmenter, SegmenterInfo, check_coarse_matte

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.segmenters.card import FusionSpec

    Floats = NDArray[np.float32]
    Box = tuple[int, int, int, int]
    # Left, top, right and bottom as shares of a picture's width and height.
    Shares = tuple[float, float, float, float]

__all__ = ["FusedSegmenter", "look_around", "square_around"]


class FusedSegmenter(Segmenter):
    """Segmenter that fuses the answers of two others.

    The second looks at the square around what the first looks at, as far as the frame reaches:
    larger models are trained on people of natural proportions, and miss those who are squeezed.

    Parameters
    ----------
    name : str
        The card's.
    members : (Segmenter, Segmenter)
        Of models whose answers are refined. Closed with this.
    fusion : FusionSpec
        Weights of their answers.
    timings : Timings, optional
        Receives a stage by the name of each member's model, and "invoke" for both together.

    Attributes
    ----------
    members : (Segmenter, Segmenter)
    fusion : FusionSpec
    second : SecondLooks
        Looks of the second model for some frames, while `asks_second` is False.

    Raises
    ------
    ModelError
        If a member makes mattes itself, or remembers earlier frames.
    """

    makes_mattes = False
    remembers = False

    def __init__(
        self,
        name: str,
        members: tuple[Segmenter, Segmenter],
        fusion: FusionSpec,
        timings: Timings | None = None,
    ) -> None:
        for member in members:
            if member.makes_mattes or member.remembers:
                message = (
                    f"model '{name}' cannot have '{member.info.model}' as a member: it makes "
                    f"mattes of whole frames in order. Name models of people or of classes."
                )
                raise ModelError(message)
        self._name = name
        self.members = members
        self.fusion = fusion
        self._timings = timings or Timings()
        self._names = tuple([member.info.model for member in members])
        self.info = self._described()
        self.takes_device_frames = all(member.takes_device_frames for member in members)
        self.second: SecondLooks = SecondLooks(members[1], partial(fuse, fusion=fusion))

    def segment(self, frame: Frame) -> Floats:
        """See `Segmenter.segment`.

        Raises
        ------
        ModelOutputError
            If the answer of either is not a matte.
        """
        start = time.perf_counter()
        first = self._asked(0, frame)
        if not self.asks_second:
            return first
        with self.second.used:
            second = look_around(frame, lambda around: self._asked(1, around), first.shape)
        self._timings.add("invoke", time.perf_counter() - start)
        self.info = self._described()
        return fuse(first, second, self.fusion)

    def reset(self) -> None:
        """See `Segmenter.reset`."""
        for member in self.members:
            member.reset()

    def close(self) -> None:
        """See `Segmenter.close`; each is closed even if another fails.

        A second model that hangs is left behind.
        """
        is_idle = self.second.close()
        with ExitStack() as all_of_them:
            for member in self.members if is_idle else self.members[:1]:
                all_of_them.callback(member.close)

    def _asked(self, index: int, frame: Frame) -> Floats:
        """Return a member's checked answer."""
        member = self.members[index]
        with self._timings.stage(self._names[index]):
            answer = member.segment(frame)
        try:
            return check_coarse_matte(answer)
        except ModelOutputError as error:
            message = f"member '{member.info.model}' of model '{self._name}': {error}"
            raise ModelOutputError(message) from error

    def _described(self) -> SegmenterInfo:
        infos = [member.info for member in self.members]
        files, runtimes, devices = (
            " + ".join(dict.fromkeys(getattr(info, name) for info in infos))
            for name in ("file", "runtime", "device")
        )
        threads = max(info.threads for info in infos)
        return SegmenterInfo(self._name, files, runtimes, devices, threads)


def look_around(frame: Frame, look: Callable[[Frame], Floats], shape: tuple[int, ...]) -> Floats:
    """Look at the square around a part of a frame; return the answer for the part, of a shape.

    Parameters
    ----------
    frame : Frame
        A part of another, see `Frame.origin`; others are looked at as they are.
    look : callable
        Returns the coarse matte of a frame.
    shape : (int, int)
        Height and width of the result.
    """
    origin = frame.origin
    if origin is None:
        return _taken(look(frame), (0.0, 0.0, 1.0, 1.0), shape)
    around = square_around(origin.box, origin.whole.small_planes[0].shape)
    if around == origin.box:
        return _taken(look(frame), (0.0, 0.0, 1.0, 1.0), shape)
    wide = origin.whole.part(around)
    if frame.device is None:
        wide = wide.downloaded()
    shares = _shares(origin.box, around, is_flipped=origin.is_flipped)
    return _taken(look(wide.flipped() if origin.is_flipped else wide), shares, shape)


def square_around(box: Box, shape: tuple[int, ...]) -> Box:
    """Return the square around a box of a grid, moved into the grid, or cut where it is larger."""
    left, top, right, bottom = box
    height, width = shape
    side = max(right - left, bottom - top)
    wide, high = min(side, width), min(side, height)
    x = min(max((left + right - wide) // 2, 0), width - wide) // 2 * 2
    y = min(max((top + bottom - high) // 2, 0), height - high) // 2 * 2
    return (
        min(x, left),
        min(y, top),
        max(min(width, x + wide + wide % 2), right),
        max(min(height, y + high + high % 2), bottom),
    )


def _shares(box: Box, around: Box, *, is_flipped: bool) -> Shares:
    """Return where a box is in a larger one."""
    wide, high = around[2] - around[0], around[3] - around[1]
    left, right = ((x - around[0]) / wide for x in (box[0], box[2]))
    top, bottom = ((y - around[1]) / high for y in (box[1], box[3]))
    return (1 - right, top, 1 - left, bottom) if is_flipped else (left, top, right, bottom)


def _taken(answer: Floats, shares: Shares, shape: tuple[int, ...]) -> Floats:
    """Return a part of an answer, resized bilinearly to a shape."""
    if shares == (0.0, 0.0, 1.0, 1.0) and answer.shape == shape:
        return answer
    left, top, right, bottom = shares
    columns = _places(left, right, shape[1], answer.shape[1])
    rows = _places(top, bottom, shape[0], answer.shape[0])
    at = np.meshgrid(columns, rows)
    taken = cv2.remap(answer, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(taken, np.float32)


def _places(start: float, stop: float, count: int, length: int) -> Floats:
    """Return the positions of samples of a part in a row of a length."""
    shares = start + (np.arange(count) + 0.5) * ((stop - start) / count)
    return np.asarray(shares * length - 0.5, np.float32)
