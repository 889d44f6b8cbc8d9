"""Metrics that compare a predicted matte with the true one.

Every metric takes a predicted and a true matte of one shape, as uint8 (0 to
255) or floating point (0 to 1), in any mix of the two, and returns a plain
float. Means and shares are on the scale 0 to 1; papers and tables print `mad`
and `mse` times 1000 and `dtssd` times 100: that is left to the caller. `leak` is
in percent. `sad`, `gradient_error` and `connectivity_error` are sums over the
picture, so they grow with its size; they are in thousands, as papers print them.

A metric is NaN where the truth leaves nothing to measure (each function says
when), so that an average over frames can skip it with `numpy.nanmean` instead
of being flattered by it.
"""

from greenroom.evaluation.metrics.differences import (
    connectivity_error,
    gradient_error,
    mad,
    mse,
    sad,
)
from greenroom.evaluation.metrics.flicker import DtssdMeter, dtssd
from greenroom.evaluation.metrics.overlap import BAND_PX, boundary_iou, iou, leak

__all__ = [
    "BAND_PX",
    "DtssdMeter",
    "boundary_iou",
    "connectivity_error",
    "dtssd",
    "gradient_error",
    "iou",
    "leak",
    "mad",
    "mse",
    "sad",
]
