/* Distinguish movement from sensor noise, in blocks of 8x8 samples. */
#include "core.h"

#include <math.h>

enum { BLOCK = 8, PAIRS = BLOCK / 2, BINS = 8, LEVELS = 256 / BINS };

/* Limits that normally distributed noise exceeds. SQUARES: by how many times its share of
 * sqrt(n) the mean square of n differences may exceed its expectation; in one frame of ten
 * thousand a block is over it. SIGMAS: standard deviations of a block's mean; no block is over
 * it in weeks. LIGHT: largest invisible change of brightness, in 8-bit levels. */
static const double SQUARES = 10, SIGMAS = 7, LIGHT = 1.5;
/* Bounds of the noise: variance of the difference of two samples, in squared 8-bit levels. The
 * lower one is that of rounding at its worst, half way between two levels; above the upper one
 * it is not noise. */
static const float LEAST_NOISE = 0.5f, MOST_NOISE = 32;
/* The estimate is right when a quarter of the blocks vary less than QUARTER of it, as those
 * without movement do; at least a quarter are without. It falls by FALL if more do, and rises by
 * RISE if fewer do: much slower, because movement has the same effect. */
static const double SHARE = 0.25, FALL = 0.5, RISE = 0.04;
/* First quartile of the variance of 64 normally distributed samples, as a share of its
 * expectation. */
static const float QUARTER = 0.87f;
/* Largest ratio of the noise at one brightness to that of the whole picture. */
static const double UNEVEN = 4;
/* Fewest blocks of one brightness from which its noise is estimated. */
enum { ENOUGH = 64 };

/* Sums for each pair of columns of a row of blocks: over 16 samples, so 16 bits hold those that
 * are not squares. */
typedef struct {
    uint32_t *squares;
    int16_t *changes, *levels;
} Sums;

/* For every block, the mean and the variance of the differences, and the brightness bin of the
 * other plane. */
typedef struct {
    float *means, *variances;
    int32_t *bins;
    int count;
} Blocks;

/* Number of blocks by brightness: all of them, and those that vary less than QUARTER of the
 * noise. */
typedef struct {
    int all[BINS], calm[BINS];
} Counts;

/* Reads two samples as one 16-bit number; the byte order does not matter. */
static void add_row(const uint8_t *restrict now, const uint8_t *restrict before,
                    uint32_t *restrict squares, int16_t *restrict changes,
                    int16_t *restrict levels, int pairs) {
    for (int x = 0; x < pairs; x++) {
        uint16_t one, other;
        memcpy(&one, now + 2 * x, 2);
        memcpy(&other, before + 2 * x, 2);
        int16_t first = (int16_t)((one & 255) - (other & 255));
        int16_t second = (int16_t)((one >> 8) - (other >> 8));
        uint16_t first_square = (uint16_t)(first * first);
        uint16_t second_square = (uint16_t)(second * second);
        changes[x] = (int16_t)(changes[x] + first + second);
        levels[x] = (int16_t)(levels[x] + (other & 255) + (other >> 8));
        squares[x] += (uint32_t)first_square + second_square;
    }
}

static void add_last(uint8_t now, uint8_t before, Sums sums, int at) {
    int change = now - before;
    sums.squares[at] += (uint32_t)(change * change);
    sums.changes[at] = (int16_t)(sums.changes[at] + change);
    sums.levels[at] = (int16_t)(sums.levels[at] + before);
}

/* Compute mean, variance and bin of `count` blocks of `samples` samples each. */
static void describe(const uint32_t *restrict squares, const int16_t *restrict changes,
                     const int16_t *restrict levels, int samples, int count,
                     float *restrict means, float *restrict variances, int32_t *restrict bins) {
    const float all = (float)samples, squared = all * all, binned = all * LEVELS;
    for (int x = 0; x < count; x++) {
        const uint32_t *s = squares + PAIRS * x;
        const int16_t *c = changes + PAIRS * x, *l = levels + PAIRS * x;
        int square = (int)(s[0] + s[1] + s[2] + s[3]), change = c[0] + c[1] + c[2] + c[3];
        float level = (float)(l[0] + l[1] + l[2] + l[3]);
        means[x] = (float)change / all;
        variances[x] = (float)(samples * square - change * change) / squared; /* at most 2^28 */
        bins[x] = (int32_t)((level + 0.5f) / binned); /* whole numbers: rounds down */
    }
}

