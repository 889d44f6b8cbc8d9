/* Following over time: a steadied matte, and the picture that it belongs to. */
#include <float.h>

#include "grids.h"

static void change_row(const uint8_t *restrict luma, const float *restrict reference,
                       float *restrict change, int count) {
    for (int x = 0; x < count; x++) {
        float step = luma[x] - reference[x];
        change[x] = step < 0 ? -step : step;
    }
}

/* How far to move: all the way where the picture moves, and by the n-th part in the n-th frame in
 * which it does not, down to a least share. */
static void share_row(const float *restrict change, const uint8_t *restrict luma, float still,
                      float least, float *restrict age, float *restrict reference,
                      float *restrict share, int count) {
    const float scale = 1 / still;
    for (int x = 0; x < count; x++) {
        float moving = gr_clampf(change[x] * scale - 1, 0, 1);
        age[x] = age[x] * (1 - moving) + 1;
        share[x] = gr_maxf(gr_maxf(1 / age[x], moving), least);
        reference[x] += share[x] * (luma[x] - reference[x]);
    }
}

static void approach(const uint8_t *restrict luma, const float *restrict share,
                     float *restrict reference, int count) {
    for (int x = 0; x < count; x++) reference[x] += share[x] * (luma[x] - reference[x]);
}

/* By Bayes' rule; what is not a number becomes nothing. */
static void settle_row(const float *restrict coarse, float surest, const float *restrict odds,
                       const float *restrict share, float *restrict steady, int count) {
    for (int x = 0; x < count; x++) {
        float value = surest < coarse[x] ? surest : coarse[x];
        float person = value * odds[x];
        float found = person / (person + (1 - value) * (1 - odds[x]));
        float moved = steady[x] + share[x] * (found - steady[x]);
        steady[x] = moved > GR_NOTHING ? moved : 0;
    }
}

static void settle_alone(const float *restrict coarse, float surest, const float *restrict share,
                         float *restrict steady, int count) {
    for (int x = 0; x < count; x++) {
        float value = surest < coarse[x] ? surest : coarse[x];
        float moved = steady[x] + share[x] * (value - steady[x]);
        steady[x] = moved > GR_NOTHING ? moved : 0;
    }
}

typedef struct {
    float *steady, *reference, *steady_half, *reference_half, *age;
} History;

static History history_of(float *memory, size_t size, size_t half) {
    float *halves = memory + 2 * size;
    return (History){memory, memory + size, halves, halves + half, halves + 2 * half};
}

/* Follow a matte over time.
 *
 * history: one after the other the steadied matte and the picture that it belongs to, both
 * (height, width) on the working grid; the same two on the half grid (high, wide); and for how
 * many frames each sample of the half grid has stood still. All begins as 0 and is changed in
 * place. coarse: (height, width), the model's coverage, which is believed up to `surest`; it is 0
 * where the prior, its mean on the half grid, is. probability: (high, wide), the evidence's, or
 * NULL where there is none. half_luma and luma: the frame on both grids. still: the change of
 * luma, averaged over 3x3 samples, up to which the picture stands still; from twice that on it
 * moves. least: the least share of the way that is gone in a frame. nobody: not 0 leaves nothing
 * of the matte. report: left, top, right and bottom of the box on the half grid around all
 * coverage of one half or more, where the last two have ended; all 0 without any.
 */
GR_EXPORT int gr_settle(float *history, const float *coarse, const float *prior, float surest,
                        const float *probability, const uint8_t *half_luma, const uint8_t *luma,
                        ptrdiff_t stride, float still, float least, int nobody, int32_t *report,
                        int height, int width) {
    int high = (height + 1) / 2, wide = (width + 1) / 2;
    size_t row = (size_t)wide;
    History past = history_of(history, (size_t)height * (size_t)width, row * (size_t)high);
    GrSpan *spans = malloc((size_t)high * sizeof *spans);
    float *lines = malloc((12 * row + 2) * sizeof *lines);
    if (!spans || !lines) {
        free(spans), free(lines);
        return GR_NO_MEMORY;
    }
    float *line = lines, *mean = lines + row + 2, *odds = mean + row, *shares = odds + 2 * row;
    float *changes[3], *ways[3]; /* of the last three rows */
    for (int of = 0; of < 3; of++) {
        changes[of] = shares + (2 + (size_t)of) * row;
        ways[of] = shares + (5 + (size_t)of) * row;
    }
    GrSpan whole = {0, wide}, columns = {0, 0}, rows = {0, 0};
    change_row(half_luma, past.reference_half, changes[0], wide);
    for (int next = 0; next <= high; next++) {
        if (next < high) { /* the share of this row, by the change of it and those beside it */
            size_t at = next * row;
            if (next + 1 < high)
                change_row(half_luma + at + row, past.reference_half + at + row,
                           changes[(next + 1) % 3], wide);
            gr_mean(changes[gr_mirrored(next - 1, high) % 3], changes[next % 3],
                    changes[gr_mirrored(next + 1, high) % 3], whole, wide, line, mean);
            share_row(mean, half_luma + at, still, least, past.age + at, past.reference_half + at,
                      ways[next % 3], wide);
            spans[next] = gr_joined(gr_span(prior + at, FLT_MIN, wide),
                                    gr_span(past.steady_half + at, FLT_MIN, wide));
        }
        for (int y = gr_max(2 * next - 1, 0); y < gr_min(2 * next + 1, height); y++) {
            int near = y / 2, far = gr_far(y, high);
            size_t at = (size_t)y * (size_t)width;
            gr_enlarge(ways[near % 3], ways[far % 3], whole, wide, line, shares);
            approach(luma + y * stride, shares, past.reference + at, width);
            GrSpan span = spans[near];
            int start = 2 * span.start, count = gr_min(2 * span.stop, width) - start;
            if (nobody)
                memset(past.steady + at + start, 0, (size_t)count * sizeof *past.steady);
            else if (probability) {
                gr_enlarge(probability + near * row, probability + far * row, span, wide, line,
                           odds);
                settle_row(coarse + at + start, surest, odds + start, shares + start,
                           past.steady + at + start, count);
            } else
                settle_alone(coarse + at + start, surest, shares + start, past.steady + at + start,
                             count);
        }
        int y = next - 1;
        if (y < 0 || spans[y].start >= spans[y].stop) continue;
        const float *one = past.steady + (size_t)2 * y * (size_t)width;
        const float *two = past.steady + (size_t)gr_min(2 * y + 1, height - 1) * (size_t)width;
        float *half = past.steady_half + y * row;
        gr_halve_row(one, two, spans[y], width, half);
        GrSpan found = gr_span(half, GR_SOMEBODY, wide);
        if (found.start >= found.stop) continue;
        columns = gr_joined(columns, found);
        rows = gr_joined(rows, (GrSpan){y, y + 1});
    }
    free(spans), free(lines);
    int32_t box[] = {columns.start, rows.start, columns.stop, rows.stop};
    memcpy(report, box, sizeof box);
    return GR_OK;
}
