/* Pictures in memory of a decoder. */
#include "kernel.cuh"

/* Take the samples that lie `step` bytes apart out of rows that lie `stride` bytes apart; `deep`
 * ones have 16 bits, of which the upper 8 are kept, rounded. */
GR_KERNEL(take_samples)(const uint8_t *samples, ptrdiff_t stride, ptrdiff_t step, int deep,
                        uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    GR_WITHIN(width, height)
    const uint8_t *sample = samples + y * stride + x * step;
    int value = deep ? gr_min((sample[0] + (sample[1] << 8) + 128) >> 8, 255) : sample[0];
    out[y * out_stride + x] = (uint8_t)value;
}
