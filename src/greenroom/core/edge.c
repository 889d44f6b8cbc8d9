/* Steadying of a matte, and the guided edge on the working grid. */
#include "grids.h"

static void interpolate_rows(const float *restrict upper, const float *restrict lower, float share,
                             float *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] = upper[x] + (lower[x] - upper[x]) * share;
}

static void interpolate_row(const float *restrict row, const uint32_t *restrict left, int step,
                            const float *restrict weight, float *restrict out, int count) {
    for (int x = 0; x < count; x++) {
        float value = row[left[x]];
        out[x] = value + (row[left[x] + step] - value) * weight[x];
    }
}

/* Enlarge values (high, wide) bilinearly into a part (height, width) of a grid, samples' centres
 * aligned, edges repeated. */
GR_EXPORT int gr_place(const float *values, int high, int wide, float *out, ptrdiff_t stride,
                       int height, int width) {
    uint32_t *left = malloc((size_t)width * sizeof *left);
    float *weight = malloc(((size_t)width + (size_t)wide) * sizeof *weight);
    if (!left || !weight) {
        free(left), free(weight);
        return GR_NO_MEMORY;
    }
    float *row = weight + width;
    for (int x = 0; x < width; x++) {
        double at = (x + 0.5) * wide / width - 0.5;
        at = at < 0 ? 0 : at > wide - 1 ? wide - 1 : at;
        left[x] = (uint32_t)gr_min((int)at, gr_max(wide - 2, 0));
        weight[x] = (float)(at - left[x]);
    }
    for (int y = 0; y < height; y++) {
        double at = (y + 0.5) * high / height - 0.5;
        at = at < 0 ? 0 : at > high - 1 ? high - 1 : at;
        int top = gr_min((int)at, gr_max(high - 2, 0)), bottom = gr_min(top + 1, high - 1);
        interpolate_rows(values + (size_t)top * wide, values + (size_t)bottom * wide,
                         (float)(at - top), row, wide);
        interpolate_row(row, left, gr_min(1, wide - 1), weight, out + y * stride, width);
    }
    free(left), free(weight);
    return GR_OK;
}

static void follow_row(const float *restrict change, const uint8_t *restrict luma, float still,
                       float least, float *restrict age, float *restrict reference,
                       float *restrict share, int count) {
    for (int x = 0; x < count; x++) {
        float moving = gr_clampf(change[x] / still - 1, 0, 1);
        age[x] = age[x] * (1 - moving) + 1;
        share[x] = gr_maxf(gr_maxf(1 / age[x], moving), least);
        reference[x] += share[x] * (luma[x] - reference[x]);
    }
}

/* Tell how far a matte is to move toward a new frame's, and move its picture so far; see
 * `edge_kernels.follow`. All are (height, width), the luma may have padded rows. */
GR_EXPORT int gr_follow(const float *change, const uint8_t *luma, ptrdiff_t stride, float still,
                        float least, float *age, float *reference, float *share, int height,
                        int width) {
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * width;
        follow_row(change + at, luma + y * stride, still, least, age + at, reference + at,
                   share + at, width);
    }
    return GR_OK;
}

/* By Bayes' rule; what is not a number becomes nothing. */
static void settle_row(const float *restrict coarse, float surest, const float *restrict odds,
                       const float *restrict share, const uint8_t *restrict luma,
                       float *restrict steady, float *restrict reference, int count) {
    for (int x = 0; x < count; x++) {
        float value = surest < coarse[x] ? surest : coarse[x];
        float person = value * odds[x];
        float found = person / (person + (1 - value) * (1 - odds[x]));
        float moved = steady[x] + share[x] * (found - steady[x]);
        steady[x] = moved > GR_NOTHING ? moved : 0;
        reference[x] += share[x] * (luma[x] - reference[x]);
    }
}

/* Update a model's coverage (height, width) with evidence (high, wide), and move the steadied
 * matte, and the picture that it belongs to, toward it by a share (high, wide); see
 * `edge_kernels.settle`. */
GR_EXPORT int gr_settle(const float *coarse, int height, int width, float surest,
                        const float *probability, const float *share, int high, int wide,
                        const uint8_t *luma, ptrdiff_t stride, float *steady, float *reference) {
    float *odds = malloc((5 * (size_t)wide + 2) * sizeof *odds);
    if (!odds) return GR_NO_MEMORY;
    float *shares = odds + 2 * (size_t)wide, *line = shares + 2 * (size_t)wide;
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * width;
        gr_enlarge(probability, high, wide, y, line, odds);
        gr_enlarge(share, high, wide, y, line, shares);
        settle_row(coarse + at, surest, odds, shares, luma + y * stride, steady + at,
                   reference + at, width);
    }
    free(odds);
    return GR_OK;
}

static void guide_row(const float *restrict steep, const float *restrict offset,
                      const float *restrict reference, float middle, float gain,
                      float *restrict base, float *restrict slope, int count) {
    for (int x = 0; x < count; x++) {
        base[x] = (steep[x] * reference[x] + offset[x] - middle) * gain + 0.5f;
        slope[x] = steep[x] * gain;
    }
}

/* Apply a guided filter's coefficients (high, wide) to the picture (height, width) that they
 * belong to; see `edge_kernels.guide`. */
GR_EXPORT int gr_guide(const float *slopes, const float *offsets, int high, int wide,
                       const float *reference, float middle, float gain, float *base, float *slope,
                       int height, int width) {
    float *steep = malloc((5 * (size_t)wide + 2) * sizeof *steep);
    if (!steep) return GR_NO_MEMORY;
    float *offset = steep + 2 * (size_t)wide, *line = offset + 2 * (size_t)wide;
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * width;
        gr_enlarge(slopes, high, wide, y, line, steep);
        gr_enlarge(offsets, high, wide, y, line, offset);
        guide_row(steep, offset, reference + at, middle, gain, base + at, slope + at, width);
    }
    free(steep);
    return GR_OK;
}
