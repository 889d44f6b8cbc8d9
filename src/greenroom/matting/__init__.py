"""Matting: full-size mattes of frames from a model's coarse answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.errors import SettingsError
from greenroom.matting.cadence import Cadence
from greenroom.matting.decontamination import edge_colours
from greenroom.matting.matting import Matting
from greenroom.matting.plausibility import Plausibility
from greenroom.matting.refined import RefinedMatting, Steps
from greenroom.matting.upsampled import UpsampledMatting
from greenroom.settings import Quality

if TYPE_CHECKING:
    from greenroom.segmenters import Segmenter
    from greenroom.settings import Settings

__all__ = [
    "Cadence",
    "Matting",
    "Plausibility",
    "RefinedMatting",
    "Steps",
    "UpsampledMatting",
    "cadence_of",
    "create_matting",
    "edge_colours",
]

_STEPS = {
    Quality.FAST: Steps(colours=False, plate=False, guide=False),
    Quality.BALANCED: Steps(cadence=Cadence.FOURTH),
    Quality.BEST: Steps(mirror=True),
}


def create_matting(settings: Settings, segmenter: Segmenter) -> Matting:
    """Make the matting for a segmenter: one that makes mattes itself is not refined.

    Raises
    ------
    SettingsError
        If a setting asks for what this segmenter or this quality does not have.
    """
    if segmenter.makes_mattes:
        reason = "a model that makes mattes itself is taken as it is. Choose another model"
        _refuse(settings, reason, "people", "keep_region", "plate")
        return UpsampledMatting(settings, remembers=segmenter.remembers)
    steps = _STEPS[settings.quality]
    if not steps.plate:
        reason = f"quality {settings.quality} does not learn the room. Choose balanced or best"
        _refuse(settings, reason, "keep_region", "plate")
    return RefinedMatting(settings, steps)


def cadence_of(quality: Quality) -> Cadence:
    """Return the cadence that a quality preset starts with."""
    return _STEPS[quality].cadence


def _refuse(settings: Settings, reason: str, *names: str) -> None:
    for name in names:
        if getattr(settings, name) != type(settings).model_fields[name].default:
            message = f"setting '{name}' has no effect here: {reason}."
            raise SettingsError(message, name)
