/* Colours of the person and of the room beside soft edges; as core/edges.c, in four kernels.
 *
 * Sums are (channels, rows, columns) of cells of 2x2 samples: for the person and then for the room
 * the weights, weighted samples of every plane, and weighted squares of the first plane. */
#include "kernel.cuh"
#include "edge_colours.h"

/* Sum the cells of planes (count, height, width); a layer for each side. */
GR_KERNEL(edge_cells)(const uint8_t *planes, const uint8_t *matte, int count, int height,
                      int width, float *sums) {
    int columns = (width + 1) / 2, rows = (height + 1) / 2, side = blockIdx.z;
    GR_WITHIN(columns, rows)
    ptrdiff_t cells = (ptrdiff_t)rows * columns, area = (ptrdiff_t)height * width;
    float *target = sums + side * (count + 2) * cells + (ptrdiff_t)y * columns + x;
    float weights = 0, squares = 0;
    for (int channel = 0; channel < count; channel++) target[(1 + channel) * cells] = 0;
    for (int row = 2 * y; row < gr_min(2 * y + 2, height); row++)
        for (int column = 2 * x; column < gr_min(2 * x + 2, width); column++) {
            ptrdiff_t at = (ptrdiff_t)row * width + column;
            float weight = gr_certainty(matte[at], side);
            weights += weight;
            for (int channel = 0; channel < count; channel++)
                target[(1 + channel) * cells] += weight * planes[channel * area + at];
            squares += weight * planes[at] * planes[at];
        }
    target[0] = weights;
    target[(1 + count) * cells] = squares;
}

/* Sum the columns of every channel. */
GR_KERNEL(edge_columns)(const float *sums, int channels, int rows, int columns, float *totals) {
    GR_WITHIN(columns, channels)
    const float *from = sums + (ptrdiff_t)y * rows * columns + x;
    float total = 0;
    for (int row = 0; row < rows; row++) total += from[(ptrdiff_t)row * columns];
    totals[(ptrdiff_t)y * columns + x] = total;
}

/* Sum every channel. */
GR_KERNEL(edge_totals)(const float *totals, int channels, int columns, float *whole) {
    GR_WITHIN(channels, 1)
    float total = 0;
    for (int column = 0; column < columns; column++) total += totals[x * columns + column];
    whole[x] = total;
}

/* Sum the four cells around every corner; cells at the border repeat. A layer for each
 * channel. */
GR_KERNEL(edge_corners)(const float *sums, int rows, int columns, float *near) {
    GR_WITHIN(columns + 1, rows + 1)
    const float *from = sums + (ptrdiff_t)blockIdx.z * rows * columns;
    const float *upper = from + (ptrdiff_t)gr_max(y - 1, 0) * columns;
    const float *lower = from + (ptrdiff_t)gr_min(y, rows - 1) * columns;
    int left = gr_max(x - 1, 0), right = gr_min(x, columns - 1);
    near[((ptrdiff_t)blockIdx.z * (rows + 1) + y) * (columns + 1) + x] =
        upper[left] + upper[right] + lower[left] + lower[right];
}

/* Sum a corner with those around it, two apart; corners at the border repeat. */
GR_SAMPLE float gr_sum_around(const float *near, int x, int y, int rows, int columns) {
    float total = 0;
    for (int column = x - 2; column <= x + 2; column += 2) {
        int at = gr_max(0, gr_min(column, columns));
        for (int row = y - 2; row <= y + 2; row += 2)
            total += near[(ptrdiff_t)gr_max(0, gr_min(row, rows)) * (columns + 1) + at];
    }
    return total;
}

/* Make the maps (count, 3, rows + 1, columns + 1) from the corners' sums. */
GR_KERNEL(edge_maps)(const float *near, const float *whole, int count, int rows, int columns,
                     float *maps) {
    GR_WITHIN(columns + 1, rows + 1)
    ptrdiff_t map = (ptrdiff_t)(rows + 1) * (columns + 1), at = (ptrdiff_t)y * (columns + 1) + x;
    float colours[2], squares[2];
    for (int side = 0; side < 2; side++) {
        int first = side * (count + 2);
        const float *of = near + first * map;
        float inverse = 1.0f / (of[at] + GR_WIDER);
        float far_inverse = 1.0f / (gr_sum_around(of, x, y, rows, columns) + GR_WHOLE);
        for (int index = 0; index <= count; index++) {
            const float *channel = of + (1 + index) * map;
            float rest = gr_rest(whole[first + 1 + index], whole[first], index == count);
            float far = gr_sum_around(channel, x, y, rows, columns);
            float mean = gr_mean_beside(channel[at], far, inverse, far_inverse, rest);
            if (index == 0) colours[side] = mean;
            if (index == count) squares[side] = mean;
            else maps[(3 * index + side) * map + at] = mean;
        }
    }
    float doubt = gr_doubt(colours[0], squares[0], colours[1], squares[1]);
    for (int plane = 0; plane < count; plane++) maps[(3 * plane + 2) * map + at] = doubt;
}
