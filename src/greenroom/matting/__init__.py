"""Matting: what a model finds in a frame, and the matte of the frame out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.matting.base import Matting
from greenroom.matting.decontamination import EdgeColours, edge_colours
from greenroom.matting.refined import RefinedMatting, Steps
from greenroom.matting.upsampled import UpsampledMatting
from greenroom.settings import Quality

if TYPE_CHECKING:
    from greenroom.segmenters import Segmenter
    from greenroom.settings import Settings

__all__ = [
    "EdgeColours",
    "Matting",
    "RefinedMatting",
    "Steps",
    "UpsampledMatting",
    "create_matting",
    "edge_colours",
]

_STEPS = {
    Quality.FAST: Steps(colours=False, plate=False, guide=False),
    Quality.BALANCED: Steps(),
    Quality.BEST: Steps(mirror=True),
}


def create_matting(settings: Settings, segmenter: Segmenter) -> Matting:
    """Make the matting for a segmenter: none of ours refines what is a matte already."""
    if getattr(segmenter, "makes_mattes", True):  # a segmenter of the user's may not say
        return UpsampledMatting(settings)
    return RefinedMatting(settings, _STEPS[settings.quality])
