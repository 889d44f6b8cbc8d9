/* Colours of the person and of the room beside a soft edge; see matting/decontamination.
 *
 * Sums are kept for cells of 2x2 samples of the small planes. Their channels are, for the person
 * and then for the room: weights, weighted samples of every plane, and weighted squares of the
 * first plane. A row of cells stores its channels one after the other, each with the last cell
 * repeated, so that loops over all channels are long. */
#include "core.h"
#include "edge_colours.h"


static void read_row(const uint8_t *restrict samples, int count, float *restrict out) {
    for (int x = 0; x < count; x++) out[x] = samples[x];
}

/* Weigh samples by how certainly they belong to one side: the eighth power of coverage. */
static void weigh(const float *restrict coverage, int count, float *restrict person,
                  float *restrict room) {
    for (int x = 0; x < count; x++) {
        person[x] = gr_certainty(coverage[x], 0);
        room[x] = gr_certainty(coverage[x], 1);
    }
}

static void add(const float *restrict row, int count, float *restrict total) {
    for (int x = 0; x < count; x++) total[x] += row[x];
}

/* Add two rows. */
static void sum_two(const float *restrict row, int stride, int count, float *restrict out) {
    for (int x = 0; x < count; x++) out[x] = row[x] + row[x + stride];
}

/* Multiply the weights of both sides by samples. */
static void multiply(float *restrict person, float *restrict room, const float *restrict samples,
                     int count) {
    for (int x = 0; x < count; x++) person[x] *= samples[x];
    for (int x = 0; x < count; x++) room[x] *= samples[x];
}

/* Add two rows of samples, weighted by two rows of weights. */
static void sum_weighted(const float *restrict weights, const float *restrict samples, int stride,
                         int count, float *restrict out) {
    for (int x = 0; x < count; x++)
        out[x] = weights[x] * samples[x] + weights[x + stride] * samples[x + stride];
}

/* Add adjacent values, and repeat the last sum. */
static void add_pairs(const float *restrict row, int count, float *restrict out) {
    for (int x = 0; x < count; x++) out[x] = row[2 * x] + row[2 * x + 1];
    out[count] = out[count - 1];
}

/* Small planes (count, height, width), and the matte of that size. */
typedef struct {
    const uint8_t *planes, *matte;
    int count, height, width;
} Grid;

/* Compute a row of cells. `scratch` has room for eight rows of samples, of even width. */
static void sum_row(const Grid *grid, int row, float *scratch, float *sums) {
    int width = grid->width, columns = (width + 1) / 2, even = 2 * columns;
    size_t line = columns + 1, side = line * (grid->count + 2), area = (size_t)grid->height * width;
    int rows = gr_min(2, grid->height - 2 * row);
    float *person = scratch, *room = person + 2 * even, *samples = room + 2 * even;
    float *total = samples + 2 * even;
    const uint8_t *coverage = grid->matte + (size_t)2 * row * width;
    memset(scratch, 0, (size_t)8 * even * sizeof *scratch); /* also beyond the last row */
    for (int y = 0; y < rows; y++) {
        read_row(coverage + y * width, width, total);
        weigh(total, width, person + y * even, room + y * even);
    }
    total[even - 1] = 0;
    sum_two(person, even, width, total), add_pairs(total, columns, sums);
    sum_two(room, even, width, total), add_pairs(total, columns, sums + side);
    for (int plane = grid->count - 1; plane >= 0; plane--) { /* the first plane last */
        for (int y = 0; y < rows; y++)
            read_row(grid->planes + plane * area + (size_t)(2 * row + y) * width, width,
                     samples + y * even);
        float *target = sums + (plane + 1) * line;
        sum_weighted(person, samples, even, width, total), add_pairs(total, columns, target);
        sum_weighted(room, samples, even, width, total), add_pairs(total, columns, target + side);
    }
    float *target = sums + (grid->count + 1) * line;
    multiply(person, room, samples, 2 * even);
    sum_weighted(person, samples, even, width, total), add_pairs(total, columns, target);
    sum_weighted(room, samples, even, width, total), add_pairs(total, columns, target + side);
}

/* Sum the four cells around every corner; cells at the border repeat. */
static void to_corners(const float *restrict upper, const float *restrict lower, int channels,
                       int width, float *restrict out) {
    int count = channels * width;
    for (int x = 1; x < count; x++) out[x] = upper[x - 1] + upper[x] + lower[x - 1] + lower[x];
    for (int x = 0; x < count; x += width) out[x] = 2.0f * (upper[x] + lower[x]);
}

static void add_three(const float *restrict first, const float *restrict second,
                      const float *restrict third, int count, float *restrict out) {
    for (int x = 0; x < count; x++) out[x] = first[x] + second[x] + third[x];
}

