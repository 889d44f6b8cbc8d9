/* The full-size matte of a tile, from the small grids. */
#include "tiles.h"

/* Interpolate a chunk of a row: the weighted sum of a few columns. */
static inline void stretch_by(const float *restrict row, const float *restrict weights, int taps,
                              float *restrict out) {
    float sum[GR_CHUNK] = {0};
    for (int tap = 0; tap < taps; tap++)
        for (int k = 0; k < GR_CHUNK; k++) sum[k] += weights[tap * GR_CHUNK + k] * row[tap];
    for (int k = 0; k < GR_CHUNK; k++) out[k] = sum[k];
}

/* With a constant number of taps the sums stay in registers. The cases are grids of a quarter of
 * the frame's width, of half, and of nearly all of it. */
static void stretch_chunk(const GrPlaces *places, const float *row, int chunk, float *out) {
    int taps = places->taps, x = chunk * GR_CHUNK;
    const float *weights = places->chunk_weights + (size_t)chunk * taps * GR_CHUNK;
    const float *start = row + places->chunk_start[chunk];
    if (places->low_width == places->width) { /* same width */
        memcpy(out, row + x, (size_t)gr_min(GR_CHUNK, places->width - x) * sizeof *out);
    } else if (taps == 4) {
        stretch_by(start, weights, 4, out);
    } else if (taps == 6) {
        stretch_by(start, weights, 6, out);
    } else if (taps == GR_MOST_TAPS) { /* split in two: compilers do not unroll more */
        float first[GR_CHUNK], second[GR_CHUNK];
        stretch_by(start, weights, 5, first);
        stretch_by(start + 5, weights + 5 * GR_CHUNK, 4, second);
        for (int k = 0; k < GR_CHUNK; k++) out[k] = first[k] + second[k];
    } else {
        stretch_by(start, weights, taps, out);
    }
}

/* Rows of base, slope and reference, each stretched to the width of a tile. */
typedef struct {
    float values[3][GR_WIDE];
} Line;

static void cover_row(const Line *restrict upper, const Line *restrict lower, float share,
                      float noise, const uint8_t *restrict luma, uint8_t *restrict out) {
    const GrLimits limits = gr_limits;
    float samples[GR_WIDE], values[GR_WIDE];
    gr_read(luma, samples, GR_WIDE);
    for (int x = 0; x < GR_WIDE; x++) {
        float base = upper->values[0][x] + (lower->values[0][x] - upper->values[0][x]) * share;
        float slope = upper->values[1][x] + (lower->values[1][x] - upper->values[1][x]) * share;
        float reference = upper->values[2][x] + (lower->values[2][x] - upper->values[2][x]) * share;
        values[x] = gr_guided(base, slope, reference, samples[x], noise, limits);
    }
    gr_write(values, out, GR_WIDE);
}

/* Return the kind of all samples of the half grid under a chunk; GR_EDGE if they differ. */
static int kind_of(const uint8_t *kinds, const int32_t *halves) {
    int kind = kinds[halves[0]];
    for (int column = halves[0] + 1; column <= halves[1]; column++)
        if (kinds[column] != kind) return GR_EDGE;
    return kind;
}

void gr_tile_coverage(const GrGuide *guide, int x, int y, const uint8_t *luma, ptrdiff_t stride,
                      uint8_t *coverage) {
    const GrPlaces *places = guide->places;
    const float *maps[3] = {guide->base, guide->slope, guide->reference};
    Line lines[GR_HIGH + 2];
    int rows = gr_min(GR_HIGH, places->height - y), chunk = x / GR_CHUNK;
    int chunks = gr_min(GR_CHUNKS, (places->width - x + GR_CHUNK - 1) / GR_CHUNK);
    int first = places->row_above[y];
    int last = gr_min(places->row_above[y + rows - 1] + 1, places->low_height - 1);
    uint8_t kinds[GR_HIGH][GR_CHUNKS], some[GR_CHUNKS] = {0};
    for (int row = 0; row < rows; row++) {
        int half = places->row_half[y + row];
        if (row && half == places->row_half[y + row - 1]) {
            memcpy(kinds[row], kinds[row - 1], GR_CHUNKS);
            continue;
        }
        for (int at = 0; at < chunks; at++) {
            const uint8_t *line = guide->kinds + (size_t)half * places->half_width;
            kinds[row][at] = (uint8_t)kind_of(line, places->chunk_halves + 2 * (chunk + at));
            some[at] |= kinds[row][at] == GR_EDGE;
        }
    }
    for (int at = 0; at < chunks; at++) {
        if (!some[at]) continue;
        for (int map = 0; map < 3; map++)
            for (int row = first; row <= last; row++)
                stretch_chunk(places, maps[map] + (size_t)row * places->low_width, chunk + at,
                              lines[row - first].values[map] + at * GR_CHUNK);
    }
    for (int row = 0; row < rows; row++) {
        int above = places->row_above[y + row] - first, below = gr_min(above + 1, last - first);
        uint8_t *target = coverage + row * GR_WIDE;
        if (memchr(kinds[row], GR_EDGE, (size_t)chunks))
            cover_row(&lines[above], &lines[below], places->row_share[y + row], guide->noise,
                      luma + row * stride, target);
        for (int at = 0; at < chunks; at++)
            if (kinds[row][at] != GR_EDGE)
                memset(target + at * GR_CHUNK, kinds[row][at] == GR_FULL ? 255 : 0, GR_CHUNK);
    }
}

/* Convert coverage from 0..1, which may be exceeded, to bytes. */
GR_EXPORT int gr_coverage_bytes(const float *values, ptrdiff_t count, uint8_t *out) {
    const GrLimits limits = gr_limits;
    float real[GR_WIDE];
    for (ptrdiff_t start = 0; start < count; start += GR_WIDE) {
        int some = (int)(count - start < GR_WIDE ? count - start : GR_WIDE);
        for (int x = 0; x < some; x++)
            real[x] = gr_within(255.0f * values[start + x] + 0.5f, limits.half, limits.full);
        gr_write(real, out + start, some);
    }
    return GR_OK;
}
