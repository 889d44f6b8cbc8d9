"""Effects on the picture: what people expect of a camera program besides a background."""

from __future__ import annotations

from greenroom.effects.mirror import mirrored, mirrored_matte

__all__ = ["mirrored", "mirrored_matte"]
