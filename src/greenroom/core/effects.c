/* Loops over planes for the effects. */
#include "core.h"
#include "samples.h"

enum { STRIP = 512 }; /* columns enlarged at a time, which fit into the cache */

/* Copy a part of a row; beyond its ends the first and the last sample repeat. */
static void pad(const uint8_t *row, int count, int start, int stop, uint8_t *padded) {
    for (; start < 0; start++) *padded++ = row[0];
    int inside = gr_max(gr_min(stop, count) - start, 0);
    memcpy(padded, row + start, (size_t)inside);
    memset(padded + inside, row[count - 1], (size_t)(stop - start - inside));
}

/* Gather four adjacent samples as one number, the first one in the lowest byte. */
static void pick(const uint8_t *restrict samples, const uint32_t *restrict left,
                 uint32_t *restrict fours, int count) {
    for (int x = 0; x < count; x++) memcpy(fours + x, samples + left[x], sizeof *fours);
}

static inline float nth(uint32_t four, int index) {
    return (float)(int32_t)(four >> 8 * index & 255);
}

static void stretch_sharp(const uint32_t *restrict fours, const float *restrict a,
                          const float *restrict b, const float *restrict c,
                          const float *restrict d, float *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        uint32_t four = fours[x];
        float outer = nth(four, 0) * a[x] + nth(four, 3) * d[x];
        row[x] = nth(four, 1) * b[x] + nth(four, 2) * c[x] + outer;
    }
}

static void stretch(const uint32_t *restrict fours, const float *restrict share,
                    float *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        float value = nth(fours[x], 1);
        row[x] = value + (nth(fours[x], 2) - value) * share[x];
    }
}

static void sum_sharp(const float *restrict a, const float *restrict b, const float *restrict c,
                      const float *restrict d, const float *weights, uint8_t *restrict out,
                      int count) {
    float by_a = weights[0], by_b = weights[1], by_c = weights[2], by_d = weights[3];
    for (int x = 0; x < count; x++) {
        float value = a[x] * by_a + b[x] * by_b + c[x] * by_c + d[x] * by_d + 0.5f;
        out[x] = gr_limited_byte(value);
    }
}

static void sum(const float *restrict a, const float *restrict b, const float *weights,
                uint8_t *restrict out, int count) {
    float by_a = weights[1], by_b = weights[2];
    for (int x = 0; x < count; x++) out[x] = gr_byte(a[x] * by_a + b[x] * by_b + 0.5f);
}

/* A part of a plane (high, wide), at a distance of `scale` samples for each of the result. */
typedef struct {
    const uint8_t *plane;
    ptrdiff_t stride;
    int high, wide, sharp;
    double left, top, scale;
} Part;

/* What makes a strip of columns of the result: the offset of each in the padded row, its
 * weights, and the rows stretched last. Row y is kept at y & 3. */
typedef struct {
    int start, stop;
    uint32_t lefts[STRIP], fours[STRIP];
    float columns[4][STRIP], rows[4][STRIP];
} Strip;

static void prepare(const Part *part, int x, int count, Strip *strip) {
    int first, last;
    gr_place_in_part(part->left, x, part->scale, part->wide, &first);
    gr_place_in_part(part->left, x + count - 1, part->scale, part->wide, &last);
    strip->start = gr_min(first, last) - 1, strip->stop = gr_max(first, last) + 3;
    for (int index = 0; index < count; index++) {
        int before;
        float weights[4];
        double share = gr_place_in_part(part->left, x + index, part->scale, part->wide, &before);
        gr_weigh_four(share, part->sharp, weights);
        strip->lefts[index] = (uint32_t)(before - 1 - strip->start);
        for (int number = 0; number < 4; number++) strip->columns[number][index] = weights[number];
    }
}

static void stretch_row(const Part *part, int y, int count, Strip *strip, uint8_t *padded) {
    float(*columns)[STRIP] = strip->columns, *row = strip->rows[y & 3];
    const uint8_t *samples = part->plane + gr_min(gr_max(y, 0), part->high - 1) * part->stride;
    pad(samples, part->wide, strip->start, strip->stop, padded);
    pick(padded, strip->lefts, strip->fours, count);
    if (part->sharp)
        stretch_sharp(strip->fours, columns[0], columns[1], columns[2], columns[3], row, count);
    else stretch(strip->fours, columns[2], row, count);
}

static void enlarge_strip(const Part *part, int height, int count, Strip *strip, uint8_t *padded,
                          uint8_t *out, ptrdiff_t stride) {
    int held[4] = {-9, -9, -9, -9}; /* rows beyond the borders repeat the outermost */
    float(*rows)[STRIP] = strip->rows;
    for (int y = 0; y < height; y++) {
        int before;
        float weights[4];
        double share = gr_place_in_part(part->top, y, part->scale, part->high, &before);
        gr_weigh_four(share, part->sharp, weights);
        for (int index = before - part->sharp; index < before + 2 + part->sharp; index++)
            if (held[index & 3] != index) {
                held[index & 3] = index;
                stretch_row(part, index, count, strip, padded);
            }
        const float *second = rows[before & 3], *third = rows[(before + 1) & 3];
        if (part->sharp)
            sum_sharp(rows[(before - 1) & 3], second, third, rows[(before + 2) & 3], weights,
                      out + y * stride, count);
        else sum(second, third, weights, out + y * stride, count);
    }
}

