"""Objects of the room that stay visible, such as the chair.

They are marked by a rectangle, in which the object's outline is found once on the clean
plate, or by a picture. They stay where the present frame looks as the clean plate does there:
anything in front of them is hidden again, unless it is the person.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import cv2
import numpy as np

from greenroom.errors import SettingsError
from greenroom.media.image_files import decode_picture
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.specs import EXPECTED_REGION, Rectangle, parse_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.layout import Layout
    from greenroom.settings import Settings

    Floats = NDArray[np.float32]
    Grid = NDArray[np.uint8]

__all__ = ["KeptRegions", "Plate"]

logger = logging.getLogger(__name__)

# Share of a rectangle that must be known before its object is looked for.
_MIN_KNOWN: Final = 0.9
# Margin of the room around a rectangle for GrabCut, as a share of its sides.
_MARGIN: Final = 0.3
# Share of its rectangle that an object covers at least.
_MIN_SHARE: Final = 0.02
# GrabCut settles within a few rounds; each takes as long as the first.
_GRABCUT_ROUNDS: Final = 4
# Size of the median filter that removes holes and crumbs of the outline, in samples.
_MEDIAN_SIZE: Final = 5


class Plate(Protocol):
    """A clean plate at the working size.

    Attributes
    ----------
    planes : (h, w) float32 each
        The room's samples, 0 to 255, one array for each small plane of a frame.
    confidence : (h, w) float32
        0 where the room was never seen, up to 1.
    """

    @property
    def planes(self) -> tuple[Floats, ...] | Floats: ...  # noqa: D102 - see above
    @property
    def confidence(self) -> Floats: ...  # noqa: D102


class KeptRegions:
    """Raises the matte where marked objects of the room are visible.

    The pictures are read on creation. Outlines are found on the first plate that is known
    well enough, and kept until the plate is dropped: a later plate is of another view.

    State: the outlines, at the resolution of the working matte.

    Raises
    ------
    SettingsError
        If the setting is malformed or a picture cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        regions = parse_regions(settings.keep_region) if settings.keep_region else ()
        self._rectangles = [one for one in regions if isinstance(one, Rectangle)]
        self._pictures = [_read(one) for one in regions if isinstance(one, Path)]
        self.reset()

    def check(self, size: tuple[int, int]) -> None:
        """Check that all rectangles lie within frames of a size (width, height).

        Raises
        ------
        SettingsError
            If one does not.
        """
        for rectangle in self._rectangles:
            rectangle.placed(size, (1, 1))

    def reset(self) -> None:
        """Forget the outlines."""
        self._waiting = list(self._rectangles)
        self._empty: list[Rectangle] = []
        self._outlines: Floats | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """Hints about rectangles in which nothing is kept, as sentences."""
        waiting = (
            f"Nothing is kept in '{one.text}' yet: it has to be seen without you. Step out of the "
            f"picture for a moment."
            for one in list(self._waiting)
        )
        empty = (
            f"Nothing stands out in '{one.text}', so nothing is kept there. Mark an object with "
            f"some of what is around it."
            for one in list(self._empty)
        )
        return (*waiting, *empty)

    def apply(
        self, alpha: Floats, plate: Plate | None, similarity: Floats | None, layout: Layout
    ) -> Floats:
        """Return a matte in which the objects stay: max(alpha, outline x similarity).

        Parameters
        ----------
        alpha : (h, w) float32
            Coverage, 0 to 1, at the working size. Read only.
        plate : Plate, optional
            The clean plate. Without one, and where it is unknown, nothing is kept.
        similarity : (h, w) float32, optional
            Similarity of the frame to the plate, 0 to 1. Read only. Without it nothing is kept.
        layout : Layout
            That of the frame.

        Returns
        -------
        (h, w) float32
            New memory, or ``alpha`` itself where nothing is kept.

        Raises
        ------
        SettingsError
            If a rectangle does not lie within the frame.
        """
        if not (self._rectangles or self._pictures):
            return alpha
        for rectangle in self._waiting:
            rectangle.placed(layout.size, alpha.shape)  # raises at once if it is outside
        if plate is None or similarity is None:
            if self._outlines is not None:
                self.reset()
            return alpha
        if self._outlines is None or self._outlines.shape != alpha.shape:
            self.reset()
            self._outlines = _of_pictures(self._pictures, alpha.shape)
        self._look_for_objects(self._outlines, plate, layout)
        kept = self._outlines * similarity
        kept[plate.confidence <= 0] = 0
        return np.asarray(np.maximum(alpha, kept), np.float32)

    def _look_for_objects(self, outlines: Floats, plate: Plate, layout: Layout) -> None:
        """Find the outlines of objects in rectangles that are known by now."""
        for rectangle in list(self._waiting):
            box = rectangle.placed(layout.size, outlines.shape)
            left, top, right, bottom = box
            known = plate.confidence[top:bottom, left:right] > 0
            if known.mean() < _MIN_KNOWN:
                continue
            self._waiting.remove(rectangle)
            outline = _outline(plate, box, layout)
            if outline is None:
                self._empty.append(rectangle)
                logger.warning(
                    "nothing stands out in keep_region '%s', so nothing is kept there",
                    rectangle.text,
                )
                continue
            np.maximum(outlines, outline, out=outlines)


