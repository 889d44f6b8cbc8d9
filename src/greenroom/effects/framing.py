"""Auto framing: a slow crop and zoom that follows the person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from greenroom.cuda import calls
from greenroom.effects.effect_kernels import enlarge
from greenroom.media.frame import Frame
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WHOLE", "CropBox", "Follow", "crop", "cropped", "person_box", "wanted"]

# Smallest crop: nobody is shown more than twice as large, for lack of pixels.
MIN_CROP_SIZE: Final = 0.5
# Room above the head, which puts the eyes of somebody at a desk, whose head is two fifths of the
# height, on the upper third.
HEADROOM: Final = 0.12
# Room beside the person, both sides together, and below their feet.
SIDE_ROOM: Final = 0.3
FOOT_ROOM: Final = 0.05
# Share of somebody cut by the picture's lower border that is shown at least: a close view of a
# person at a desk, without their knees.
MIN_SHOWN_SHARE: Final = 0.75
# Lower ends of a person between which they count more and more as cut.
_CUT_FROM, _CUT_AT = 0.92, 0.98
# Share of the picture that a person covers at least.
MIN_PERSON_SHARE: Final = 0.01
# A row or column belongs to the person if it has this share of the fullest one's coverage: hands
# and hair that stick out are not followed.
_MIN_ROW: Final = 0.1

# Dead zone of the movement, as a share of the crop's size, and the time for which it must be left.
DEAD_ZONE: Final = 0.06
DEAD_TIME_S: Final = 0.4
# Share of the dead zone within which the crop has arrived.
_ARRIVED: Final = 0.25
# Time after which the whole picture is shown again when nobody is there.
AWAY_S: Final = 3.0

# Limits of speed and acceleration against motion sickness, in shares of the picture.
MAX_SPEED_PER_S: Final = 0.2
MAX_RETURN_SPEED_PER_S: Final = 0.1
MAX_ACCELERATION_PER_S2: Final = 0.64
# Natural frequency of the critically damped spring, in radians a second. Its braking at the highest
# speed, 2 * 1.6 * 0.2, is just the allowed acceleration: so it never overshoots.
_SPRING_PER_S: Final = 1.6
# Time step of the spring's integration, and the longest gap between frames that counts.
_STEP_S: Final = 1 / 120
_LONGEST_GAP_S: Final = 1.0
_FRAME_S: Final = 1 / 30
# Crops of at least this size are skipped.
_WHOLE_SIZE: Final = 0.999


class CropBox(NamedTuple):
    """A part of a picture with its aspect ratio, in shares of its width and height.

    Attributes
    ----------
    x, y : float
        Its centre.
    size : float
        Its width and height.
    """

    x: float
    y: float
    size: float

    @property
    def left(self) -> float:
        """Its left border."""
        return self.x - self.size / 2

    @property
    def top(self) -> float:
        """Its upper border."""
        return self.y - self.size / 2

    def inside(self) -> CropBox:
        """Return the box moved into the picture."""
        size = min(max(self.size, MIN_CROP_SIZE), 1.0)
        half = size / 2
        return CropBox(min(max(self.x, half), 1 - half), min(max(self.y, half), 1 - half), size)


WHOLE: Final = CropBox(0.5, 0.5, 1.0)
"""The whole picture."""


@dataclass(slots=True)
class _Spring:
    """One of the three numbers of a box, and its speed."""

    place: float
    speed_per_s: float = 0.0

    def pull(self, goal: float, passed_s: float, fastest_per_s: float) -> None:
        """Move toward a goal for a time."""
        steps = max(1, round(passed_s / _STEP_S))
        step_s = passed_s / steps
        for _ in range(steps):
            force = _SPRING_PER_S**2 * (goal - self.place) - 2 * _SPRING_PER_S * self.speed_per_s
            self.speed_per_s += _bounded(force, MAX_ACCELERATION_PER_S2) * step_s
            self.speed_per_s = _bounded(self.speed_per_s, fastest_per_s)
            self.place += self.speed_per_s * step_s

    @property
    def end(self) -> float:
        """Place where it comes to rest soon without overshooting."""
        return self.place + self.speed_per_s / _SPRING_PER_S


def _bounded(value: float, most: float) -> float:
    return min(max(value, -most), most)


def crop(frame: Frame, matte: Matte, box: CropBox) -> tuple[Frame, Matte]:
    """Show a part of a frame and of its matte over all of both.

    Parameters
    ----------
    frame : Frame
        Read only.
    matte : Matte
        Of its size. Read only.
    box : CropBox
        Inside the picture.

    Returns
    -------
    Frame and Matte
        Of the same layout and time; the same objects for the whole picture.
    """
    if box.size >= _WHOLE_SIZE:
        return frame, matte
    height, width = matte.shape
    values = calls.empty((height, width), matte.values)
    enlarge(matte.values, box.left * width, box.top * height, box.size, False, values)  # noqa: FBT003
    return cropped(frame, box), Matte(values)


def cropped(frame: Frame, box: CropBox) -> Frame:
    """Show a part of a frame over all of it: `crop` without a matte.

    The first plane of YUV, and all of RGB, are interpolated cubically, chroma linearly.
    """
    if box.size >= _WHOLE_SIZE:
        return frame
    width, height = frame.size
    result = Frame.empty(frame.layout, device=frame.device)
    for index, (plane, target) in enumerate(zip(frame.planes, result.planes, strict=True)):
        # Not the plane's own size, which is rounded up where chroma has half of an odd one.
        step = 1 if plane.shape == (height, width) else 2
        left, top = box.left * width / step, box.top * height / step
        sharp = index == 0 or frame.format == "gbrp"
        enlarge(plane, left, top, box.size, sharp, target)
    return result.at(frame)


def person_box(values: NDArray[np.uint8]) -> tuple[float, float, float, float] | None:
    """Return the box around all people in a matte.

    Returns
    -------
    (left, top, right, bottom) or None
        In shares of the picture; None if nobody is there.
    """
    there = values > 127
    if there.mean() < MIN_PERSON_SHARE:
        return None
    spans = []
    for axis in (0, 1):
        counts = there.sum(axis)
        full = np.flatnonzero(counts >= max(_MIN_ROW * counts.max(), 1))
        spans.append((full[0] / len(counts), (full[-1] + 1) / len(counts)))
    (left, right), (top, bottom) = spans
    return float(left), float(top), float(right), float(bottom)


def wanted(person: tuple[float, float, float, float]) -> CropBox:
    """Return the crop for a person, with room beside them and above their head.

    All of the person is shown, except the lower part of somebody whom the picture's border cuts.
    """
    left, top, right, bottom = person
    cut = min(max((bottom - _CUT_FROM) / (_CUT_AT - _CUT_FROM), 0.0), 1.0)
    whole = (bottom - top) / (1 - HEADROOM - FOOT_ROOM)
    close = MIN_SHOWN_SHARE * (bottom - top) / (1 - HEADROOM)
    size = max((right - left) / (1 - SIDE_ROOM), whole + cut * (close - whole))
    size = min(max(size, MIN_CROP_SIZE), 1.0)
    return CropBox((left + right) / 2, top - HEADROOM * size + size / 2, size).inside()


class Follow:
    """Moves the crop after the people.

    A critically damped spring, in the frames' own time, pulls the crop toward the people; its
    speed and acceleration are limited. It rests while they sway. When nobody is there it waits,
    and then returns slowly to the whole picture. The first frame is framed at once.

    State: the crop, its speed, its goal, and the time for which the person is elsewhere or gone.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._springs: tuple[_Spring, ...] = ()
        self._goal = WHOLE
        self._moves = False
        self._fastest_per_s = MAX_SPEED_PER_S
        self._elsewhere_s = 0.0
        self._away_s = 0.0
        self._time_s: float | None = None

    def step(self, matte: Matte, time_s: float | None) -> CropBox:
        """Return the crop at the time of a matte.

        Parameters
        ----------
        matte : Matte
            Of the whole picture. Read only.
        time_s : float or None
            The frame's time.
        """
        passed_s = self._passed_s(time_s)
        person = person_box(_small(matte))
        aim = None if person is None else wanted(person)
        if not self._springs:
            self._goal = aim or WHOLE
            self._springs = tuple(_Spring(value) for value in self._goal)
        elif aim is None:
            self._wait(passed_s)
        else:
            self._follow(aim, passed_s)
        for spring, goal in zip(self._springs, self._goal, strict=True):
            spring.pull(goal, passed_s, self._fastest_per_s)
        box = self._here.inside()
        for spring, value in zip(self._springs, box, strict=True):
            spring.place = value
        return box

    @property
    def _here(self) -> CropBox:
        return CropBox(*(spring.place for spring in self._springs))

    def _passed_s(self, time_s: float | None) -> float:
        passed_s = _FRAME_S
        if time_s is not None and self._time_s is not None:
            passed_s = min(max(time_s - self._time_s, 0.0), _LONGEST_GAP_S)
        self._time_s = time_s
        return passed_s

    def _wait(self, passed_s: float) -> None:
        """Stay, and after a while return to the whole picture."""
        self._away_s += passed_s
        self._elsewhere_s = 0.0
        if self._away_s >= AWAY_S:
            self._goal, self._fastest_per_s = WHOLE, MAX_RETURN_SPEED_PER_S
        elif self._moves:
            self._goal, self._moves = (
                CropBox(*(spring.end for spring in self._springs)).inside(),
                False,
            )

    def _follow(self, aim: CropBox, passed_s: float) -> None:
        """Choose the goal, which stays while the person moves within the dead zone."""
        distance = _distance(aim, self._goal)
        if self._away_s >= AWAY_S:  # it was returning
            self._moves = True
        self._away_s, self._fastest_per_s = 0.0, MAX_SPEED_PER_S
        self._elsewhere_s = self._elsewhere_s + passed_s if distance > DEAD_ZONE else 0.0
        if self._elsewhere_s >= DEAD_TIME_S:
            self._moves = True
        if self._moves:
            self._goal = aim
            self._moves = _distance(aim, self._here) > _ARRIVED * DEAD_ZONE


def _distance(first: CropBox, second: CropBox) -> float:
    """Return the largest difference of two boxes' numbers, as a share of the smaller size."""
    apart = max(abs(one - other) for one, other in zip(first, second, strict=True))
    return apart / min(first.size, second.size)


def _small(matte: Matte) -> NDArray[np.uint8]:
    """Return a subsampled matte, fine enough to find people."""
    (values,) = calls.on_host(matte.quarter)
    step = max(1, min(values.shape) // 128)
    return values[::step, ::step]  # type: ignore[no-any-return]