/* Enlarge a part of a plane (high, wide) to another one (height, width).
 *
 * Sample (x, y) of the result is that at left + (x + 0.5) * scale - 0.5 of the plane, and
 * likewise down, interpolated linearly, or cubically if `sharp`. Edges repeat. */
GR_EXPORT int gr_enlarge(const uint8_t *plane, ptrdiff_t stride, int high, int wide, double left,
                         double top, double scale, int sharp, uint8_t *out, ptrdiff_t out_stride,
                         int height, int width) {
    Part part = {plane, stride, high, wide, sharp != 0, left, top, scale};
    Strip *strip = malloc(sizeof *strip);
    uint8_t *padded = malloc((size_t)wide + 4);
    if (!strip || !padded) {
        free(strip), free(padded);
        return GR_NO_MEMORY;
    }
    for (int x = 0; x < width; x += STRIP) {
        int count = gr_min(STRIP, width - x);
        prepare(&part, x, count, strip);
        enlarge_strip(&part, height, count, strip, padded, out + x, out_stride);
    }
    free(strip), free(padded);
    return GR_OK;
}

static void scale_row(const uint8_t *restrict chroma, const uint8_t *restrict gain,
                      uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = gr_scaled_chroma(chroma[x], gain[x]);
}

/* Multiply chroma (height, width), less 128, by gains in 64ths, which are contiguous. */
GR_EXPORT int gr_scale_chroma(const uint8_t *plane, ptrdiff_t stride, const uint8_t *gain,
                              uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    for (int y = 0; y < height; y++)
        scale_row(plane + y * stride, gain + (size_t)y * width, out + y * out_stride, width);
    return GR_OK;
}

enum { TONES = 256 }; /* samples looked up at a time */

/* A tone curve: new luma, and the gain of the difference from luma, both by luma. */
typedef struct {
    float green, blue, red;
    const float *curve, *gain;
} Tone;

static void find_luma(const Tone *tone, const uint8_t *restrict green, const uint8_t *restrict blue,
                      const uint8_t *restrict red, float *restrict luma, uint8_t *restrict index,
                      int count) {
    float by_green = tone->green, by_blue = tone->blue, by_red = tone->red;
    for (int x = 0; x < count; x++) {
        luma[x] = by_green * green[x] + by_blue * blue[x] + by_red * red[x];
        index[x] = gr_byte(luma[x] + 0.5f);
    }
}

static void move(const uint8_t *restrict from, const float *restrict luma,
                 const float *restrict moved, const float *restrict factor, uint8_t *restrict out,
                 int count) {
    for (int x = 0; x < count; x++)
        out[x] = gr_toned(from[x], luma[x], moved[x], factor[x]);
}

static void tone_samples(const Tone *tone, const uint8_t *const *from, uint8_t *const *to, int start,
                         int count) {
    float luma[TONES], moved[TONES], factor[TONES];
    uint8_t index[TONES];
    find_luma(tone, from[0] + start, from[1] + start, from[2] + start, luma, index, count);
    for (int x = 0; x < count; x++) {
        moved[x] = tone->curve[index[x]];
        factor[x] = tone->gain[index[x]];
    }
    for (int plane = 0; plane < 3; plane++)
        move(from[plane] + start, luma, moved, factor, to[plane] + start, count);
}

/* Map luma by a curve (256) of 0 to 255, and scale the difference from luma by a gain (256)
 * below 100.
 *
 * The planes, and those of the result, are green, blue and red (height, width), each with its
 * stride. weights (3), whose sum is 1, give luma. */
GR_EXPORT int gr_tone_rgb(const uint8_t *green, ptrdiff_t green_stride, const uint8_t *blue,
                          ptrdiff_t blue_stride, const uint8_t *red, ptrdiff_t red_stride,
                          int height, int width, const float *weights, const float *curve,
                          const float *gain, uint8_t *out_green, ptrdiff_t out_green_stride,
                          uint8_t *out_blue, ptrdiff_t out_blue_stride, uint8_t *out_red,
                          ptrdiff_t out_red_stride) {
    Tone tone = {weights[0], weights[1], weights[2], curve, gain};
    for (int y = 0; y < height; y++) {
        const uint8_t *from[3] = {green + y * green_stride, blue + y * blue_stride,
                                  red + y * red_stride};
        uint8_t *to[3] = {out_green + y * out_green_stride, out_blue + y * out_blue_stride,
                          out_red + y * out_red_stride};
        for (int x = 0; x < width; x += TONES)
            tone_samples(&tone, from, to, x, gr_min(TONES, width - x));
    }
    return GR_OK;
}
