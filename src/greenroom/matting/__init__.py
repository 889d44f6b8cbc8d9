"""Matting: a coarse matte in, the matte of the frame out."""

from __future__ import annotations

from greenroom.matting.base import Matting
from greenroom.matting.upsampled import UpsampledMatting

__all__ = ["Matting", "UpsampledMatting"]
