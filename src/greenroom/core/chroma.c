/* The chroma key.
 *
 * The picture is divided into cells of CELL x CELL samples; those at the right and the bottom
 * edge may be smaller. All planes have the size of the luma. */
#include "core.h"
#include "samples.h"

enum { CELL = 8 };
/* Columns processed together, so that their sums stay in the innermost cache. */
enum { STRIP = 256 };
/* Statistics of a cell: sums, and sums with the maximum; see gr_screen_statistics. */
enum { SUMS = 9, STATISTICS = 10 };
/* Maps of cells: those of GrScreen, then the difference between the person's and the screen's Y,
 * Cb and Cr. */
enum { SCREEN_MAPS = 5, MAPS = 8 };

/* Smallest chroma of the screen in the key's direction, as a share of the key's, where its light
 * is weak. */
static const float WEAKEST = 0.4f;
/* Largest ratio of its chroma across the key's direction to that along it: 19 degrees. */
static const float WIDEST = 0.35f;
/* A sample with a smaller share of the screen's colour is the person's own, including light
 * reflected from the screen. Few samples of soft edges have so little. */
static const float OWN = 0.25f;

/* Convert to floats, less an offset; loops that mix bytes and floats vectorise worse. */
static void convert(const uint8_t *restrict from, float offset, float *restrict to, int count) {
    for (int x = 0; x < count; x++) to[x] = (float)from[x] - offset;
}

/* The key, and the thresholds of chroma for screen and person. */
typedef struct {
    GrKey key;
    float least, own;
} Looked;

/* Add a row of samples to the sums of their columns. */
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

/* Add adjacent columns in pairs. */
static void add_pairs(const float *restrict from, float *restrict to, int count) {
    for (int x = 0; x < count; x++) to[x] = from[2 * x] + from[2 * x + 1];
}

static void find_larger(const float *restrict from, float *restrict to, int count) {
    for (int x = 0; x < count; x++) to[x] = gr_maxf(from[2 * x], from[2 * x + 1]);
}

/* Reduce the sums of columns to those of cells, for a strip. */
static void describe_cells(float (*sums)[STRIP], int count, float *out, size_t cells) {
    float twos[STRIP / 2], fours[STRIP / 4];
    for (int number = 0; number < STATISTICS; number++, out += cells) {
        void (*take)(const float *, float *, int) = number < SUMS ? add_pairs : find_larger;
        take(sums[number], twos, 4 * count);
        take(twos, fours, 2 * count);
        take(fours, out, count);
    }
}

/* Compute the statistics of every cell of a picture (height, width): out (STATISTICS, rows,
 * columns).
 *
 * Of samples that look like the screen: their number, the sums of Y, Cb and Cr (less 128), and
 * the sum of the squared chroma along the key's direction. Of samples that are certainly the
 * person's: number and sums of Y, Cb and Cr. Last the largest amount of the screen's colour in
 * any sample. key (3): unit vector in (Cb, Cr), and the length of the chroma. */
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

/* Maps stretched along a strip: values in the middle of a row of cells, and the change to the
 * next row. */
typedef struct {
    float upper[MAPS][STRIP], more[MAPS][STRIP];
} Around;

/* Interpolate a map along a row between the centres of cells; constant beyond the first and the
 * last one. */
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

/* Stretch the first `count` of the maps (MAPS, rows, columns) for a strip of the samples between
 * the centres of two rows of cells. */
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

/* Value of a map at a sample. */
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

/* Compute the matte of a picture (height, width): out (height, width), 0 to 1.
 *
 * key (4): that of gr_screen_statistics, and the noise of the screen's share, below one half:
 * shares that close to 0 or 1 become 0 or 1. maps (MAPS, rows, columns): what surrounds each
 * cell. */
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
        /* Replace the screen's share by the person's own colour. */
        float more_b = share * at(around, 6, x, down), more_r = share * at(around, 7, x, down);
        float spill = gr_screen_spill(key, b[x] + more_b, r[x] + more_r);
        luma[x] = share * at(around, 5, x, down);
        by_b[x] = more_b - spill * key.b;
        by_r[x] = more_r - spill * key.r;
    }
}

/* Round changes to bytes, offset by 128. */
static void round_changes(const float *restrict changes, uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = gr_limited_byte(changes[x] + 128.5f);
}

/* Compute the change of Y, Cb and Cr that removes the screen's colour: out (3, height, width),
 * offset by 128. Arguments as in gr_screen_coverage. */
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

/* Weigh two rows by 3 and 1. */
static void weigh_rows(const uint8_t *restrict near, const uint8_t *restrict far,
                       uint16_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = (uint16_t)(3 * near[x] + far[x]);
}

/* Interpolate a row to twice its length; it has an extra sample at either end. */
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

/* Add changes, offset by 128, to a plane (height, width). They are contiguous and of its size. */
GR_EXPORT int gr_add_changes(const uint8_t *plane, ptrdiff_t stride, const uint8_t *changes,
                             uint8_t *out, ptrdiff_t out_stride, int height, int width) {
    for (int y = 0; y < height; y++)
        add_row(plane + y * stride, changes + (size_t)y * width, out + y * out_stride, width);
    return GR_OK;
}

/* Add changes at half the size, rounded up, as gr_add_changes does; they are interpolated
 * between centres. */
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
