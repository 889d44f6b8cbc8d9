/* Samples of the small grids that depend on those around them. */
#ifndef GREENROOM_GRIDS_CUH
#define GREENROOM_GRIDS_CUH

#include "kernel.cuh"
#include "grid_samples.h"

/* Mean of 3x3 samples, mirrored beyond the border: of one grid, or of the product of two. */
GR_SAMPLE float gr_mean_around(const float *one, const float *other, int x, int y, int height,
                               int width) {
    float total = 0;
    for (int column = x - 1; column <= x + 1; column++) {
        float sum = 0;
        for (int row = y - 1; row <= y + 1; row++) {
            ptrdiff_t at = (ptrdiff_t)gr_mirrored(row, height) * width + gr_mirrored(column, width);
            sum += other ? one[at] * other[at] : one[at];
        }
        total += sum * (1 / 9.0f);
    }
    return total;
}

/* Sample (x, y) of a grid (high, wide) at twice its size. */
GR_SAMPLE float gr_doubled(const float *grid, int x, int y, int high, int wide) {
    const float *near = grid + (ptrdiff_t)(y / 2) * wide;
    const float *far = grid + (ptrdiff_t)gr_far(y, high) * wide;
    int here = x / 2, beside = gr_far(x, wide);
    float first = 0.75f * near[here] + 0.25f * far[here];
    float second = 0.75f * near[beside] + 0.25f * far[beside];
    return 0.75f * first + 0.25f * second;
}

#endif
