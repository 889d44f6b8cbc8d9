"""Segmentation: a frame in, a coarse matte out."""

from __future__ import annotations

from greenroom.segmenters.base import Segmenter, SegmenterInfo, check_coarse_matte
from greenroom.segmenters.creation import create_segmenter

__all__ = ["Segmenter", "SegmenterInfo", "check_coarse_matte", "create_segmenter"]
