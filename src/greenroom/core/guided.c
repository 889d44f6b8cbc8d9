/* Guided filter: coefficients on the half grid, applied to edges on the working grid. */
#include <float.h>

#include "grids.h"
#include "tiles.h"

/* Kind of a sample of the half grid: certainly 0, certainly 1, or neither; as in
 * `guided_kernels`. */
enum { EMPTY = 0, FULL = 1, EDGE = 2 };
/* The rows of the half grid made last, by the remainder of their number. */
enum { HELD = 4 };
typedef struct {
    float *rows[HELD];
} Ring;

/* Sums over three rows, with an extra sample at either end. */
typedef struct {
    float *guide, *matte, *both, *square;
} Sums;

static void add_rows(const float *restrict above, const float *restrict here,
                     const float *restrict below, float *restrict sum, int count) {
    for (int x = 0; x < count; x++) sum[x] = (above[x] + here[x] + below[x]) * (1 / 9.0f);
}

static void add_products(const float *restrict first, const float *restrict second,
                         const float *restrict third, const float *restrict one,
                         const float *restrict two, const float *restrict three,
                         float *restrict sum, int count) {
    for (int x = 0; x < count; x++)
        sum[x] = (first[x] * one[x] + second[x] * two[x] + third[x] * three[x]) * (1 / 9.0f);
}

static void fit_samples(const Sums *sums, float flat, int start, float *restrict slopes,
                        float *restrict offsets, int count) {
    const float *restrict a = sums->guide + start, *restrict b = sums->matte + start;
    const float *restrict c = sums->both + start, *restrict d = sums->square + start;
    for (int x = 0; x < count; x++) {
        float guide = a[x] + a[x + 1] + a[x + 2], mean = b[x] + b[x + 1] + b[x + 2];
        float both = c[x] + c[x + 1] + c[x + 2], square = d[x] + d[x + 1] + d[x + 2];
        float slope = gr_slope(guide, mean, both, square, flat);
        slopes[x] = slope;
        offsets[x] = mean - slope * guide;
    }
}

/* Compute the linear models of the windows around a span of a row. */
static void fit_row(const float *guide, const float *matte, int y, int height, int width,
                    GrSpan span, float flat, const Sums *sums, float *slopes, float *offsets) {
    if (span.start >= span.stop) return;
    const float *guides[3], *mattes[3];
    for (int near = 0; near < 3; near++) {
        size_t at = (size_t)gr_mirrored(y + near - 1, height) * (size_t)width;
        guides[near] = guide + at;
        mattes[near] = matte + at;
    }
    GrSpan read = gr_widened(span, 1, width);
    int count = read.stop - read.start, at = 1 + read.start;
    const float *g[3], *m[3];
    for (int near = 0; near < 3; near++) g[near] = guides[near] + read.start;
    for (int near = 0; near < 3; near++) m[near] = mattes[near] + read.start;
    add_rows(g[0], g[1], g[2], sums->guide + at, count);
    add_rows(m[0], m[1], m[2], sums->matte + at, count);
    add_products(g[0], g[1], g[2], m[0], m[1], m[2], sums->both + at, count);
    add_products(g[0], g[1], g[2], g[0], g[1], g[2], sums->square + at, count);
    float *lines[4] = {sums->guide, sums->matte, sums->both, sums->square};
    for (int part = 0; part < 4; part++) gr_mirror_ends(lines[part], read, width);
    fit_samples(sums, flat, span.start, slopes + span.start, offsets + span.start,
                span.stop - span.start);
}

static void classify(const float *restrict slope, const float *restrict offset, float guides,
                     float low, float high, uint8_t *restrict row, int count) {
    for (int x = 0; x < count; x++)
        row[x] = (uint8_t)gr_model_kind(slope[x], offset[x], guides, low, high);
}

static void join(const uint8_t *restrict one, const uint8_t *restrict here,
                 const uint8_t *restrict other, uint8_t *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        uint8_t same = one[x] == here[x] ? here[x] : EDGE;
        row[x] = other[x] == here[x] ? same : EDGE;
    }
}

