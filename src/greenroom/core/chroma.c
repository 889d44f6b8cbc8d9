/* The chroma key.
 *
 * The picture is seen in cells of CELL x CELL samples; those at the right and at the bottom have
 * what there is. Planes of chroma are given with the luma of their size. */
#include "core.h"
#include "samples.h"

enum { CELL = 8 };
/* So many columns are looked at together: all that is known of them stays in the inner cache. */
enum { STRIP = 256 };
/* What is told of a cell: see gr_screen_statistics. */
enum { SUMS = 9, STATISTICS = 10 };
/* What is known around a cell: GrScreen, and the person's Y, Cb and Cr minus the screen's. */
enum { SCREEN_MAPS = 5, MAPS = 8 };

/* A screen has at least this share of the key's chroma where its light is weak, ... */
static const float WEAKEST = 0.4f;
/* ... and so much of it at most across the key's direction: 19 degrees. */
static const float WIDEST = 0.35f;
/* A sample with less of the screen's colour, as a share of the key's chroma, is the person's own,
 * the light that the screen throws on them included; samples of soft edges with that little are
 * few. */
static const float OWN = 0.25f;

/* Samples as floats, less an offset: loops over both kinds are not vectorised as well. */
static void convert(const uint8_t *restrict from, float offset, float *restrict to, int count) {
    for (int x = 0; x < count; x++) to[x] = (float)from[x] - offset;
}

/* The key, and its chroma that makes a screen or a person. */
typedef struct {
    GrKey key;
    float least, own;
} Looked;

/* Add samples, each to its column. */
static void add_samples(const Looked *looked, const float *restrict luma, const float *restrict c_b,
                        const float *restrict c_r, float (*restrict sums)[STRIP], int count) {
    GrKey key = looked->key;
    float least = looked->least, own = looked->own;
    for (int x = 0; x < count; x++) {
        float light = luma[x], b = c_b[x], r = c_r[x];
        float along = gr_along(key, b, r), amount = gr_screen_amount(key, b, r);
        float screen = gr_across(key, b, r) < WIDEST * along ? 1.0f : 0.0f;
        screen = along > least ? screen : 0.0f;
        float person = amount < own ? 1.0f : 0.0f;
        sums[0][x] += screen;
        sums[1][x] += screen * light;
        sums[2][x] += screen * b;
        sums[3][x] += screen * r;
        sums[4][x] += screen * along * along;
        sums[5][x] += person;
        sums[6][x] += person * light;
        sums[7][x] += person * b;
        sums[8][x] += person * r;
        sums[9][x] = gr_maxf(sums[9][x], amount);
    }
}

/* Take two columns together, which lie side by side. */
static void add_pairs(const float *restrict from, float *restrict to, int count) {
    for (int x = 0; x < count; x++) to[x] = from[2 * x] + from[2 * x + 1];
}

static void find_larger(const float *restrict from, float *restrict to, int count) {
    for (int x = 0; x < count; x++) to[x] = gr_maxf(from[2 * x], from[2 * x + 1]);
}

/* Describe cells of a strip by what was found of their columns. */
static void describe_cells(float (*sums)[STRIP], int count, float *out, size_t cells) {
    float twos[STRIP / 2], fours[STRIP / 4];
    for (int number = 0; number < STATISTICS; number++, out += cells) {
        void (*take)(const float *, float *, int) = number < SUMS ? add_pairs : find_larger;
        take(sums[number], twos, 4 * count);
        take(twos, fours, 2 * count);
        take(fours, out, count);
    }
}

/* Describe every cell of a picture (height, width): out (STATISTICS, rows, columns).
 *
 * Of the samples that look like the screen their number, the sums of Y, Cb, Cr (from 128) and of
 * the square of their chroma along the key's; number and sums of Y, Cb and Cr of those that are
 * surely the person's; the most that a sample has of the screen's colour. key (3) is a unit vector
 * in (Cb, Cr) and the chroma's length. */
GR_EXPORT int gr_screen_statistics(const uint8_t *luma, ptrdiff_t luma_stride, const uint8_t *c_b,
                                   ptrdiff_t c_b_stride, const uint8_t *c_r, ptrdiff_t c_r_stride,
                                   int height, int width, const float *key, float *out) {
    Looked looked = {{key[0], key[1], 0, 1}, WEAKEST * key[2], OWN * key[2]};
    int rows = (height + CELL - 1) / CELL, columns = (width + CELL - 1) / CELL;
    float sums[STATISTICS][STRIP], light[STRIP], b[STRIP], r[STRIP];
    for (int row = 0; row < rows; row++)
        for (int x = 0; x < width; x += STRIP) {
            int wide = gr_min(STRIP, width - x);
            memset(sums, 0, SUMS * sizeof *sums);
            for (int k = 0; k < STRIP; k++) sums[SUMS][k] = -255;
            for (int y = row * CELL; y < gr_min(row * CELL + CELL, height); y++) {
                convert(luma + y * luma_stride + x, 0, light, wide);
                convert(c_b + y * c_b_stride + x, 128, b, wide);
                convert(c_r + y * c_r_stride + x, 128, r, wide);
                add_samples(&looked, light, b, r, sums, wide);
            }
            describe_cells(sums, (wide + CELL - 1) / CELL, out + (size_t)row * columns + x / CELL,
                           (size_t)rows * columns);
        }
    return GR_OK;
}

