"""Segmentation: a frame in, a coarse matte out."""

from __future__ import annotations

from greenroom.segmenters.creation import check_model, create_segmenter
from greenroom.segmenters.pool import SegmenterPool
from greenroom.segmenters.segmenter import Segmenter, SegmenterInfo, check_coarse_matte

__all__ = [
    "Segmenter",
    "SegmenterInfo",
    "SegmenterPool",
    "check_coarse_matte",
    "check_model",
    "create_segmenter",
]
