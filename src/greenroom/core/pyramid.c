/* Pyramid: the small planes of a frame for everything but its edges. */
#include "halving.h"

/* How a level is made from the one before it. */
typedef enum { HALVED, BY_THIRDS, COPIED } Step;

/* A plane at one size: all of it, or its last four rows. */
typedef struct {
    Step step;
    int height, width;
    uint8_t *rows;
    ptrdiff_t stride;
    int mask; /* index in memory of a row */
    int made; /* rows made so far */
} Level;

/* One plane and its levels, of which the source is the first. Sizes that fit an int can be
 * halved fewer times than there are levels. */
enum { MOST_LEVELS = 40, RING = 4 };

typedef struct {
    Level levels[MOST_LEVELS];
    int count;
    uint8_t *rings;  /* memory of levels that keep their last rows only */
    int (*runs)[2];  /* see find_runs */
    uint16_t *line;  /* a row in between two levels */
} Chain;

static const uint8_t *row_of(const Level *level, int y) {
    return level->rows + (ptrdiff_t)(y & level->mask) * level->stride;
}

static void mix_rows(const uint8_t *restrict near, const uint8_t *restrict far, int width,
                     uint16_t *restrict line) {
    for (int x = 0; x < width; x++) line[x] = GR_THIRD_OF_ROWS(near[x], far[x]);
}

static void mix_samples(const uint16_t *restrict line, int pairs, uint8_t *restrict out) {
    for (int x = 0; x < pairs; x++) {
        out[2 * x] = GR_THIRD_OF_SAMPLES(line[3 * x], line[3 * x + 1]);
        out[2 * x + 1] = GR_THIRD_OF_SAMPLES(line[3 * x + 1], line[3 * x + 2]);
    }
}

/* Find the runs of pairs that begin three samples apart: the first pair of each, and its place.
 * One more entry marks the end of the last run. */
static void find_runs(int length, int pairs, int (*runs)[2]) {
    int count = 0, next = -1;
    for (int pair = 0; pair < pairs; pair++) {
        int start = gr_third_start(pair, pairs, length);
        if (start != next) runs[count][0] = pair, runs[count++][1] = start;
        next = start + 3;
    }
    runs[count][0] = pairs;
}

/* Reduce a row to two thirds of its width. */
static void shorten(const uint16_t *line, const int (*runs)[2], int width, uint8_t *out) {
    for (; runs[0][0] < width / 2; runs++)
        mix_samples(line + runs[0][1], runs[1][0] - runs[0][0], out + 2 * (ptrdiff_t)runs[0][0]);
}

static void pass_on(Chain *chain, int index, int y);

static void make_row(Chain *chain, int index, const uint8_t *first, const uint8_t *second) {
    Level *level = chain->levels + index;
    const Level *before = level - 1;
    int y = level->made++;
    uint8_t *out = level->rows + (ptrdiff_t)(y & level->mask) * level->stride;
    if (level->step == HALVED) gr_halve_bytes(first, second, before->width, out);
    else if (level->step == COPIED) memcpy(out, first, (size_t)level->width);
    else {
        mix_rows(first, second, before->width, chain->line);
        shorten(chain->line, (const int(*)[2])chain->runs, level->width, out);
    }
    pass_on(chain, index, y);
}

/* Make what follows from a new row of a level, while it is in the innermost cache. */
static void pass_on(Chain *chain, int index, int y) {
    if (index + 1 == chain->count) return;
    const Level *level = chain->levels + index;
    Level *next = chain->levels + index + 1;
    if (next->step == COPIED) make_row(chain, index + 1, row_of(level, y), NULL);
    else if (next->step == HALVED) {
        if (y % 2 || y == level->height - 1)
            make_row(chain, index + 1, row_of(level, y & ~1), row_of(level, y));
    } else
        while (next->made < next->height) {
            int start = gr_third_start(next->made / 2, next->height / 2, level->height);
            if (start + 2 > y) return;
            const uint8_t *middle = row_of(level, start + 1);
            make_row(chain, index + 1, row_of(level, start), middle);
            make_row(chain, index + 1, row_of(level, start + 2), middle);
        }
}