/* Maps along a strip: those of a row of cells, and how much more they are at the next one. */
typedef struct {
    float upper[MAPS][STRIP], more[MAPS][STRIP];
} Around;

/* Interpolate a map along a row between the middles of cells; it repeats beyond the first and the
 * last. */
static void stretch(const float *cells, int columns, int x, int wide, float *restrict out) {
    for (int column = x / CELL; column < (x + wide + CELL - 1) / CELL; column++, out += CELL) {
        float here = cells[column];
        float before = (here - cells[gr_max(column - 1, 0)]) * (1.0f / CELL);
        float behind = (cells[gr_min(column + 1, columns - 1)] - here) * (1.0f / CELL);
        for (int k = 0; k < CELL / 2; k++) out[k] = here + before * ((float)(k - CELL / 2) + 0.5f);
        for (int k = CELL / 2; k < CELL; k++) out[k] = here + behind * ((float)(k - CELL / 2) + 0.5f);
    }
}

static void subtract(const float *restrict upper, float *restrict lower, int count) {
    for (int x = 0; x < count; x++) lower[x] -= upper[x];
}

/* Prepare maps (MAPS, rows, columns), `count` of them, for a strip of the samples between the
 * middles of two rows of cells. */
static void look_around(const float *maps, int rows, int columns, int count, int row, int x,
                        int wide, Around *around) {
    int above = gr_max(row - 1, 0), below = gr_min(row, rows - 1);
    for (int map = 0; map < count; map++) {
        const float *cells = maps + (size_t)map * rows * columns;
        stretch(cells + (size_t)above * columns, columns, x, wide, around->upper[map]);
        stretch(cells + (size_t)below * columns, columns, x, wide, around->more[map]);
        subtract(around->upper[map], around->more[map], wide);
    }
}

/* What a map is at a sample. */
static inline float at(const Around *around, int map, int x, float share) {
    return around->upper[map][x] + around->more[map][x] * share;
}

static inline GrScreen screen_at(const Around *around, int x, float share) {
    return (GrScreen){at(around, 0, x, share), at(around, 1, x, share), at(around, 2, x, share),
                      at(around, 3, x, share), at(around, 4, x, share)};
}

static void cover(GrKey key, const Around *restrict around, float share, const float *restrict b,
                  const float *restrict r, float *restrict out, int count) {
    for (int x = 0; x < count; x++)
        out[x] = 1.0f - gr_screen_share(key, screen_at(around, x, share), b[x], r[x]);
}

static GrKey key_of(const float *key) {
    return (GrKey){key[0], key[1], key[3], 1.0f / (1.0f - 2.0f * key[3])};
}

/* Find the matte of a picture (height, width), out (height, width) of 0..1. key (4) is that of
 * gr_screen_statistics, and how far noise takes the screen's share from 0 and 1, which is less than
 * a half. maps (MAPS, rows, columns) are what is known around the cells. */
GR_EXPORT int gr_screen_coverage(const uint8_t *c_b, ptrdiff_t c_b_stride, const uint8_t *c_r,
                                 ptrdiff_t c_r_stride, int height, int width, const float *key,
                                 const float *maps, float *out) {
    int rows = (height + CELL - 1) / CELL, columns = (width + CELL - 1) / CELL;
    float b[STRIP], r[STRIP];
    Around around;
    for (int row = 0; row <= rows; row++)
        for (int x = 0; x < width; x += STRIP) {
            int wide = gr_min(STRIP, width - x), first = row * CELL - CELL / 2;
            look_around(maps, rows, columns, SCREEN_MAPS, row, x, wide, &around);
            for (int y = gr_max(first, 0); y < gr_min(first + CELL, height); y++) {
                float share = ((float)(y - first) + 0.5f) * (1.0f / CELL);
                convert(c_b + y * c_b_stride + x, 128, b, wide);
                convert(c_r + y * c_r_stride + x, 128, r, wide);
                cover(key_of(key), &around, share, b, r, out + (size_t)y * width + x, wide);
            }
        }
    return GR_OK;
}

