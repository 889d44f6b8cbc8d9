/* Coefficients of a guided filter, on the half grid. */
#include "grids.h"

/* What is known of a sample of the half grid: certainly 0, certainly 1, or neither. As in
 * `guided_kernels`. */
enum { EMPTY = 0, FULL = 1, EDGE = 2 };

/* Each is a row of sums over three rows, with a sample more at either end. */
typedef struct {
    float *guide, *matte, *both, *square;
} Sums;

static void add_products(const float *restrict guide[3], const float *restrict matte[3],
                         const Sums *sums, int count) {
    const float ninth = 1 / 9.0f;
    float *restrict a = sums->guide + 1, *restrict b = sums->matte + 1;
    float *restrict c = sums->both + 1, *restrict d = sums->square + 1;
    const float *restrict g0 = guide[0], *restrict g1 = guide[1], *restrict g2 = guide[2];
    const float *restrict m0 = matte[0], *restrict m1 = matte[1], *restrict m2 = matte[2];
    for (int x = 0; x < count; x++) {
        a[x] = ninth * (g0[x] + g1[x] + g2[x]);
        b[x] = ninth * (m0[x] + m1[x] + m2[x]);
        c[x] = ninth * (g0[x] * m0[x] + g1[x] * m1[x] + g2[x] * m2[x]);
        d[x] = ninth * (g0[x] * g0[x] + g1[x] * g1[x] + g2[x] * g2[x]);
    }
}

/* Fill in what is beside a row: the sample next to its end, as if mirrored there. */
static void mirror_ends(float *sums, int count) {
    sums[0] = sums[gr_min(2, count)];
    sums[count + 1] = sums[gr_max(count - 1, 1)];
}

static void fit_row(const Sums *sums, float flat, float *restrict slopes, float *restrict offsets,
                    int count) {
    const float *restrict a = sums->guide, *restrict b = sums->matte;
    const float *restrict c = sums->both, *restrict d = sums->square;
    for (int x = 0; x < count; x++) {
        float guide = a[x] + a[x + 1] + a[x + 2], mean = b[x] + b[x + 1] + b[x + 2];
        float both = c[x] + c[x + 1] + c[x + 2], square = d[x] + d[x + 1] + d[x + 2];
        float slope = (both - guide * mean) / (square - guide * guide + flat);
        slopes[x] = slope;
        offsets[x] = mean - slope * guide;
    }
}

static void mean_of_rows(const float *restrict above, const float *restrict here,
                         const float *restrict below, float *restrict sums, int count) {
    for (int x = 0; x < count; x++) sums[x + 1] = (above[x] + here[x] + below[x]) * (1 / 9.0f);
}

static void sum_of_three(const float *restrict sums, float *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] = sums[x] + sums[x + 1] + sums[x + 2];
}

static void mean_row(const float *map, int y, int height, int width, float *line, float *row) {
    mean_of_rows(map + (size_t)gr_mirrored(y - 1, height) * width, map + (size_t)y * width,
                 map + (size_t)gr_mirrored(y + 1, height) * width, line, width);
    mirror_ends(line, width);
    sum_of_three(line, row, width);
}

/* Find the local linear models that take a guide to a matte, all (height, width), over windows of
 * 3x3 samples, each the mean of those of all windows that a sample is in; see
 * `guided_kernels.fit`. */
GR_EXPORT int gr_fit(const float *guide, const float *matte, float flat, float *slopes,
                     float *offsets, int height, int width) {
    size_t row = (size_t)width + 2, count = (size_t)height * width;
    float *lines = malloc((4 * row + 2 * count) * sizeof *lines);
    if (!lines) return GR_NO_MEMORY;
    Sums sums = {lines, lines + row, lines + 2 * row, lines + 3 * row};
    float *steep = lines + 4 * row, *lift = steep + count;
    for (int y = 0; y < height; y++) {
        const float *guides[3], *mattes[3];
        for (int near = 0; near < 3; near++) {
            size_t at = (size_t)gr_mirrored(y + near - 1, height) * width;
            guides[near] = guide + at;
            mattes[near] = matte + at;
        }
        add_products(guides, mattes, &sums, width);
        for (int part = 0; part < 4; part++) mirror_ends(lines + part * row, width);
        fit_row(&sums, flat, steep + (size_t)y * width, lift + (size_t)y * width, width);
    }
    for (int y = 0; y < height; y++) {
        mean_row(steep, y, height, width, lines, slopes + (size_t)y * width);
        mean_row(lift, y, height, width, lines, offsets + (size_t)y * width);
    }
    free(lines);
    return GR_OK;
}

static void classify_row(const float *restrict slope, const float *restrict offset, float guides,
                         float low, float high, uint8_t *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        float least = offset[x] + gr_minf(guides * slope[x], 0);
        float most = offset[x] + gr_maxf(guides * slope[x], 0);
        int kind = least >= high ? FULL : EDGE;
        row[x] = (uint8_t)(most <= low ? EMPTY : kind);
    }
}

static void join(const uint8_t *restrict one, const uint8_t *restrict here,
                 const uint8_t *restrict other, uint8_t *restrict row, int count) {
    for (int x = 0; x < count; x++)
        row[x] = (one[x] == here[x]) & (other[x] == here[x]) ? here[x] : EDGE;
}

/* Tell what is certainly empty, certainly full and edge apart by a guided filter's coefficients,
 * all (height, width); see `guided_kernels.classify`. */
GR_EXPORT int gr_classify(const float *slopes, const float *offsets, float guides, float low,
                          float high, uint8_t *kinds, int height, int width) {
    size_t count = (size_t)height * width;
    uint8_t *own = malloc(count + (size_t)width + 2);
    if (!own) return GR_NO_MEMORY;
    uint8_t *line = own + count;
    for (size_t y = 0; y < (size_t)height; y++)
        classify_row(slopes + y * width, offsets + y * width, guides, low, high, own + y * width,
                     width);
    for (int y = 0; y < height; y++) {
        join(own + (size_t)gr_max(y - 1, 0) * width, own + (size_t)y * width,
             own + (size_t)gr_min(y + 1, height - 1) * width, line + 1, width);
        line[0] = line[1];
        line[width + 1] = line[width];
        join(line, line + 1, line + 2, kinds + (size_t)y * width, width);
    }
    free(own);
    return GR_OK;
}
