"""The drawn person: what it is for is to be found by the model as a real one is."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from greenroom import VirtualBackground
from greenroom.sources.demo_portrait import draw_portrait
from greenroom.sources.demo_source import DemoSource

SIZE = (640, 360)


def test_is_found() -> None:
    """The embedded model finds the drawn person before the drawn room as it was drawn."""
    portrait, matte = draw_portrait()
    white = np.full_like(portrait, 255)
    truths = DemoSource(white, matte, SIZE, 3, room=np.zeros((*SIZE[::-1], 3), np.uint8))
    with VirtualBackground(background="color:teal") as engine:
        for frame, truth in zip(DemoSource(portrait, matte, SIZE, 3), truths, strict=True):
            engine.process(frame)
            assert engine.matte is not None
            found, wanted = engine.matte > 127, truth.to_rgb()[:, :, 1] > 127
            iou = Fraction(int((found & wanted).sum()), int((found | wanted).sum()))
            assert iou > 0.96


def test_matte_is_soft_and_whole() -> None:
    """The matte is in one piece, without holes, and has soft edges."""
    portrait, matte = draw_portrait()
    assert portrait.shape == (512, 512, 3)
    assert matte.shape == (512, 512)
    assert 0.3 < (matte > 127).mean() < 0.6
    inside = (matte > 127).astype(np.uint8)
    for part in (inside, 1 - inside):
        assert cv2.connectedComponents(part)[0] == 2  # itself, and what it is not
    assert 0 < ((matte > 0) & (matte < 255)).mean() < 0.1
