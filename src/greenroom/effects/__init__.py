"""Effects on the picture besides the background."""

from __future__ import annotations

from greenroom.effects.framing import Follow, crop, cropped
from greenroom.effects.low_light import LowLight
from greenroom.effects.mirror import mirrored, mirrored_matte
from greenroom.effects.overlay import Overlay, create_overlay

__all__ = [
    "Follow",
    "LowLight",
    "Overlay",
    "create_overlay",
    "crop",
    "cropped",
    "mirrored",
    "mirrored_matte",
]
