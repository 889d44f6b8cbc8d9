"""Lettering on the wall of a room, and two attackers who try to read it through an effect.

Both know where every letter is, how high it is, and the font. The first undoes the blur by a
Wiener filter with the effect's own kernel, at the best of many noise levels, and compares what
comes out with every letter. The second is trained on many walls seen through the very effect, and
weighs its pixels by what it learned: linear discriminants, the best that a linear method can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom import VirtualBackground
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.segmenters import Segmenter, SegmenterInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Picture = NDArray[np.float32]

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CHANCE: Final = 1 / len(LETTERS)
_FONT: Final = cv2.FONT_HERSHEY_DUPLEX
# Standard deviation of a camera's noise, of 255.
NOISE: Final = 4.0
# Samples of the room on either side that a trained attacker looks at, in heights of a letter.
_SEEN: Final = 1.3


@dataclass(frozen=True, slots=True)
class Wall:
    """A room of which all is one wall with letters.

    Attributes
    ----------
    luma : (H, W) float32
        What a camera without noise sees, 0 to 255.
    height_px : int
        Of a letter.
    places : tuple of (top, left, number)
        The letters.
    """

    luma: Picture
    height_px: int
    places: tuple[tuple[int, int, int], ...]


def glyph(number: int, height_px: int) -> Picture:
    """Draw a letter: ink, 0 to 1, as high as a capital H of the font is, and a little wider."""
    rows = np.flatnonzero(_drawn("H").any(axis=1))
    letter = _drawn(LETTERS[number])[rows[0] : rows[-1] + 1]
    size = (round(1.15 * height_px), height_px)
    reduced = cv2.resize(letter, size, interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.float32) / np.float32(255)


@cache
def _drawn(letter: str) -> NDArray[np.uint8]:
    """Draw a letter large, in the middle of 1.15 times the height that fonts of OpenCV have."""
    (width, height), _ = cv2.getTextSize("H", _FONT, 12, 32)
    drawn = np.zeros((2 * height, round(1.15 * height)), np.uint8)
    (width, _), _ = cv2.getTextSize(letter, _FONT, 12, 32)
    place = ((drawn.shape[1] - width) // 2, round(1.5 * height))
    cv2.putText(drawn, letter, place, _FONT, 12, 255, 32, cv2.LINE_AA)
    return drawn


def lettered_wall(
    height_px: int,
    rng: np.random.Generator,
    size: tuple[int, int] = (1280, 720),
    contrast: tuple[float, float] = (235, 20),
) -> Wall:
    """Write random letters in lines on a wall, of a paper's and an ink's brightness."""
    width, height = size
    ink = np.zeros((height, width), np.float32)
    places = []
    for top in range(height_px, height - 2 * height_px, round(1.5 * height_px)):
        for left in range(height_px, width - round(2.2 * height_px), round(1.15 * height_px)):
            number = int(rng.integers(len(LETTERS)))
            letter = glyph(number, height_px)
            ink[top : top + letter.shape[0], left : left + letter.shape[1]] = letter
            places.append((top, left, number))
    paper, black = contrast
    return Wall(np.float32(paper) + np.float32(black - paper) * ink, height_px, tuple(places))


class Nobody(Segmenter):
    """Finds nobody: all of the room is seen."""

    makes_mattes = False
    remembers = False
    info = SegmenterInfo("nobody", "", "greenroom.testing", "cpu", 1)

    def segment(self, frame: Frame) -> Picture:
        """See `Segmenter.segment`."""
        return np.zeros((frame.layout.height // 4, frame.layout.width // 4), np.float32)


def seen_through(
    spec: str, wall: Wall, rng: np.random.Generator, *, frames: int, move_px: int = 0
) -> Picture:
    """Film a wall, and average what leaves the engine.

    Parameters
    ----------
    spec : str
        The background; a number is a plain Gaussian blur of so many pixels in its place.
    wall : Wall
        What is behind.
    rng : Generator
        Of the camera's noise, and of its movement.
    frames : int
        How many are averaged.
    move_px : int
        The camera moves by up to this, which the attacker knows and takes back.
    """
    height, width = wall.luma.shape
    layout = Layout(width, height, "yuv420p", Colour(1, 1))
    total = np.zeros(wall.luma.shape, np.float32)
    engine = VirtualBackground(
        background="blur" if spec.isdigit() else spec, quality="fast", segmenter=Nobody()
    )
    with engine:
        for _ in range(frames):
            shift = [int(one) for one in rng.integers(-move_px, move_px + 1, 2)]
            noise = rng.standard_normal(wall.luma.shape, np.float32) * np.float32(NOISE)
            moved = np.roll(wall.luma, shift, (0, 1)) + noise
            frame = Frame.filled(layout, (128, 128, 128))
            frame.planes[0][:] = np.clip(np.rint(moved), 0, 255)
            if spec.isdigit():
                shown = cv2.GaussianBlur(frame.planes[0], (0, 0), float(spec))
            else:
                shown = engine.process(frame).planes[0]
            total += np.roll(shown.astype(np.float32), [-one for one in shift], (0, 1))
    return total / np.float32(frames)


def deconvolved(picture: Picture, sigma_px: float, block_px: float, noise: float) -> Picture:
    """Undo a Gaussian blur and blocks by a Wiener filter, for an amount of noise."""
    pad = 8 * int(np.ceil(sigma_px / 2))
    padded = np.pad(picture - picture.mean(), pad, mode="reflect")
    down = np.fft.fftfreq(padded.shape[0])[:, None]
    across = np.fft.rfftfreq(padded.shape[1])[None]
    transfer = np.exp(-2 * (np.pi * sigma_px) ** 2 * (down**2 + across**2))
    transfer = transfer * np.sinc(block_px * down) * np.sinc(block_px * across)
    inverse = transfer / (transfer**2 + noise)
    sharp = np.fft.irfft2(np.fft.rfft2(padded) * inverse, s=padded.shape)
    return np.asarray(sharp[pad:-pad, pad:-pad], np.float32)


def read_by_deconvolution(
    shown: Picture, wall: Wall, sigma_px: float, block_px: float = 0.0
) -> float:
    """Return the rate of letters that are right after a Wiener deconvolution."""
    templates = _normalised(
        np.stack([-glyph(number, wall.height_px) for number in range(len(LETTERS))])
    )
    right = 0.0
    # Seen through a grid, a blur is a little wider than it is meant to be.
    for width in (1.0, 1.05, 1.1):
        for noise in 10.0 ** np.arange(-9, 0):
            sharp = deconvolved(shown, width * sigma_px, block_px, float(noise))
            _, tall, wide = templates.shape
            patches = np.stack([sharp[y : y + tall, x : x + wide] for y, x, _ in wall.places])
            likeness = np.einsum("nyx,tyx->nt", _normalised(patches), templates)
            numbers = [number for *_, number in wall.places]
            right = max(right, float(np.mean(likeness.argmax(axis=1) == numbers)))
    return right


def read_by_training(shown: Sequence[Picture], walls: Sequence[Wall], sigma_px: float) -> float:
    """Train on three quarters of the walls; return the rate of letters right on the others."""
    scale = max(1.0, walls[0].height_px / 8)
    looks, numbers = [], []
    for picture, wall in zip(shown, walls, strict=True):
        size = (round(picture.shape[1] / scale), round(picture.shape[0] / scale))
        reduced = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        side = 2 * round(max(_SEEN * wall.height_px, 1.2 * sigma_px) / scale) + 1
        for y, x, number in wall.places:
            middle = (x + 0.575 * wall.height_px, y + 0.5 * wall.height_px)
            at = (middle[0] / scale - 0.5, middle[1] / scale - 0.5)
            looks.append(cv2.getRectSubPix(reduced, (side, side), at).ravel())
            numbers.append(number)
    known = len(looks) * 3 // 4
    samples, labels = np.array(looks, np.float64), np.array(numbers)
    means = np.array([samples[:known][labels[:known] == n].mean(0) for n in range(len(LETTERS))])
    scatter = np.cov((samples[:known] - means[labels[:known]]).T)
    right = 0.0
    for trust in 10.0 ** np.arange(-4, 2):
        weights = np.linalg.solve(scatter + trust * np.eye(len(scatter)), means.T)
        scores = samples[known:] @ weights - 0.5 * np.einsum("nf,fn->n", means, weights)
        right = max(right, float(np.mean(scores.argmax(axis=1) == labels[known:])))
    return right


def _normalised(pictures: Picture) -> Picture:
    """Take the mean from each of several pictures, and make them equally strong."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    strength = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(centred / (strength + np.float32(1e-9)), np.float32)
