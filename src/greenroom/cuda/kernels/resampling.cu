/* Resizing of planes and mattes; as core/resampling.c, core/pyramid.c and core/input.c. */
#include "kernel.cuh"

/* Take the rounded mean of every 2x2 samples; the last row and column repeat if odd. */
GR_KERNEL(halve)(const uint8_t *plane, ptrdiff_t stride, int height, int width, uint8_t *out) {
    GR_WITHIN((width + 1) / 2, (height + 1) / 2)
    const uint8_t *first = plane + 2 * y * stride;
    const uint8_t *second = plane + gr_min(2 * y + 1, height - 1) * stride;
    int left = 2 * x, right = gr_min(2 * x + 1, width - 1);
    out[(ptrdiff_t)y * ((width + 1) / 2) + x] =
        GR_MEAN_OF_FOUR(first[left], first[right], second[left], second[right]);
}

/* Reduce a plane (high, wide) to about two thirds (height, width), both even. */
GR_KERNEL(two_thirds)(const uint8_t *plane, ptrdiff_t stride, int high, int wide, uint8_t *out,
                      int height, int width) {
    GR_WITHIN(width, height)
    int top = gr_third_start(y / 2, height / 2, high);
    int left = gr_third_start(x / 2, width / 2, wide) + x % 2;
    const uint8_t *near = plane + (top + 2 * (y % 2)) * stride + left;
    const uint8_t *far = plane + (top + 1) * stride + left;
    uint16_t first = GR_THIRD_OF_ROWS(near[0], far[0]);
    uint16_t second = GR_THIRD_OF_ROWS(near[1], far[1]);
    out[(ptrdiff_t)y * width + x] = GR_THIRD_OF_SAMPLES(first, second);
}

/* Enlarge values (high, wide) in 0..1 to samples (height, width) in 0..255, bilinearly. NaN
 * becomes 0. */
GR_KERNEL(upsample)(const float *coarse, int high, int wide, uint8_t *out, ptrdiff_t stride,
                    int height, int width) {
    GR_WITHIN(width, height)
    float value = 255.0f * gr_bilinear(coarse, high, wide, x, y, height, width) + 0.5f;
    out[y * stride + x] = gr_byte(gr_within(value, 0.0f, 255.5f));
}

GR_SAMPLE float gr_area_mean(const uint8_t *plane, ptrdiff_t stride, int high, int wide, int x,
                             int y, int height, int width) {
    double down = (double)high / height, across = (double)wide / width;
    double top = y * down, bottom = (y + 1) * down, start = x * across, stop = (x + 1) * across;
    int first = (int)start, last = gr_min((int)stop, wide - 1);
    float area = (float)((double)height * width / ((double)high * wide)), total = 0;
    for (int row = (int)top; row < gr_min((int)bottom + 1, high); row++) {
        float share = area * gr_share_between(top, bottom, row);
        const uint8_t *line = plane + row * stride;
        for (int at = first; at <= last; at++)
            total += share * (float)line[at] * gr_share_between(start, stop, at);
    }
    return total;
}

/* Reduce a plane (high, wide) to a smaller grid (height, width) by area means. */
GR_KERNEL(shrink)(const uint8_t *plane, ptrdiff_t stride, int high, int wide, float *out,
                  int height, int width) {
    GR_WITHIN(width, height)
    out[(ptrdiff_t)y * width + x] = gr_area_mean(plane, stride, high, wide, x, y, height, width);
}

/* The same, rounded. */
GR_KERNEL(shrink_to_bytes)(const uint8_t *plane, ptrdiff_t stride, int high, int wide,
                           uint8_t *out, int height, int width) {
    GR_WITHIN(width, height)
    float mean = gr_area_mean(plane, stride, high, wide, x, y, height, width);
    out[(ptrdiff_t)y * width + x] = gr_byte(gr_within(rintf(mean), 0.0f, 255.0f));
}

/* Take evenly spaced samples of a plane (high, wide). */
GR_KERNEL(pick_samples)(const uint8_t *plane, ptrdiff_t stride, int high, int wide, uint8_t *out,
                        int height, int width) {
    GR_WITHIN(width, height)
    ptrdiff_t row = gr_picked(y, high, height), column = gr_picked(x, wide, width);
    out[(ptrdiff_t)y * width + x] = plane[row * stride + column];
}

/* Copy a plane. */
GR_KERNEL(copy_plane)(const uint8_t *plane, ptrdiff_t stride, uint8_t *out, ptrdiff_t out_stride,
                      int height, int width) {
    GR_WITHIN(width, height)
    out[y * out_stride + x] = plane[y * stride + x];
}

/* Fill a plane with one sample. */
GR_KERNEL(fill_plane)(int sample, uint8_t *out, ptrdiff_t stride, int height, int width) {
    GR_WITHIN(width, height)
    out[y * stride + x] = (uint8_t)sample;
}

/* A sample of a plane that is resized by two tables, not yet limited to 0..255; see `Table` in
 * core/input.c. */
GR_SAMPLE float gr_by_tables(const uint8_t *plane, ptrdiff_t stride, const int32_t *down,
                             const int32_t *across, int x, int y) {
    int rows = down[1], columns = across[1];
    const float *by_row = (const float *)(const void *)(down + 2 + rows) + y;
    const float *by_column = (const float *)(const void *)(across + 2 + columns) + x;
    const uint8_t *from = plane + down[2 + y] * stride + across[2 + x];
    float total = 0;
    for (int column = 0; column < across[0]; column++) {
        float sum = 0;
        for (int row = 0; row < down[0]; row++)
            sum += by_row[(ptrdiff_t)row * rows] * from[row * stride + column];
        total += by_column[(ptrdiff_t)column * columns] * sum;
    }
    return total;
}

/* Resize a plane by two tables, to as many rows and columns as these have. */
GR_KERNEL(resize)(const uint8_t *plane, ptrdiff_t stride, const int32_t *down,
                  const int32_t *across, uint8_t *out) {
    GR_WITHIN(across[1], down[1])
    float value = gr_by_tables(plane, stride, down, across, x, y);
    out[(ptrdiff_t)y * across[1] + x] = gr_byte(gr_clampf(value, 0.0f, 255.0f) + 0.5f);
}

/* Fill a network's input (h, w, 3) from three planes, each resized by two tables; see
 * gr_fill. */
GR_KERNEL(fill)(const uint8_t *first, ptrdiff_t first_stride, const int32_t *first_down,
                const int32_t *first_across, const uint8_t *second, ptrdiff_t second_stride,
                const int32_t *second_down, const int32_t *second_across, const uint8_t *third,
                ptrdiff_t third_stride, const int32_t *third_down, const int32_t *third_across,
                const float *matrix, const float *limits, float *out) {
    GR_WITHIN(first_across[1], first_down[1])
    float a = gr_by_tables(first, first_stride, first_down, first_across, x, y);
    float b = gr_by_tables(second, second_stride, second_down, second_across, x, y);
    float c = gr_by_tables(third, third_stride, third_down, third_across, x, y);
    a = gr_clampf(a, 0.0f, 255.0f), b = gr_clampf(b, 0.0f, 255.0f), c = gr_clampf(c, 0.0f, 255.0f);
    float *target = out + 3 * ((ptrdiff_t)y * first_across[1] + x);
    for (int channel = 0; channel < 3; channel++)
        target[channel] = gr_mixed(matrix + 4 * channel, limits + 2 * channel, a, b, c);
}
