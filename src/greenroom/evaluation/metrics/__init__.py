"""Metrics that compare a predicted matte with the true one.

Every metric takes a predicted and a true matte, read only and of one shape (height, width), as
uint8 (0 to 255) or floating point (0 to 1), in any mix of the two. It returns a plain float, and
raises `FormatError` where the shapes differ or something is not a matte. All are taken over the
whole picture (no trimap), and are symmetric in the two mattes unless they say otherwise.

Means and shares are on the scale 0 to 1; papers and tables print `mad` and `mse` times 1000 and
dtSSD times 100: that is left to the caller. `leak` is in percent. `sad`, `gradient_error` and
`connectivity_error` are sums over the picture, so they grow with its size; they are in thousands,
as papers print them. A foreground mask is where the coverage is above one half.

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
from greenroom.evaluation.metrics.flicker import DtssdMeter
from greenroom.evaluation.metrics.overlap import BAND_PX, boundary_iou, iou, leak

__all__ = [
    "BAND_PX",
    "DtssdMeter",
    "boundary_iou",
    "connectivity_error",
    "gradient_error",
    "iou",
    "leak",
    "mad",
    "mse",
    "sad",
]
