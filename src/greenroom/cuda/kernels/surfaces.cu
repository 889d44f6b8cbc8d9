/* Pictures in memory of a decoder. */
#include "kernel.cuh"

/* Eight bits of a sample of ten, with the ordered dither of libswscale's copies, which `full` luma
 * is scaled by a little less. */
GR_SAMPLE int gr_dithered(int value, int full, int x, int y) {
    int dither = y & 1 ? (x & 1 ? 0 : 3) : 1 + (x & 1);
    if (full) return (value - (value >> 8) + dither) >> 2;
    return ((value + dither) >> 2) - ((value + dither) >> 10);
}

/* Take the samples that lie `step` bytes apart out of rows that lie `stride` bytes apart. With
 * `deep` they have ten bits, the upper ones of 16; `full` is for luma of full range. */
GR_KERNEL(take_samples)(const uint8_t *samples, ptrdiff_t stride, ptrdiff_t step, int deep,
                        int full, uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    GR_WITHIN(width, height)
    const uint8_t *sample = samples + y * stride + x * step;
    int value = sample[0];
    if (deep) value = gr_dithered((value + (sample[1] << 8)) >> 6, full, x, y);
    out[y * out_stride + x] = (uint8_t)value;
}
