/* Kernels: one thread for each sample of a grid of columns and rows, and of layers where there are
 * several. They keep nothing in common, so that any order of threads gives the same result.
 *
 * The arithmetic of a sample is in the headers of the core. A plane is given by the address of its
 * first sample and its stride, as there; everything else is contiguous. */
#ifndef GREENROOM_KERNEL_H
#define GREENROOM_KERNEL_H

#include "samples.h"

#define GR_KERNEL(name) extern "C" __global__ void gr_##name
/* Place of a thread; those outside the grid end. */
#define GR_WITHIN(columns, rows)                   \
    int x = blockIdx.x * blockDim.x + threadIdx.x; \
    int y = blockIdx.y * blockDim.y + threadIdx.y; \
    if (x >= (columns) || y >= (rows)) return;

GR_SAMPLE GrLimits gr_numbers(void) {
    GrLimits limits = {0.0f, 0.5f, 255.0f, 1.0f};
    return limits;
}

/* A sample of a grid (high, wide) that is enlarged bilinearly to (height, width). */
GR_SAMPLE float gr_bilinear(const float *grid, int high, int wide, int x, int y, int height,
                            int width) {
    int left, top;
    float across = gr_placed(x, wide, width, &left), down = gr_placed(y, high, height, &top);
    int right = gr_min(left + 1, wide - 1), bottom = gr_min(top + 1, high - 1);
    const float *upper = grid + (ptrdiff_t)top * wide, *lower = grid + (ptrdiff_t)bottom * wide;
    float first = upper[left] + (upper[right] - upper[left]) * across;
    float second = lower[left] + (lower[right] - lower[left]) * across;
    return first + (second - first) * down;
}

/* The sample that OpenCV picks of `count`, for one of `length` evenly spaced ones: its steps are one
 * by the ratio of the lengths in double, rounded twice. */
GR_SAMPLE int gr_picked(int index, int count, int length) {
    return gr_min((int)(index * (1.0 / ((double)length / count))), count - 1);
}

#endif