/* Compare all blocks of two planes (height, width); blocks at the right and bottom edge may be
 * smaller. */
static void compare(const uint8_t *now, const uint8_t *before, int height, int width, Sums sums,
                    Blocks blocks) {
    int columns = (width + BLOCK - 1) / BLOCK, whole = width / BLOCK, slots = columns * PAIRS;
    for (int top = 0, at = 0; top < height; top += BLOCK, at += columns) {
        int high = gr_min(BLOCK, height - top);
        memset(sums.squares, 0, (size_t)slots * (sizeof *sums.squares + 2 * sizeof *sums.changes));
        for (int y = top; y < top + high; y++) {
            const uint8_t *one = now + (size_t)y * width, *other = before + (size_t)y * width;
            add_row(one, other, sums.squares, sums.changes, sums.levels, width / 2);
            if (width % 2) add_last(one[width - 1], other[width - 1], sums, width / 2);
        }
        describe(sums.squares, sums.changes, sums.levels, high * BLOCK, whole, blocks.means + at,
                 blocks.variances + at, blocks.bins + at);
        int rest = whole * PAIRS, last = at + whole;
        describe(sums.squares + rest, sums.changes + rest, sums.levels + rest,
                 high * (width % BLOCK), columns - whole, blocks.means + last,
                 blocks.variances + last, blocks.bins + last);
    }
}

/* Select the value of a rank, counted from 0, among non-negative floats: their bit patterns sort
 * like integers, so it is found digit by digit from the highest bits on. */
static float find_ranked(const float *values, int count, int rank) {
    static const struct {
        int shift, bits;
    } digits[] = {{20, 12}, {8, 12}, {0, 8}};
    uint32_t found = 0;
    for (int digit = 0, known = 32; digit < 3; digit++) {
        int shift = digits[digit].shift, counts[1 << 12];
        uint32_t mask = (1u << digits[digit].bits) - 1, next = 0;
        memset(counts, 0, sizeof *counts << digits[digit].bits);
        for (int i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, values + i, sizeof bits);
            if (known == 32 || (bits ^ found) >> known == 0) counts[bits >> shift & mask]++;
        }
        while (next < mask && rank >= counts[next]) rank -= counts[next++];
        found |= next << shift;
        known = shift;
    }
    float value;
    memcpy(&value, &found, sizeof value);
    return value;
}

/* Compute the limits of a block's variance and mean that noise alone stays within, by
 * brightness. */
static void find_limits(const float *noise, float most, int count, float (*limits)[2]) {
    for (int bin = 0; bin < BINS; bin++) {
        double expected = gr_minf(noise[bin], most), light = SIGMAS * sqrt(expected / count);
        limits[bin][0] = (float)(expected * (1 + SQUARES / sqrt(count)));
        limits[bin][1] = (float)(light > LIGHT ? light : LIGHT);
    }
}

/* Return whether some of `count` blocks of one size differ by more than noise, and count them. */
static int judge(Blocks blocks, int from, int count, float (*limits)[2], const float *calm,
                 Counts *counts) {
    int moved = 0;
    for (int i = from; i < from + count; i++) {
        int bin = blocks.bins[i];
        float variance = blocks.variances[i];
        counts->all[bin] += 1;
        counts->calm[bin] += variance < calm[bin];
        moved |= !((variance <= limits[bin][0]) & (fabsf(blocks.means[i]) <= limits[bin][1]));
    }
    return moved;
}

static int judge_all(Blocks blocks, int height, int width, const float *noise, float most,
                     Counts *counts) {
    int columns = (width + BLOCK - 1) / BLOCK, whole = width / BLOCK, moved = 0;
    float limits[2][BINS][2], calm[BINS]; /* for whole blocks, and for the last one of a row */
    for (int bin = 0; bin < BINS; bin++) calm[bin] = QUARTER * noise[bin];
    for (int top = 0, at = 0; top < height; top += BLOCK, at += columns) {
        int high = gr_min(BLOCK, height - top);
        if (top == 0 || high < BLOCK) {
            find_limits(noise, most, high * BLOCK, limits[0]);
            find_limits(noise, most, gr_max(1, high * (width % BLOCK)), limits[1]);
        }
        moved |= judge(blocks, at, whole, limits[0], calm, counts);
        moved |= judge(blocks, at + whole, columns - whole, limits[1], calm, counts);
    }
    return moved;
}

