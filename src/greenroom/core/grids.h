/* Rows of the small grids on which mattes are made.
 *
 * There are two: the working grid (height, width), on which the matte lives, and the half grid
 * (high, wide), of one sample for 2x2 of it. Most of a picture has no coverage, so many loops
 * run over spans: the part of a row that has any. */
#ifndef GREENROOM_GRIDS_H
#define GREENROOM_GRIDS_H

#include "core.h"
#include "grid_samples.h"


/* Start and stop (exclusive) of a part of a row; both 0 if it is empty. */
typedef struct {
    int start, stop;
} GrSpan;

static inline GrSpan gr_joined(GrSpan one, GrSpan other) {
    if (one.start >= one.stop) return other;
    if (other.start >= other.stop) return one;
    return (GrSpan){gr_min(one.start, other.start), gr_max(one.stop, other.stop)};
}

static inline GrSpan gr_widened(GrSpan span, int reach, int count) {
    if (span.start >= span.stop) return span;
    return (GrSpan){gr_max(span.start - reach, 0), gr_min(span.stop + reach, count)};
}

/* Union of the spans of the rows up to `reach` away, widened by as many samples. */
static inline GrSpan gr_around(const GrSpan *spans, int y, int reach, int height, int width) {
    GrSpan span = {0, 0};
    for (int near = gr_max(y - reach, 0); near <= gr_min(y + reach, height - 1); near++)
        span = gr_joined(span, spans[near]);
    return gr_widened(span, reach, width);
}

/* Count the values that are at least a limit. */
static inline int gr_count(const float *restrict values, float least, int count) {
    int found = 0;
    for (int x = 0; x < count; x++) found += values[x] >= least;
    return found;
}

/* Flags of which values are at least a limit. */
enum { GR_FLAGS = 128 };

static inline void gr_flag(const float *restrict values, float least, uint8_t *restrict flags,
                           int count) {
    for (int x = 0; x < count; x++) flags[x] = values[x] >= least;
}

/* Index of the first or last flag that is set, eight at a time; `count` or -1 without any. */
static inline int gr_first(const uint8_t *flags, int count) {
    int x = 0;
    for (uint64_t eight; x + 8 <= count; x += 8) {
        memcpy(&eight, flags + x, 8);
        if (eight) break;
    }
    while (x < count && !flags[x]) x++;
    return x;
}

static inline int gr_last(const uint8_t *flags, int count) {
    int x = count;
    for (uint64_t eight; x >= 8; x -= 8) {
        memcpy(&eight, flags + x - 8, 8);
        if (eight) break;
    }
    while (x > 0 && !flags[x - 1]) x--;
    return x - 1;
}

/* The span of a row with values of at least a limit. */
static inline GrSpan gr_span(const float *values, float least, int count) {
    uint8_t flags[GR_FLAGS];
    GrSpan span = {0, 0};
    for (int at = 0; at < count; at += GR_FLAGS) {
        int some = gr_min(GR_FLAGS, count - at);
        gr_flag(values + at, least, flags, some);
        int first = gr_first(flags, some);
        if (first < some) span = gr_joined(span, (GrSpan){at + first, at + gr_last(flags, some) + 1});
    }
    return span;
}

/* Halve two rows, for a span of the half grid; of an odd width the last sample repeats. */
static inline void gr_halve_pairs(const float *restrict one, const float *restrict two, int count,
                                  float *restrict row) {
    for (int x = 0; x < count; x++)
        row[x] = (one[2 * x] + one[2 * x + 1] + two[2 * x] + two[2 * x + 1]) * 0.25f;
}

static inline void gr_halve_row(const float *one, const float *two, GrSpan span, int width,
                                float *row) {
    int pairs = gr_min(span.stop, width / 2);
    gr_halve_pairs(one + 2 * span.start, two + 2 * span.start, pairs - span.start,
                   row + span.start);
    if (span.stop > pairs) row[pairs] = (one[width - 1] + two[width - 1]) * 0.5f;
}

static inline void gr_mix(const float *restrict near, const float *restrict far,
                          float *restrict line, int count) {
    for (int x = 0; x < count; x++) line[x] = 0.75f * near[x] + 0.25f * far[x];
}

/* Interpolate a row to twice its length; the line has an extra sample at either end. */
static inline void gr_double(const float *restrict line, float *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        float middle = 0.75f * line[x + 1];
        row[2 * x] = middle + 0.25f * line[x];
        row[2 * x + 1] = middle + 0.25f * line[x + 2];
    }
}

/* Interpolate a row of the half grid, and its neighbour, bilinearly to a row of the working
 * grid, of which twice a span is written. The line has room for the half grid's width and 2
 * samples more, the row for twice that width. */
static inline void gr_enlarge(const float *near, const float *far, GrSpan span, int wide,
                              float *line, float *row) {
    if (span.start >= span.stop) return;
    GrSpan read = gr_widened(span, 1, wide);
    gr_mix(near + read.start, far + read.start, line + 1 + read.start, read.stop - read.start);
    if (read.start == 0) line[0] = line[1];
    if (read.stop == wide) line[wide + 1] = line[wide];
    gr_double(line + span.start, row + 2 * span.start, span.stop - span.start);
}

/* Mean of 3x3 samples of three rows, for a span; mirrored beyond the border. The rows extend one
 * sample beyond the span where they go on; the line has room for the width and 2 samples more. */
static inline void gr_mean_of_rows(const float *restrict above, const float *restrict here,
                                   const float *restrict below, float *restrict line, int count) {
    for (int x = 0; x < count; x++) line[x] = (above[x] + here[x] + below[x]) * (1 / 9.0f);
}

static inline void gr_sum_of_three(const float *restrict line, float *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] = line[x] + line[x + 1] + line[x + 2];
}

static inline void gr_mirror_ends(float *line, GrSpan read, int width) {
    if (read.start == 0) line[0] = line[gr_min(2, width)];
    if (read.stop == width) line[width + 1] = line[gr_max(width - 1, 1)];
}

static inline void gr_mean(const float *above, const float *here, const float *below, GrSpan span,
                           int width, float *line, float *row) {
    if (span.start >= span.stop) return;
    GrSpan read = gr_widened(span, 1, width);
    gr_mean_of_rows(above + read.start, here + read.start, below + read.start,
                    line + 1 + read.start, read.stop - read.start);
    gr_mirror_ends(line, read, width);
    gr_sum_of_three(line + span.start, row + span.start, span.stop - span.start);
}

/* Set samples of a row outside of a span to a value. */
static inline void gr_fill(float *restrict row, float value, int start, int stop) {
    for (int x = start; x < stop; x++) row[x] = value;
}

static inline void gr_fill_outside(float *row, float value, GrSpan span, int width) {
    gr_fill(row, value, 0, span.start);
    gr_fill(row, value, gr_max(span.stop, span.start), width);
}

#endif