static void find_edges(const uint8_t *restrict above, const uint8_t *restrict here,
                       const uint8_t *restrict below, uint8_t *restrict edges, int count) {
    for (int x = 0; x < count; x++) edges[x] = (above[x] | here[x] | below[x]) & EDGE;
}

/* Find the next span of edges, with `beside` samples on both sides, in multiples of eight, which
 * loops handle best. Spans closer than it costs to start a loop are joined. */
static GrSpan next_edges(const uint8_t *edges, int start, int beside, int count) {
    enum { NEAR = 16 };
    start += gr_first(edges + start, count - start);
    if (start >= count) return (GrSpan){0, 0};
    int stop = start;
    for (;;) {
        while (stop < count && edges[stop]) stop++;
        int next = stop + gr_first(edges + stop, gr_min(2 * beside + NEAR, count - stop));
        if (next >= count || !edges[next]) break;
        stop = next;
    }
    GrSpan span = gr_widened((GrSpan){start, stop}, beside, count);
    return (GrSpan){span.start & ~7, gr_min((span.stop + 7) & ~7, count)};
}

/* Write certain samples as coverage, each twice. */
static void certain_row(const uint8_t *restrict kinds, uint8_t *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        uint16_t both = kinds[x] == FULL ? 0xffff : 0;
        memcpy(row + 2 * x, &both, sizeof both);
    }
}

static void guide_samples(const float *restrict steep, const float *restrict offset,
                          const int16_t *restrict picture, float middle, float gain,
                          float *restrict base, float *restrict slope, float *restrict levels,
                          int count) {
    for (int x = 0; x < count; x++) {
        float level = picture[x] * (1 / 128.0f);
        base[x] = gr_modelled(steep[x], offset[x], level, middle, gain);
        slope[x] = steep[x] * gain;
        levels[x] = level;
    }
}

/* NaN becomes 0. */
static void coverage_row(const float *restrict base, uint8_t *restrict coverage, int count) {
    const GrLimits limits = gr_limits;
    for (int x = 0; x < count; x++)
        coverage[x] = gr_byte(gr_within(base[x] * 255 + 0.5f, limits.half, limits.full));
}

/* Refine a matte by the edges of a picture.
 *
 * - reference, matte: (high, wide), on the half grid. Local linear models from one to the other
 *   are fitted over windows of 3x3 samples, with `flat` added to the variance of the guide; each
 *   sample takes the mean of those of all windows that contain it. The border is mirrored.
 * - guides: the largest value of the guide; the smallest is 0.
 * - middle, gain: coverage that becomes one half, and factor by which edges are steeper around
 *   it; 0 must stay 0.
 * - kinds: (high, wide), the kind of each sample; an edge is where those around it differ.
 * - picture: (height, width), the reference on the working grid, in 128ths.
 * - maps: (3, height, width): base, slope and the picture; written at edges, and for one row of
 *   the half grid and `beside` columns around them.
 * - coverage: (height, width), 0 to 255: the matte before the difference of frame and picture is
 *   added. */
