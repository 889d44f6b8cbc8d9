/* Temporal filter: a steadied matte, and the picture it belongs to. */
#include <float.h>
#include <math.h>

#include "grids.h"
#include "tiles.h"

static void change_row(const uint8_t *restrict luma, const float *restrict reference,
                       float *restrict change, int count) {
    for (int x = 0; x < count; x++) change[x] = fabsf(luma[x] - reference[x]);
}

/* Share of the way to the new value: all of it where the picture moves, and 1/n in the n-th
 * still frame, down to a smallest share. */
static void share_row(const float *restrict change, const uint8_t *restrict luma, float still,
                      float least, float *restrict age, float *restrict reference,
                      float *restrict share, int count) {
    const float scale = 1 / still;
    const GrLimits limits = gr_limits;
    for (int x = 0; x < count; x++) {
        float moving = gr_moving(change[x], scale, limits);
        age[x] = age[x] * (1 - moving) + 1;
        share[x] = gr_share(age[x], moving, least);
        reference[x] += share[x] * (luma[x] - reference[x]);
    }
}

static void quantise(const float *restrict share, int16_t *restrict whole, int count) {
    const GrLimits limits = gr_limits;
    for (int x = 0; x < count; x++) whole[x] = gr_whole_share(share[x], limits);
}

static void mix_shares(const int16_t *restrict near, const int16_t *restrict far,
                       int16_t *restrict line, int count) {
    for (int x = 0; x < count; x++) line[x] = gr_share_between_rows(near[x], far[x]);
}

static void double_shares(const int16_t *restrict line, int16_t *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        row[2 * x] = (int16_t)(3 * line[x + 1] + line[x]);
        row[2 * x + 1] = (int16_t)(3 * line[x + 1] + line[x + 2]);
    }
}

/* Enlarge a row of shares to the working grid, as gr_enlarge does. */
static void enlarge_shares(const int16_t *near, const int16_t *far, int wide, int16_t *line,
                           int16_t *row) {
    mix_shares(near, far, line + 1, wide);
    line[0] = line[1];
    line[wide + 1] = line[wide];
    double_shares(line, row, wide);
}

static void approach(const uint8_t *restrict luma, const int16_t *restrict share,
                     int16_t *restrict reference, int count) {
    for (int x = 0; x < count; x++) reference[x] = gr_approached(reference[x], luma[x], share[x]);
}

static void settle_row(const float *restrict coarse, float surest, const float *restrict odds,
                       const int16_t *restrict share, float *restrict steady, int count) {
    for (int x = 0; x < count; x++) {
        float value = surest < coarse[x] ? surest : coarse[x];
        steady[x] = gr_steadied(steady[x], gr_combined(value, odds[x]), share[x]);
    }
}

static void settle_alone(const float *restrict coarse, float surest, const int16_t *restrict share,
                         float *restrict steady, int count) {
    for (int x = 0; x < count; x++) {
        float value = surest < coarse[x] ? surest : coarse[x];
        steady[x] = gr_steadied(steady[x], value, share[x]);
    }
}

typedef struct {
    float *steady, *steady_half, *reference_half, *age;
} History;

static History history_of(float *memory, size_t size, size_t half) {
    float *halves = memory + size;
    return (History){memory, halves, halves + half, halves + 2 * half};
}

/* Filter a matte over time.
 *
 * - history: the steadied matte (height, width) on the working grid; then on the half grid
 *   (high, wide) the same, the picture it belongs to, and for how many frames each sample has
 *   been still.
 * - reference: (height, width), that picture on the working grid, in 128ths of a level. Both
 *   begin as 0 and are changed in place.
 * - coarse: (height, width), the model's coverage, trusted up to `surest`; 0 where `prior`, its
 *   mean on the half grid, is.
 * - probability: (high, wide), from the evidence, or NULL.
 * - half_luma, luma: the frame on both grids.
 * - still: change of luma, averaged over 3x3 samples, up to which the picture is still; from
 *   twice that on it moves.
 * - least: smallest share of the way covered in a frame.
 * - nobody: if not 0 the matte becomes empty.
 * - report: left, top, right and bottom (exclusive) of the bounding box, on the half grid, of
 *   coverage of at least one half; all 0 without any. */
GR_EXPORT int gr_settle(float *history, int16_t *reference, const float *coarse,
                        const float *prior, float surest, const float *probability, 
                        const uint8_t *half_luma, const uint8_t *luma, ptrdiff_t stride,
                        float still, float least, int nobody, int32_t *report, int height,
                        int width) {
    int high = (height + 1) / 2, wide = (width + 1) / 2;
    size_t row = (size_t)wide;
    History past = history_of(history, (size_t)height * (size_t)width, row * (size_t)high);
    GrSpan *spans = malloc((size_t)high * sizeof *spans);
    float *lines = malloc((8 * row + 2) * sizeof *lines);
    int16_t *whole_numbers = malloc((6 * row + 2) * sizeof *whole_numbers);
    if (!spans || !lines || !whole_numbers) {
        free(spans), free(lines), free(whole_numbers);
        return GR_NO_MEMORY;
    }
    float *line = lines, *mean = lines + row + 2, *odds = mean + row, *share = odds + 2 * row;
    int16_t *shares = whole_numbers, *between = shares + 2 * row;
    float *changes[3]; /* of the last three rows */
    int16_t *ways[3];
    for (size_t of = 0; of < 3; of++) {
        changes[of] = share + (1 + of) * row;
        ways[of] = between + 2 + (1 + of) * row;
    }
    GrSpan whole = {0, wide}, columns = {0, 0}, rows = {0, 0};
    change_row(half_luma, past.reference_half, changes[0], wide);
    for (int next = 0; next <= high; next++) {
        if (next < high) { /* this row's share, from its change and its neighbours' */
            size_t at = next * row;
            if (next + 1 < high)
                change_row(half_luma + at + row, past.reference_half + at + row,
                           changes[(next + 1) % 3], wide);
            gr_mean(changes[gr_mirrored(next - 1, high) % 3], changes[next % 3],
                    changes[gr_mirrored(next + 1, high) % 3], whole, wide, line, mean);
            share_row(mean, half_luma + at, still, least, past.age + at, past.reference_half + at,
                      share, wide);
            quantise(share, ways[next % 3], wide);
            spans[next] = gr_joined(gr_span(prior + at, FLT_MIN, wide),
                                    gr_span(past.steady_half + at, FLT_MIN, wide));
        }
        for (int y = gr_max(2 * next - 1, 0); y < gr_min(2 * next + 1, height); y++) {
            int near = y / 2, far = gr_far(y, high);
            size_t at = (size_t)y * (size_t)width;
            enlarge_shares(ways[near % 3], ways[far % 3], wide, between, shares);
            if (y + 2 < height) {
                gr_fetch(reference + at + 2 * (size_t)width, (size_t)width * sizeof *reference);
                gr_fetch(luma + (y + 2) * stride, (size_t)width);
            }
            approach(luma + y * stride, shares, reference + at, width);
            GrSpan span = spans[near];
            int start = 2 * span.start, count = gr_min(2 * span.stop, width) - start;
            if (y + 2 < height && count > 0) {
                size_t later = at + 2 * (size_t)width;
                gr_fetch(coarse + later + start, (size_t)count * sizeof *coarse);
                gr_fetch(past.steady + later + start, (size_t)count * sizeof *past.steady);
            }
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
    free(spans), free(lines), free(whole_numbers);
    int32_t box[] = {columns.start, rows.start, columns.stop, rows.stop};
    memcpy(report, box, sizeof box);
    return GR_OK;
}
