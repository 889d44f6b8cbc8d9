/* Telling movement from noise, in blocks. */
#include "core.h"

#include <math.h>

enum { BLOCK = 8, BINS = 8 };

/* What noise alone, normally distributed, does not do in hours: the mean square of n differences
 * is over its expectation by so many times its root of n, or their mean off by so many of its
 * standard deviations. And a change of brightness that nobody sees, in 8-bit levels. */
static const double SQUARES = 10, SIGMAS = 6, LIGHT = 1.5;

/* Sums of a column of a block: 8 samples, so 16 bits are enough for what is not squared. */
typedef struct {
    int16_t *changes, *levels;
    int32_t *squares;
} Sums;

static void add_row(const uint8_t *restrict now, const uint8_t *restrict before,
                    int16_t *restrict changes, int16_t *restrict levels, int32_t *restrict squares,
                    int width) {
    for (int x = 0; x < width; x++) {
        int16_t change = (int16_t)(now[x] - before[x]);
        changes[x] = (int16_t)(changes[x] + change);
        levels[x] = (int16_t)(levels[x] + before[x]);
        squares[x] += change * change;
    }
}

static void describe(Sums sums, int left, int wide, int high, float *found, size_t blocks) {
    int change = 0, level = 0, square = 0;
    for (int x = left; x < left + wide; x++) {
        change += sums.changes[x];
        level += sums.levels[x];
        square += sums.squares[x];
    }
    double count = high * wide, mean = change / count;
    found[0] = (float)mean;
    found[blocks] = (float)(square / count - mean * mean);
    found[2 * blocks] = (float)(level / count);
}

/* Measure by how much the blocks of a plane (height, width) differ from another's, which is
 * contiguous: the mean of the differences, their variance and the mean of the other one's samples,
 * found (3, rows, columns) of blocks, those at the right and bottom edge with what there is. */
GR_EXPORT int gr_compare_blocks(const uint8_t *plane, ptrdiff_t stride, int height, int width,
                         const uint8_t *reference, float *found) {
    int rows = (height + BLOCK - 1) / BLOCK, columns = (width + BLOCK - 1) / BLOCK;
    size_t row_bytes = (size_t)width * (2 * sizeof(int16_t) + sizeof(int32_t));
    int32_t *memory = malloc(row_bytes);
    if (!memory) return GR_NO_MEMORY;
    Sums sums = {.squares = memory, .changes = (int16_t *)(memory + width)};
    sums.levels = sums.changes + width;
    for (int row = 0; row < rows; row++) {
        int top = row * BLOCK, high = gr_min(BLOCK, height - top);
        memset(memory, 0, row_bytes);
        for (int y = top; y < top + high; y++)
            add_row(plane + y * stride, reference + (size_t)y * width, sums.changes, sums.levels,
                    sums.squares, width);
        float *target = found + (size_t)row * columns;
        for (int column = 0; column < columns; column++) {
            int left = column * BLOCK;
            describe(sums, left, gr_min(BLOCK, width - left), high, target + column,
                     (size_t)rows * columns);
        }
    }
    free(memory);
    return GR_OK;
}

/* The most that noise does to a block of so many samples, by brightness. */
static void find_limits(const float *noise, float most, int count, double (*limits)[2]) {
    for (int bin = 0; bin < BINS; bin++) {
        double expected = gr_minf(noise[bin], most), light = SIGMAS * sqrt(expected / count);
        limits[bin][0] = expected * (1 + SQUARES / sqrt(count));
        limits[bin][1] = light > LIGHT ? light : LIGHT;
    }
}

/* Tell which blocks of a plane (height, width), found (3, rows, columns) by gr_compare_blocks,
 * differ by more than noise: moved (rows, columns) is 1 or 0. noise (BINS) is the variance of the
 * difference of two samples by their brightness, and most what it is at the most. counts (BINS, 2):
 * how many blocks of each brightness there are, and how many vary by less than a share of its
 * noise. */
GR_EXPORT int gr_judge_blocks(const float *found, int height, int width, const float *noise,
                              float most, float share, uint8_t *moved, int64_t *counts) {
    int rows = (height + BLOCK - 1) / BLOCK, columns = (width + BLOCK - 1) / BLOCK;
    size_t blocks = (size_t)rows * columns;
    double limits[2][BINS][2]; /* of blocks of full width, and of the last of a row */
    memset(counts, 0, BINS * 2 * sizeof *counts);
    for (int row = 0; row < rows; row++) {
        int high = gr_min(BLOCK, height - row * BLOCK);
        if (row == 0 || high < BLOCK) {
            find_limits(noise, most, high * BLOCK, limits[0]);
            find_limits(noise, most, high * (width - (columns - 1) * BLOCK), limits[1]);
        }
        for (int column = 0; column < columns; column++) {
            size_t at = (size_t)row * columns + column;
            float level = found[at + 2 * blocks], variance = found[at + blocks];
            int bin = level >= 0 && level < 256 ? (int)level * BINS / 256 : BINS - 1;
            const double *limit = limits[column == columns - 1][bin];
            counts[2 * bin] += 1;
            counts[2 * bin + 1] += variance < share * noise[bin];
            moved[at] = !(variance <= limit[0] && fabsf(found[at]) <= limit[1]);
        }
    }
    return GR_OK;
}
