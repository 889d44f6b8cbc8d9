"""Fusion of two models' answers: a logarithmic opinion pool [1]_.

The log odds of both answers are added, with a weight for each and a bias; where both are certain,
so is the result. A model that does not see somebody at all is as confident of that: where the
second misses what the first is sure of, the first one's answer remains, unless the pool finds more.

References
----------
.. [1] C. Genest and J. V. Zidek, "Combining Probability Distributions: A Critique and an Annotated
   Bibliography", Statistical Science 1(1), 1986.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.segmenters.card import FusionSpec

    Floats = NDArray[np.float32]

__all__ = ["fuse", "pool"]

# Log odds from which an answer is certain.
_CERTAIN: Final = 12.0
# Coverage from which the first model is sure.
_SURE: Final = 0.9
# Half the width of the square in which the second model must see what the first is sure of, as a
# share of the answer's shorter side.
_REACH: Final = 0.08
# Weight of places where the first is sure of nothing: there the second counts in full.
_PRIOR: Final = 1e-4


def fuse(first: Floats, second: Floats, fusion: FusionSpec) -> Floats:
    """Fuse two models' answers.

    Parameters
    ----------
    first, second : (h, w) float32
        Coverage of the same part of a picture, 0 to 1. Read only. Both may be on any grid, and the
        second may come of an earlier frame if it was moved to this one.
    fusion : FusionSpec
        Weights and bias.

    Returns
    -------
    (h, w) float32
        Coverage, in new memory; 0 where both are 0, and 1 where both are 1.
    """
    pooled = pool(first, second, fusion)
    seen = _seen_share(first, second)
    return np.asarray(seen * pooled + (1 - seen) * np.maximum(first, pooled), np.float32)


def pool(first: Floats, second: Floats, fusion: FusionSpec) -> Floats:
    """Add the log odds of two answers; where both are certain, so is the result.

    Parameters and result are those of `fuse`, which also asks whether the second sees the person.
    """
    odds = np.full(first.shape, fusion.bias, np.float32)
    for answer, weight in zip((first, second), fusion.weights, strict=True):
        odds += np.float32(weight) * _log_odds(answer)
    reach = _CERTAIN * sum(fusion.weights)
    low, high = _sigmoid(np.array([fusion.bias - reach, fusion.bias + reach], np.float32))
    return np.asarray(np.clip((_sigmoid(odds) - low) / (high - low), 0, 1), np.float32)


def _log_odds(coverage: Floats) -> Floats:
    least = np.float32(1 / (1 + np.exp(_CERTAIN)))
    inside = np.clip(coverage, least, 1 - least)
    return np.asarray(np.log(inside / (1 - inside)), np.float32)


def _sigmoid(odds: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds), np.float32)


def _seen_share(first: Floats, second: Floats) -> Floats:
    """Return the share of what the first is sure of, around each sample, that the second sees."""
    side = 2 * max(1, round(_REACH * min(first.shape))) + 1
    sure = np.asarray(first >= _SURE, np.float32)
    found = cv2.blur(sure * second, (side, side), borderType=cv2.BORDER_REPLICATE)
    all_sure = cv2.blur(sure, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.asarray((found + _PRIOR) / (all_sure + _PRIOR), np.float32)
