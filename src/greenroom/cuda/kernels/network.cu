/* Input and output of networks; as core/network.c. */
#include "kernel.cuh"

/* Fill a network's input from three planes of `count` samples; see gr_mix. */
GR_KERNEL(mix)(const uint8_t *first, const uint8_t *second, const uint8_t *third, int count,
               const float *matrix, const float *limits, int planar, int bytes, void *out) {
    GR_WITHIN(count, 1)
    float a = first[x], b = second[x], c = third[x];
    for (int channel = 0; channel < 3; channel++) {
        float value = gr_mixed(matrix + 4 * channel, limits + 2 * channel, a, b, c);
        ptrdiff_t at = planar ? (ptrdiff_t)channel * count + x : 3 * (ptrdiff_t)x + channel;
        if (bytes) ((uint8_t *)out)[at] = gr_byte(value);
        else ((float *)out)[at] = value;
    }
}

/* Compute the logit of the best kept class minus that of the best other class; see gr_margin. */
GR_KERNEL(margin)(const float *logits, ptrdiff_t stride, ptrdiff_t step, ptrdiff_t apart,
                  int height, int width, int channels, const float *handicaps, float *out) {
    GR_WITHIN(width, height)
    const float *from = logits + y * stride + x * step;
    float best = from[0] + handicaps[0], rest = from[0] + handicaps[channels], total = 0;
    for (int channel = 0; channel < channels; channel++) {
        float value = from[channel * apart];
        total += value;
        best = gr_maxf(best, value + handicaps[channel]);
        rest = gr_maxf(rest, value + handicaps[channels + channel]);
    }
    out[(ptrdiff_t)y * width + x] = best - rest + (total - total);
}

/* Take coverage of any strides, with what is not over `least` as zero. `wrong` becomes 1 if any is
 * no number, or further than `tolerance` from 0..1. */
GR_KERNEL(take_coverage)(const float *values, ptrdiff_t stride, ptrdiff_t step, int height,
                         int width, float least, float tolerance, float *out, int32_t *wrong) {
    GR_WITHIN(width, height)
    float value = values[y * stride + x * step];
    if (!(value >= -tolerance && value <= 1.0f + tolerance)) *wrong = 1;
    out[(ptrdiff_t)y * width + x] = value > least ? value : 0.0f;
}

/* Take one value of every `step` in each direction, from the first. */
GR_KERNEL(pick_values)(const float *values, ptrdiff_t stride, ptrdiff_t apart, int step, float *out,
                       int height, int width) {
    GR_WITHIN(width, height)
    out[(ptrdiff_t)y * width + x] = values[(ptrdiff_t)y * step * stride + (ptrdiff_t)x * step * apart];
}

/* Compute the difference between a foreground and the network's input planes; see
 * gr_difference. `wrong` becomes 1 if any is not a finite number. */
GR_KERNEL(difference)(const float *colours, ptrdiff_t stride, ptrdiff_t step, ptrdiff_t apart,
                      int height, int width, const uint8_t *first, const uint8_t *second,
                      const uint8_t *third, const float *matrix, float *out, int32_t *wrong) {
    GR_WITHIN(width, height)
    const float *colour = colours + y * stride + x * step;
    ptrdiff_t at = (ptrdiff_t)y * width + x, size = (ptrdiff_t)height * width;
    float red = colour[0], green = colour[apart], blue = colour[2 * apart];
    for (int plane = 0; plane < 3; plane++) {
        const float *by = matrix + 4 * plane;
        const uint8_t seen = plane == 0 ? first[at] : plane == 1 ? second[at] : third[at];
        float value = by[0] * red + by[1] * green + by[2] * blue + by[3] - seen;
        out[plane * size + at] = value;
        if (!(value - value == 0.0f)) *wrong = 1;
    }
}

/* Add changes (high, wide), enlarged bilinearly, to a plane. */
GR_KERNEL(add_enlarged)(const uint8_t *plane, ptrdiff_t stride, const float *change, int high,
                        int wide, uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    GR_WITHIN(width, height)
    float value = plane[y * stride + x] + gr_bilinear(change, high, wide, x, y, height, width);
    out[y * out_stride + x] = gr_byte(gr_within(rintf(value), 0.0f, 255.0f));
}