def _read(path: Path) -> Grid:
    """Read a picture that is white where the room is kept."""
    try:
        picture = decode_picture(path, MAX_SIDE_PX)
    except ValueError as error:
        expected = EXPECTED_REGION.capitalize()
        message = f"setting 'keep_region': '{path}' cannot be read: {error}. {expected}."
        raise SettingsError(message, "keep_region") from error
    return np.asarray(cv2.cvtColor(picture.to_rgb(), cv2.COLOR_RGB2GRAY), np.uint8)


def _of_pictures(pictures: list[Grid], shape: tuple[int, ...]) -> Floats:
    """Return the union of the pictures, scaled to a matte's shape, 0 to 1."""
    outlines = np.zeros(shape, np.float32)
    for picture in pictures:
        fitted = cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA)
        np.maximum(outlines, fitted.astype(np.float32) / 255, out=outlines)
    return outlines


def _outline(plate: Plate, box: tuple[int, int, int, int], layout: Layout) -> Floats | None:
    """Return the object's outline in a box of the plate by GrabCut [1]_, or None.

    The surroundings of the box are background, and the box may be either. Where chroma is
    subsampled GrabCut runs at half the size: interpolated chroma would be taken for the object's.

    References
    ----------
    .. [1] C. Rother, V. Kolmogorov and A. Blake, "GrabCut: Interactive Foreground Extraction
       using Iterated Graph Cuts", SIGGRAPH 2004.
    """
    height, width = plate.confidence.shape
    left, top, right, bottom = box
    across, down = round(_MARGIN * (right - left)) + 2, round(_MARGIN * (bottom - top)) + 2
    near = (
        slice(max(0, top - down), min(height, bottom + down)),
        slice(max(0, left - across), min(width, right + across)),
    )
    states = np.full((height, width), cv2.GC_BGD, np.uint8)
    states[top:bottom, left:right] = cv2.GC_PR_FGD
    states[plate.confidence <= 0] = cv2.GC_BGD
    states = np.ascontiguousarray(states[near])
    size = states.shape[1], states.shape[0]
    half = size
    if plate.planes[-1].shape != plate.confidence.shape:
        half = max(1, size[0] // 2), max(1, size[1] // 2)
    states = np.asarray(cv2.resize(states, half, interpolation=cv2.INTER_NEAREST), np.uint8)
    if (states == cv2.GC_BGD).any() and (states == cv2.GC_PR_FGD).any():
        picture = cv2.resize(_rgb(plate, layout)[near], half, interpolation=cv2.INTER_AREA)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(picture, states, None, *models, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    found = ((states == cv2.GC_FGD) | (states == cv2.GC_PR_FGD)).astype(np.float32)
    found = cv2.resize(found, size, interpolation=cv2.INTER_LINEAR)
    found = np.asarray(cv2.medianBlur(found, _MEDIAN_SIZE), np.float32)
    if found.sum() < _MIN_SHARE * (right - left) * (bottom - top):
        return None
    outline = np.zeros((height, width), np.float32)
    outline[near] = found
    return outline


def _rgb(plate: Plate, layout: Layout) -> Grid:
    """Return the plate as (h, w, 3) uint8 RGB; chroma is interpolated."""
    shape = plate.confidence.shape
    planes = [
        cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in plate.planes
    ]
    if len(planes) == 1:
        return np.repeat(np.clip(planes[0], 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    samples = np.stack([*planes, np.ones(shape, np.float32)], axis=2)
    rgb = 255 * samples @ layout.to_rgb_matrix().T
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)
