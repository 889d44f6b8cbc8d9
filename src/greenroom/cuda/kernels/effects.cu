/* Effects on planes; as core/effects.c. */
#include "kernel.cuh"

/* Look samples up in a table (256). */
GR_KERNEL(look_up)(const uint8_t *plane, ptrdiff_t stride, const uint8_t *table, uint8_t *out,
                   ptrdiff_t out_stride, int height, int width) {
    GR_WITHIN(width, height)
    out[y * out_stride + x] = table[plane[y * stride + x]];
}

/* Exchange left and right. With `paired`, each sample is the rounded mean of an old one and the
 * one before it. */
GR_KERNEL(mirror)(const uint8_t *plane, ptrdiff_t stride, int paired, uint8_t *out,
                  ptrdiff_t out_stride, int height, int width) {
    GR_WITHIN(width, height)
    int from = width - 1 - x;
    const uint8_t *line = plane + y * stride;
    uint8_t sample = line[from];
    if (paired) sample = gr_byte(rintf(0.5f * sample + 0.5f * line[gr_max(from - 1, 0)]));
    out[y * out_stride + x] = sample;
}

/* Multiply chroma, less 128, by gains in 64ths, which are contiguous. */
GR_KERNEL(scale_chroma)(const uint8_t *plane, ptrdiff_t stride, const uint8_t *gain, uint8_t *out,
                        ptrdiff_t out_stride, int height, int width) {
    GR_WITHIN(width, height)
    out[y * out_stride + x] =
        gr_scaled_chroma(plane[y * stride + x], gain[(ptrdiff_t)y * width + x]);
}

/* Map luma by a curve, and scale the difference from luma by a gain; see gr_tone_rgb. */
GR_KERNEL(tone_rgb)(const uint8_t *green, ptrdiff_t green_stride, const uint8_t *blue,
                    ptrdiff_t blue_stride, const uint8_t *red, ptrdiff_t red_stride, int height,
                    int width, const float *weights, const float *curve, const float *gain,
                    uint8_t *out_green, ptrdiff_t out_green_stride, uint8_t *out_blue,
                    ptrdiff_t out_blue_stride, uint8_t *out_red, ptrdiff_t out_red_stride) {
    GR_WITHIN(width, height)
    uint8_t g = green[y * green_stride + x], b = blue[y * blue_stride + x];
    uint8_t r = red[y * red_stride + x];
    float luma = weights[0] * g + weights[1] * b + weights[2] * r;
    uint8_t index = gr_byte(luma + 0.5f);
    float moved = curve[index], factor = gain[index];
    out_green[y * out_green_stride + x] = gr_toned(g, luma, moved, factor);
    out_blue[y * out_blue_stride + x] = gr_toned(b, luma, moved, factor);
    out_red[y * out_red_stride + x] = gr_toned(r, luma, moved, factor);
}

/* Enlarge a part of a plane (high, wide) to another one; see gr_enlarge. */
GR_KERNEL(enlarge)(const uint8_t *plane, ptrdiff_t stride, int high, int wide, double left,
                   double top, double scale, int sharp, uint8_t *out, ptrdiff_t out_stride,
                   int height, int width) {
    GR_WITHIN(width, height)
    int column, row;
    float across[4], down[4], value = 0;
    gr_weigh_four(gr_place_in_part(left, x, scale, wide, &column), sharp, across);
    gr_weigh_four(gr_place_in_part(top, y, scale, high, &row), sharp, down);
    for (int i = sharp ? 0 : 1; i < (sharp ? 4 : 3); i++) {
        const uint8_t *line = plane + gr_max(0, gr_min(row - 1 + i, high - 1)) * stride;
        float sum = 0;
        for (int k = sharp ? 0 : 1; k < (sharp ? 4 : 3); k++)
            sum += across[k] * line[gr_max(0, gr_min(column - 1 + k, wide - 1))];
        value += down[i] * sum;
    }
    out[y * out_stride + x] = gr_limited_byte(value + 0.5f);
}
