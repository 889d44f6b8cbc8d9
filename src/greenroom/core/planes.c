/* Blending of whole planes: what is put over a picture, and light that falls on a person in it. */
#include "core.h"
#include "samples.h"

static void put_over(const uint8_t *restrict front, const uint8_t *restrict back,
                     const uint8_t *restrict coverage, uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = (uint8_t)gr_over_bytes(front[x], back[x], coverage[x]);
}

static void put_into(const uint8_t *restrict front, const uint8_t *restrict coverage,
                     uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = (uint8_t)gr_over_bytes(front[x], out[x], coverage[x]);
}

/* Blend two planes (height, width) by coverage, which is contiguous: exact to rounding. The result
 * may be where the second one is, and is apart from all others. */
GR_EXPORT int gr_over_plane(const uint8_t *front, ptrdiff_t front_stride, const uint8_t *back,
                            ptrdiff_t back_stride, const uint8_t *coverage, uint8_t *out,
                            ptrdiff_t out_stride, int height, int width) {
    for (int y = 0; y < height; y++) {
        const uint8_t *source = front + y * front_stride, *behind = back + y * back_stride;
        const uint8_t *share = coverage + (size_t)y * width;
        uint8_t *target = out + y * out_stride;
        if (target == behind) put_into(source, share, target, width);
        else put_over(source, behind, share, target, width);
    }
    return GR_OK;
}

static void light_row(const uint8_t *restrict light, const uint8_t *restrict weight,
                      const uint8_t *restrict back, const uint8_t *restrict coverage, float least,
                      uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++)
        out[x] = gr_lit(out[x], light[x], weight[x], back[x], coverage[x], least);
}

/* Move the person in a composite (height, width), in place, toward the light by a weight, and only
 * up if that is said. light, weight and coverage are contiguous; back is what is behind. */
GR_EXPORT int gr_spill(const uint8_t *light, const uint8_t *weight, const uint8_t *back,
                       ptrdiff_t back_stride, const uint8_t *coverage, int only_lighter,
                       uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * width;
        light_row(light + at, weight + at, back + y * back_stride, coverage + at,
                  only_lighter ? 0.0f : -255.0f, out + y * out_stride, width);
    }
    return GR_OK;
}