/* Sum every corner with its left and right neighbours; corners at the border repeat. */
static void add_columns(const float *restrict rows, int channels, int width, float *restrict out) {
    int count = channels * width, last = width - 1;
    for (int x = 2; x < count - 2; x++) out[x] = rows[x - 2] + rows[x] + rows[x + 2];
    for (int start = 0; start < count; start += width)
        for (int end = 0; end < 4; end++) {
            int x = end < 2 ? gr_min(end, last) : gr_max(last - end + 2, 0);
            out[start + x] = rows[start + gr_max(x - 2, 0)] + rows[start + x] +
                             rows[start + gr_min(x + 2, last)];
        }
}

static void invert(const float *restrict weights, float more, int count, float *restrict out) {
    for (int x = 0; x < count; x++) out[x] = 1.0f / (weights[x] + more);
}

/* Compute the mean near a corner, with that of a wider neighbourhood where few samples are near. */
static void average(const float *restrict near, const float *restrict far,
                    const float *restrict near_inverse, const float *restrict far_inverse,
                    float rest, int count, float *restrict out) {
    for (int x = 0; x < count; x++)
        out[x] = gr_mean_beside(near[x], far[x], near_inverse[x], far_inverse[x], rest);
}

/* Compute the ratio of the room's variance to the person's. */
static void compare(const float *restrict person, const float *restrict person_squares,
                    const float *restrict room, const float *restrict room_squares, int count,
                    float *restrict out) {
    for (int x = 0; x < count; x++)
        out[x] = gr_doubt(person[x], person_squares[x], room[x], room_squares[x]);
}

/* Make the maps (count, 3, rows + 1, columns + 1) at the corners of cells of 2x2 samples: the
 * person's colour, the room's colour, and how much less the room's is to be trusted. The last is
 * computed from the first plane and holds for all. Planes are (count, height, width), the matte
 * is (height, width); there are (height + 1) / 2 rows and (width + 1) / 2 columns of cells. */
GR_EXPORT int gr_edge_colours(const uint8_t *planes, const uint8_t *matte, int count, int height,
                              int width, float *maps) {
    Grid grid = {planes, matte, count, height, width};
    int rows = (height + 1) / 2, corners = (width + 1) / 2 + 1, channels = 2 * (count + 2);
    size_t line = (size_t)channels * corners, map = (size_t)(rows + 1) * corners;
    size_t scratch_size = (size_t)16 * (corners - 1);
    float *sums = malloc((line * (2 * (size_t)rows + 5) + scratch_size + 4 * (size_t)corners) * sizeof *sums);
    if (!sums) return GR_NO_MEMORY;
    float *near = sums + line * rows, *totals = near + line * (rows + 1), *whole = totals + line;
    float *far = whole + line, *wide = far + line, *scratch = wide + line;
    float *inverses[2] = {scratch + scratch_size, scratch + scratch_size + corners};
    float *squares[2] = {inverses[1] + corners, inverses[1] + 2 * (size_t)corners};
    memset(totals, 0, line * sizeof *totals);
    for (int y = 0; y < rows; y++) {
        sum_row(&grid, y, scratch, sums + line * y);
        add(sums + line * y, (int)line, totals);
    }
    for (int channel = 0; channel < channels; channel++) {
        whole[channel] = 0;
        for (int x = 0; x < corners - 1; x++) whole[channel] += totals[channel * corners + x];
    }
    for (int y = 0; y <= rows; y++)
        to_corners(sums + line * gr_max(y - 1, 0), sums + line * gr_min(y, rows - 1), channels, corners,
                   near + line * y);
    for (int y = 0; y <= rows; y++) {
        const float *close = near + line * y;
        add_three(near + line * gr_max(y - 2, 0), close, near + line * gr_min(y + 2, rows), (int)line,
                  wide);
        add_columns(wide, channels, corners, far);
        float *target = maps + (size_t)y * corners;
        for (int side = 0; side < 2; side++) {
            int first = side * (count + 2);
            invert(close + (size_t)first * corners, GR_WIDER, corners, inverses[0]);
            invert(far + (size_t)first * corners, GR_WHOLE, corners, inverses[1]);
            for (int index = 0; index <= count; index++) {
                int channel = first + 1 + index;
                float rest = gr_rest(whole[channel], whole[first], index == count);
                float *out = index < count ? target + map * (3 * index + side) : squares[side];
                average(close + (size_t)channel * corners, far + (size_t)channel * corners,
                        inverses[0], inverses[1], rest, corners, out);
            }
        }
        compare(target, squares[0], target + map, squares[1], corners, target + 2 * map);
        for (int plane = 1; plane < count; plane++)
            memcpy(target + map * (3 * plane + 2), target + 2 * map, (size_t)corners * sizeof *target);
    }
    free(sums);
    return GR_OK;
}