GR_EXPORT int gr_guide(const float *reference, const float *matte, float flat, float guides,
                       float middle, float gain, int beside, uint8_t *kinds, const int16_t *picture, float *maps,
                       uint8_t *coverage, int height, int width) {
    int high = (height + 1) / 2, wide = (width + 1) / 2;
    size_t row = (size_t)wide, size = (size_t)height * (size_t)width;
    GrSpan *spans = malloc((size_t)high * 2 * sizeof *spans);
    float *lines = calloc((4 * HELD + 9) * row + 8, sizeof *lines);
    uint8_t *own = calloc((HELD + 4) * row + 2, 1);
    if (!spans || !lines || !own) {
        free(spans), free(lines), free(own);
        return GR_NO_MEMORY;
    }
    GrSpan *fitted = spans + high; /* span in which a model is not 0 */
    Ring steep, lift, slopes, offsets;
    for (size_t of = 0; of < HELD; of++) {
        steep.rows[of] = lines + of * row;
        lift.rows[of] = lines + (HELD + of) * row;
        slopes.rows[of] = lines + (2 * HELD + of) * row;
        offsets.rows[of] = lines + (3 * HELD + of) * row;
    }
    float *rest = lines + 4 * HELD * row;
    Sums sums = {rest, rest + row + 2, rest + 2 * (row + 2), rest + 3 * (row + 2)};
    float *line = rest, *steep_row = rest + 4 * (row + 2), *offset_row = steep_row + 2 * row;
    uint8_t *joined = own + HELD * row, *certain = joined + row + 2, *edges = certain + 2 * row;
    const float low = middle - 0.5f / gain, top = middle + 0.5f / gain;
    for (int y = 0; y < high; y++) spans[y] = gr_span(matte + y * row, FLT_MIN, wide);
    for (int y = 0; y < high; y++) fitted[y] = gr_around(spans, y, 2, high, wide);
    for (int next = 0; next < high + 3; next++) {
        if (next < high) {
            GrSpan span = gr_around(fitted, next, 1, high, wide);
            fit_row(reference, matte, next, high, wide, span, flat, &sums, steep.rows[next % HELD],
                    lift.rows[next % HELD]);
        }
        int y = next - 1; /* the row whose models are averaged */
        if (y >= 0 && y < high) {
            int above = gr_mirrored(y - 1, high) % HELD, below = gr_mirrored(y + 1, high) % HELD;
            int here = y % HELD, start = fitted[y].start;
            gr_fill_outside(slopes.rows[here], 0, fitted[y], wide);
            gr_fill_outside(offsets.rows[here], 0, fitted[y], wide);
            gr_mean(steep.rows[above], steep.rows[here], steep.rows[below], fitted[y], wide, line,
                    slopes.rows[here]);
            gr_mean(lift.rows[above], lift.rows[here], lift.rows[below], fitted[y], wide, line,
                    offsets.rows[here]);
            memset(own + here * row, EMPTY, row);
            classify(slopes.rows[here] + start, offsets.rows[here] + start, guides, low, top,
                     own + here * row + start, fitted[y].stop - start);
        }
        y = next - 2; /* the row whose kinds are combined with those around it */
        if (y >= 0 && y < high) {
            join(own + gr_max(y - 1, 0) % HELD * row, own + y % HELD * row,
                 own + gr_min(y + 1, high - 1) % HELD * row, joined + 1, wide);
            joined[0] = joined[1];
            joined[wide + 1] = joined[wide];
            join(joined, joined + 1, joined + 2, kinds + y * row, wide);
        }
        y = next - 3; /* the row whose edges are refined */
        if (y < 0) continue;
        find_edges(kinds + gr_max(y - 1, 0) * row, kinds + y * row,
                   kinds + gr_min(y + 1, high - 1) * row, edges, wide);
        certain_row(kinds + y * row, certain, wide);
        for (int at = 2 * y; at < gr_min(2 * y + 2, height); at++) {
            int near = y % HELD, far = gr_far(at, high) % HELD;
            memcpy(coverage + (size_t)at * (size_t)width, certain, (size_t)width);
            for (int x = 0; x < wide;) {
                GrSpan span = next_edges(edges, x, beside, wide);
                if (span.start >= span.stop) break;
                gr_enlarge(slopes.rows[near], slopes.rows[far], span, wide, line, steep_row);
                gr_enlarge(offsets.rows[near], offsets.rows[far], span, wide, line, offset_row);
                int start = 2 * span.start, count = gr_min(2 * span.stop, width) - start;
                size_t to = (size_t)at * (size_t)width + (size_t)start;
                guide_samples(steep_row + start, offset_row + start, picture + to, middle, gain,
                              maps + to, maps + size + to, maps + 2 * size + to, count);
                coverage_row(maps + to, coverage + to, count);
                x = span.stop;
            }
        }
    }
    free(spans), free(lines), free(own);
    return GR_OK;
}
