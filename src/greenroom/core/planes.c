/* Blending of whole planes: overlays, and light on the person in a picture. */
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

/* Blend two planes (height, width) by coverage, which is contiguous; exact up to rounding. The
 * result may be in the memory of the second plane, and overlaps nothing else. */
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

/* Samples of a row processed together, or skipped without coverage. */
enum { TOGETHER = 64 };

/* Position of a row's samples on a grid, and the two rows of the grid, stretched to that width. */
typedef struct {
    uint32_t *left;
    float *share, *light[2], *weight[2];
    int step, held[2];
} Stretched;

static int make_stretched(int wide, int width, Stretched *made) {
    uint32_t *left = malloc((size_t)width * sizeof *left);
    float *share = malloc((size_t)width * 5 * sizeof *share);
    if (!left || !share) {
        free(left), free(share);
        return GR_NO_MEMORY;
    }
    *made = (Stretched){.left = left, .share = share, .step = gr_min(1, wide - 1),
                        .held = {-1, -1}};
    for (int row = 0; row < 2; row++) {
        made->light[row] = share + (size_t)(1 + row) * width;
        made->weight[row] = share + (size_t)(3 + row) * width;
    }
    for (int x = 0; x < width; x++) {
        int before;
        share[x] = gr_placed(x, wide, width, &before);
        left[x] = (uint32_t)before;
    }
    return GR_OK;
}

static void stretch(const float *restrict grid, const Stretched *by, float *restrict row,
                    int width) {
    const uint32_t *restrict left = by->left;
    const float *restrict share = by->share;
    int step = by->step;
    for (int x = 0; x < width; x++) {
        float value = grid[left[x]];
        row[x] = value + (grid[left[x] + step] - value) * share[x];
    }
}

static int is_empty(const uint8_t *restrict coverage, int count) {
    uint8_t all = 0;
    for (int x = 0; x < count; x++) all |= coverage[x];
    return !all;
}

static inline void light_samples(const Stretched *by, int upper, int lower, float down, int x,
                                 const uint8_t *restrict back, const uint8_t *restrict coverage,
                                 float least, uint8_t *restrict out, int count) {
    const float *restrict light = by->light[upper] + x, *restrict more = by->light[lower] + x;
    const float *restrict weight = by->weight[upper] + x, *restrict other = by->weight[lower] + x;
    for (int k = 0; k < count; k++) {
        float bright = light[k] + (more[k] - light[k]) * down;
        float part = weight[k] + (other[k] - weight[k]) * down;
        float share = (float)coverage[k] * (1.0f / 255.0f);
        float value = gr_lit(out[k], bright, part, back[k], share, least);
        out[k] = gr_limited_byte(value);
    }
}

/* Move the person in a composite (height, width) toward the light by a weight, in place, and
 * only upwards if asked. light, 0 to 255, and weight, 0 to 1, are grids (high, wide) that are
 * enlarged bilinearly. back: the background; coverage is contiguous, and nothing changes where
 * it is 0. */
GR_EXPORT int gr_spill(const float *light, const float *weight, int high, int wide,
                       const uint8_t *back, ptrdiff_t back_stride, const uint8_t *coverage,
                       int only_lighter, uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    Stretched by;
    if (make_stretched(wide, width, &by)) return GR_NO_MEMORY;
    float least = only_lighter ? 0.0f : -255.0f;
    for (int y = 0; y < height; y++) {
        const uint8_t *cover = coverage + (size_t)y * width, *behind = back + y * back_stride;
        uint8_t *target = out + y * out_stride;
        if (is_empty(cover, width)) continue;
        int top;
        float down = gr_placed(y, high, height, &top);
        int bottom = gr_min(top + 1, high - 1);
        for (int row = top; row <= bottom; row++) {
            if (by.held[row & 1] == row) continue;
            by.held[row & 1] = row;
            stretch(light + (size_t)row * wide, &by, by.light[row & 1], width);
            stretch(weight + (size_t)row * wide, &by, by.weight[row & 1], width);
        }
        int upper = top & 1, lower = bottom & 1, x = 0;
        for (; x + TOGETHER <= width; x += TOGETHER)
            if (!is_empty(cover + x, TOGETHER))
                light_samples(&by, upper, lower, down, x, behind + x, cover + x, least, target + x,
                              TOGETHER);
        light_samples(&by, upper, lower, down, x, behind + x, cover + x, least, target + x,
                      width - x);
    }
    free(by.left), free(by.share);
    return GR_OK;
}

static int64_t add_changes(const uint8_t *restrict one, const uint8_t *restrict other, int count) {
    int32_t sum = 0;
    for (int x = 0; x < count; x++) sum += one[x] > other[x] ? one[x] - other[x] : other[x] - one[x];
    return sum;
}

static int most_change(const uint8_t *restrict one, const uint8_t *restrict other, int count) {
    uint8_t most = 0;
    for (int x = 0; x < count; x++) {
        uint8_t change = one[x] > other[x] ? one[x] - other[x] : other[x] - one[x];
        most = change > most ? change : most;
    }
    return most;
}

/* Compare two planes (height, width), contiguous. report: the sum of all differences, and the
 * largest one outside of a box: left, top, right and bottom, the last two not included. */
GR_EXPORT int gr_changes(const uint8_t *one, const uint8_t *other, int height, int width, int left,
                         int top, int right, int bottom, int64_t *report) {
    int64_t sum = 0;
    int most = 0;
    for (int y = 0; y < height; y++) {
        const uint8_t *here = one + (size_t)y * width, *there = other + (size_t)y * width;
        sum += add_changes(here, there, width);
        if (y < top || y >= bottom) {
            most = gr_max(most, most_change(here, there, width));
        } else {
            most = gr_max(most, most_change(here, there, left));
            most = gr_max(most, most_change(here + right, there + right, width - right));
        }
    }
    report[0] = sum;
    report[1] = most;
    return GR_OK;
}
