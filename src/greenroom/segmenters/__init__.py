"""Segmentation: a frame in, a coarse matte out."""

from __future__ import annotations

from greenroom.segmenters.base import Segmenter, SegmenterInfo, check_coarse_matte
from greenroom.segmenters.creation import check_model, create_segmenter

__all__ = [
    "Segmenter",
    "SegmenterInfo",
    "check_coarse_matte",
    "check_model",
    "create_segmenter",
]