static void change(GrKey key, const Around *restrict around, float down, const float *restrict b,
                   const float *restrict r, float *restrict luma, float *restrict by_b,
                   float *restrict by_r, int count) {
    for (int x = 0; x < count; x++) {
        float share = gr_screen_share(key, screen_at(around, x, down), b[x], r[x]);
        /* The screen's part, and the person's own colour in its place. */
        float more_b = share * at(around, 6, x, down), more_r = share * at(around, 7, x, down);
        float spill = gr_screen_spill(key, b[x] + more_b, r[x] + more_r);
        luma[x] = share * at(around, 5, x, down);
        by_b[x] = more_b - spill * key.b;
        by_r[x] = more_r - spill * key.r;
    }
}

/* Round changes to 8 bits, 128 for none. */
static void round_changes(const float *restrict changes, uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = gr_limited_byte(changes[x] + 128.5f);
}

/* Find what is to be added to Y, Cb and Cr, out (3, height, width), so that the screen's colour is
 * out of them: 128 for nothing. Takes what gr_screen_coverage does. */
GR_EXPORT int gr_screen_changes(const uint8_t *c_b, ptrdiff_t c_b_stride, const uint8_t *c_r,
                                ptrdiff_t c_r_stride, int height, int width, const float *key,
                                const float *maps, uint8_t *out) {
    int rows = (height + CELL - 1) / CELL, columns = (width + CELL - 1) / CELL;
    float b[STRIP], r[STRIP], made[3][STRIP];
    Around around;
    for (int row = 0; row <= rows; row++)
        for (int x = 0; x < width; x += STRIP) {
            int wide = gr_min(STRIP, width - x), first = row * CELL - CELL / 2;
            look_around(maps, rows, columns, MAPS, row, x, wide, &around);
            for (int y = gr_max(first, 0); y < gr_min(first + CELL, height); y++) {
                float down = ((float)(y - first) + 0.5f) * (1.0f / CELL);
                convert(c_b + y * c_b_stride + x, 128, b, wide);
                convert(c_r + y * c_r_stride + x, 128, r, wide);
                change(key_of(key), &around, down, b, r, made[0], made[1], made[2], wide);
                for (int plane = 0; plane < 3; plane++)
                    round_changes(made[plane], out + ((size_t)plane * height + y) * width + x, wide);
            }
        }
    return GR_OK;
}

/* Three parts of a row and one of another. */
static void weigh_rows(const uint8_t *restrict near, const uint8_t *restrict far,
                       uint16_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = (uint16_t)(3 * near[x] + far[x]);
}

/* Two samples for one, between those beside it; before the first and behind the last is one more. */
static void double_row(const uint16_t *restrict row, uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++) {
        uint16_t middle = (uint16_t)(3 * row[x + 1] + 8);
        out[2 * x] = (uint8_t)((uint16_t)(middle + row[x]) >> 4);
        out[2 * x + 1] = (uint8_t)((uint16_t)(middle + row[x + 2]) >> 4);
    }
}

static void add_row(const uint8_t *restrict row, const uint8_t *restrict change,
                    uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = gr_limited((int16_t)(row[x] + change[x] - 128));
}

/* Add changes to a plane (height, width): 128 for none. They are contiguous and of its size. */
GR_EXPORT int gr_add_changes(const uint8_t *plane, ptrdiff_t stride, const uint8_t *changes,
                             uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    for (int y = 0; y < height; y++)
        add_row(plane + y * stride, changes + (size_t)y * width, out + y * out_stride, width);
    return GR_OK;
}

/* The same of changes at half the size, odd ones rounded up, interpolated between the middles. */
GR_EXPORT int gr_add_half_changes(const uint8_t *plane, ptrdiff_t stride, const uint8_t *changes,
                                  uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    int half_height = (height + 1) / 2, half_width = (width + 1) / 2;
    uint16_t *row = malloc(((size_t)half_width * 2 + 2) * sizeof *row);
    if (!row) return GR_NO_MEMORY;
    uint8_t *doubled = (uint8_t *)(row + half_width + 2);
    for (int y = 0; y < height; y++) {
        int beside = gr_min(gr_max(y / 2 + (y % 2 ? 1 : -1), 0), half_height - 1);
        weigh_rows(changes + (size_t)(y / 2) * half_width, changes + (size_t)beside * half_width,
                   row + 1, half_width);
        row[0] = row[1], row[half_width + 1] = row[half_width];
        double_row(row, doubled, half_width);
        add_row(plane + y * stride, doubled, out + y * out_stride, width);
    }
    free(row);
    return GR_OK;
}