/* Add a level, stored completely in `out` or with its last rows only. */
static void add(Chain *chain, Step step, int height, int width, uint8_t *out) {
    Level *level = chain->levels + chain->count++;
    *level = (Level){step, height, width, out, width, -1, 0};
    if (out) return;
    level->rows = chain->rings;
    level->mask = RING - 1;
    chain->rings += RING * (size_t)width;
}

static int half_of(int length) { return length / 2 + length % 2; }

static void add_half(Chain *chain, uint8_t *out) {
    const Level *last = chain->levels + chain->count - 1;
    add(chain, HALVED, half_of(last->height), half_of(last->width), out);
}

static void begin(Chain *chain, const uint8_t *plane, ptrdiff_t stride, int height, int width) {
    chain->levels[0] = (Level){COPIED, height, width, (uint8_t *)plane, stride, -1, height};
    chain->count = 1;
}

static void run(Chain *chain) {
    const Level *source = chain->levels;
    for (int y = 0; y < source->height; y++) {
        gr_fetch(row_of(source, y) + 2 * source->stride, (size_t)source->width);
        pass_on(chain, 0, y);
    }
}

/* Make the small planes of a frame of one or three planes, reading each once.
 *
 * All planes are halved `halvings` times, as by gr_halve. If the first then has another size
 * than small_height and small_width, it is reduced to about two thirds; both are multiples of
 * four then, and at least 6 samples are reduced in each direction. That is the working grid.
 * Planes of half the size of the first stay so on it.
 *
 * small: the planes on the working grid, one after the other; NULL if that is the planes' own.
 * halves (count, h, w): all planes at half the size of the first of these. glance: the first
 * plane at an eighth. */
GR_EXPORT int gr_pyramid(const uint8_t *first, ptrdiff_t first_stride, int height, int width,
                         const uint8_t *second, ptrdiff_t second_stride, const uint8_t *third,
                         ptrdiff_t third_stride, int further_height, int further_width, int count,
                         int halvings, int small_height, int small_width, uint8_t *small,
                         uint8_t *halves, uint8_t *glance) {
    const uint8_t *planes[] = {first, second, third};
    ptrdiff_t strides[] = {first_stride, second_stride, third_stride};
    size_t runs = ((size_t)small_width / 2 + 1) * sizeof(int[2]), line = width * sizeof(uint16_t);
    uint8_t *memory = malloc(runs + line + RING * ((size_t)width + MOST_LEVELS));
    if (!memory) return GR_NO_MEMORY;
    size_t half = (size_t)half_of(small_height) * half_of(small_width);
    int reduced_height = height, reduced_width = width;
    for (int i = 0; i < halvings; i++) {
        reduced_height = half_of(reduced_height);
        reduced_width = half_of(reduced_width);
    }
    int thirds = reduced_height != small_height || reduced_width != small_width;
    for (int plane = 0; plane < count; plane++) {
        Chain chain = {.runs = (void *)memory, .line = (void *)(memory + runs)};
        chain.rings = memory + runs + line;
        int is_half = plane > 0 && (further_height != height || further_width != width);
        begin(&chain, planes[plane], strides[plane], plane ? further_height : height,
              plane ? further_width : width);
        int high = is_half ? half_of(small_height) : small_height;
        int wide = is_half ? half_of(small_width) : small_width;
        for (int i = 0; i < halvings; i++)
            add_half(&chain, !thirds && i == halvings - 1 ? small : NULL);
        if (thirds) {
            find_runs(chain.levels[chain.count - 1].width, wide / 2, chain.runs);
            add(&chain, BY_THIRDS, high, wide, small);
        } else if (small && !halvings) add(&chain, COPIED, high, wide, small);
        if (small) small += (size_t)high * wide;
        if (is_half) add(&chain, COPIED, high, wide, halves + plane * half);
        else add_half(&chain, halves + plane * half);
        if (plane == 0) {
            add_half(&chain, NULL);
            add_half(&chain, glance);
        }
        run(&chain);
    }
    free(memory);
    return GR_OK;
}