/* Move the estimates until the expected share of blocks is below them. A brightness with too few
 * blocks gets the largest noise of the others. */
static void learn(const Counts *counts, float *noise) {
    int enough = 1;
    for (int bin = 0; bin < BINS; bin++)
        if (counts->all[bin] >= ENOUGH) enough = ENOUGH;
    float most = 0;
    for (int bin = 0; bin < BINS; bin++) {
        if (counts->all[bin] < enough) continue;
        double surplus = (double)counts->calm[bin] / counts->all[bin] - SHARE;
        double factor = exp(-(surplus > 0 ? FALL : RISE) * surplus);
        noise[bin] = gr_clampf((float)(noise[bin] * factor), LEAST_NOISE, MOST_NOISE);
        most = gr_maxf(most, noise[bin]);
    }
    for (int bin = 0; bin < BINS; bin++)
        if (counts->all[bin] < enough) noise[bin] = most;
}

/* Return whether a plane differs from another by more than noise, and update the noise. */
static int has_moved(const uint8_t *now, const uint8_t *before, int height, int width, Sums sums,
                     Blocks blocks, float *noise) {
    compare(now, before, height, width, sums, blocks);
    int rank = (int)(SHARE * blocks.count);
    double typical = find_ranked(blocks.variances, blocks.count, rank) / (double)QUARTER;
    float most = (float)(UNEVEN * (typical > LEAST_NOISE ? typical : LEAST_NOISE));
    Counts counts = {{0}, {0}};
    int moved = judge_all(blocks, height, width, noise, most, &counts);
    /* With no variance at all it may be the same frame again, which says nothing of the noise. */
    if (typical > 0) learn(&counts, noise);
    return moved;
}

/* Determine whether a frame shows the same as another one except for sensor noise, and update
 * the estimate of the noise.
 *
 * planes and before: one or three contiguous planes each; the first is (height, width), the
 * others are (other_height, other_width). They are compared in blocks: the variance of the
 * differences is large where an edge has moved, their mean where the light has changed. noise
 * (count, BINS): variance of the difference of two samples, for each plane and brightness; moved
 * toward that of the stillest blocks. still: 1 or 0. */
GR_EXPORT int gr_tell_still(int count, const uint8_t *first, const uint8_t *second,
                            const uint8_t *third, const uint8_t *first_before,
                            const uint8_t *second_before, const uint8_t *third_before, int height,
                            int width, int other_height, int other_width, float *noise,
                            int32_t *still) {
    const uint8_t *planes[] = {first, second, third};
    const uint8_t *before[] = {first_before, second_before, third_before};
    int high = height, wide = width;
    if (count > 1) high = gr_max(high, other_height), wide = gr_max(wide, other_width);
    size_t columns = (size_t)(wide + BLOCK - 1) / BLOCK, slots = columns * PAIRS;
    size_t most = columns * ((size_t)(high + BLOCK - 1) / BLOCK);
    uint32_t *memory = malloc(2 * slots * sizeof *memory + 3 * most * sizeof(float));
    if (!memory) return GR_NO_MEMORY;
    Blocks blocks = {.means = (float *)(memory + 2 * slots)};
    blocks.variances = blocks.means + most;
    blocks.bins = (int32_t *)(blocks.variances + most);
    int moved = 0;
    for (int plane = 0; plane < count; plane++, noise += BINS) {
        if (plane == 1) height = other_height, width = other_width;
        columns = (size_t)(width + BLOCK - 1) / BLOCK;
        slots = columns * PAIRS;
        Sums sums = {memory, (int16_t *)(memory + slots), (int16_t *)(memory + slots) + slots};
        blocks.count = (int)(columns * (size_t)((height + BLOCK - 1) / BLOCK));
        moved |= has_moved(planes[plane], before[plane], height, width, sums, blocks, noise);
    }
    free(memory);
    *still = !moved;
    return GR_OK;
}
