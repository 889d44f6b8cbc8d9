/* Plausibility of answers and mattes: counts of samples, and a memory of the room in cells. */
#include <math.h>

#include "cell_samples.h"
#include "grids.h"
#include "halving.h"

/* Cells compared at a time. */
enum { BLOCK = 512 };

static void halve(const uint8_t *plane, int height, int width, uint8_t *cells) {
    size_t wide = ((size_t)width + 1) / 2;
    for (int y = 0; y < (height + 1) / 2; y++) {
        const uint8_t *one = plane + (size_t)2 * y * width;
        const uint8_t *two = plane + (size_t)gr_min(2 * y + 1, height - 1) * width;
        gr_halve_bytes(one, two, width, cells + y * wide);
    }
}

/* Update the largest difference of cells over the planes so far. */
static void differ(const uint8_t *restrict cells, const float *restrict other, float *restrict most,
                   int count) {
    for (int x = 0; x < count; x++) {
        float step = fabsf(cells[x] - other[x]);
        most[x] = step > most[x] ? step : most[x];
    }
}

/* Add the differences between adjacent cells of the room, over the planes. */
static void add_steps(const float *restrict room, const float *restrict right,
                      const float *restrict below, float *restrict steps, int count) {
    for (int x = 0; x < count; x++) {
        float across = room[x] - right[x], down = room[x] - below[x];
        steps[x] += fabsf(across) + fabsf(down);
    }
}

static void mark(const uint8_t *restrict values, const float *restrict seen,
                 const float *restrict of_room, const float *restrict steps, float alike,
                 float texture, float trusted, uint8_t *restrict marks, int count) {
    for (int x = 0; x < count; x++)
        marks[x] = gr_mark(values[x], seen[x], of_room[x], steps[x], alike, texture, trusted);
}

static int count_from(const uint8_t *restrict values, int least, int count) {
    int found = 0;
    for (int x = 0; x < count; x++) found += values[x] >= least;
    return found;
}

static int count_of(const uint8_t *restrict values, int value, int count) {
    int found = 0;
    for (int x = 0; x < count; x++) found += values[x] == value;
    return found;
}

/* Compute the weight of a new sample in the room's average for each cell, and for how many more
 * frames it is remembered as somebody's. */
static void see(const uint8_t *restrict values, const float *restrict of_held,
                const float *restrict of_room, float alike, float memory, float *restrict owned,
                float *restrict seen, float *restrict share, float *restrict fits, int count) {
    for (int x = 0; x < count; x++) {
        GrSeen cell = gr_see(values[x], of_held[x], of_room[x], alike, memory, owned[x], seen[x]);
        owned[x] = cell.owned, seen[x] = cell.seen, share[x] = cell.share, fits[x] = cell.fits;
    }
}

/* Count the cells that fit, and sum their increase in brightness over the room. */
static void add_brighter(const uint8_t *restrict cells, const float *restrict room,
                         const float *restrict fits, double *known, double *brighter, int count) {
    enum { SUMS = 8 }; /* one alone would not be vectorised */
    float total[SUMS] = {0}, number[SUMS] = {0};
    int x = 0;
    for (; x + SUMS <= count; x += SUMS)
        for (int i = 0; i < SUMS; i++) {
            total[i] += fits[x + i] * (cells[x + i] - room[x + i]);
            number[i] += fits[x + i];
        }
    for (; x < count; x++) {
        total[0] += fits[x] * (cells[x] - room[x]);
        number[0] += fits[x];
    }
    for (int i = 0; i < SUMS; i++) *brighter += total[i], *known += number[i];
}

static void average(const uint8_t *restrict cells, const float *restrict share,
                    float *restrict room, int count) {
    for (int x = 0; x < count; x++) room[x] += share[x] * (cells[x] - room[x]);
}

static void brighten(float *restrict room, float by, int count) {
    for (int x = 0; x < count; x++) room[x] += by;
}

/* Count the cells that are certainly somebody's: all, those at the border (corners twice), and
 * those in the first row. */
static void count_surely(const uint8_t *values, int height, int width, int32_t *report) {
    int first = count_from(values, GR_SURELY, width);
    int border = first + count_from(values + (size_t)(height - 1) * width, GR_SURELY, width);
    for (int y = 0; y < height; y++)
        border += (values[(size_t)y * width] >= GR_SURELY) +
                  (values[(size_t)y * width + width - 1] >= GR_SURELY);
    report[0] = count_from(values, GR_SURELY, height * width);
    report[1] = border;
    report[2] = first;
}

/* Mark claimed cells that look as the room did, and update the room in the others.
 *
 * - planes: (number, high, wide), the frame on the half grid. Cells are 2x2 samples of it,
 *   (height, width).
 * - values: the matte in cells.
 * - room, held: (number, height, width), the room, and what a cell looked like when it was last
 *   somebody's.
 * - seen, owned: in how many frames the room was seen, and for how many more the cell is
 *   remembered as somebody's.
 * - alike: largest difference in every plane of cells that look the same.
 * - texture: smallest difference of adjacent cells, over all planes, of a textured room.
 * - trusted, memory: frames in which the room must have been seen, and over which it is
 *   averaged.
 * - cells: (number, height, width), the frame in cells.
 * - marks: (height, width), marks of claimed cells.
 * - report: number of claimed cells, plain and textured; number of cells that are certainly
 *   somebody's, of these at the border (corners twice) and in the first row.
 *
 * room, seen and owned are changed in place. A cell that was somebody's and still looks so does
 * not update the room. The first plane of the whole room follows the brightness of the frame
 * half of the way. */
GR_EXPORT int gr_compare(const uint8_t *planes, int number, int high, int wide,
                         const uint8_t *values, float *room, float *seen, const float *held,
                         float *owned, float alike, float texture, float trusted, float memory,
                         uint8_t *cells, uint8_t *marks, int32_t *report) {
    int height = (high + 1) / 2, width = (wide + 1) / 2, size = height * width;
    float of_room[BLOCK], of_held[BLOCK], steps[BLOCK], share[BLOCK], fits[BLOCK];
    double known = 0, brighter = 0;
    for (int index = 0; index < number; index++)
        halve(planes + (size_t)index * high * wide, high, wide, cells + (size_t)index * size);
    for (int start = 0; start < size; start += BLOCK) {
        int count = gr_min(BLOCK, size - start), last = size - width;
        memset(of_room, 0, sizeof of_room);
        memset(of_held, 0, sizeof of_held);
        memset(steps, 0, sizeof steps);
        for (int index = 0; index < number; index++) {
            size_t at = (size_t)index * size + start;
            const float *here = room + at;
            differ(cells + at, here, of_room, count);
            differ(cells + at, held + at, of_held, count);
            /* The last row has nothing below, and the last cell nothing beside it. */
            int inside = gr_max(gr_min(count, last - start), 0), ended = start + count == size;
            add_steps(here, here + 1, here + width, steps, inside);
            add_steps(here + inside, here + inside + 1, here + inside, steps + inside,
                      count - inside - ended);
            /* Next to the last cell of a row is the first of the next row, which is no
             * neighbour. */
            for (int x = (start / width + 1) * width - 1; x < start + count - ended; x += width) {
                float across = room[(size_t)index * size + x] - room[(size_t)index * size + x + 1];
                steps[x - start] -= fabsf(across);
            }
        }
        mark(values + start, seen + start, of_room, steps, alike, texture, trusted, marks + start,
             count);
        see(values + start, of_held, of_room, alike, memory, owned + start, seen + start, share,
            fits, count);
        add_brighter(cells + start, room + start, fits, &known, &brighter, count);
        for (int index = 0; index < number; index++) {
            size_t at = (size_t)index * size + start;
            average(cells + at, share, room + at, count);
        }
    }
    brighten(room, (float)(brighter / (known > 1 ? known : 1) / 2), size);
    report[0] = count_from(values, GR_CLAIMED, size);
    report[1] = count_of(marks, GR_PLAIN, size);
    report[2] = count_of(marks, GR_TEXTURED, size);
    count_surely(values, height, width, report + 3);
    return GR_OK;
}

static void own(const uint8_t *restrict values, const uint8_t *restrict wrong, float *restrict mine,
                int count) {
    for (int x = 0; x < count; x++) mine[x] = values[x] >= GR_SURELY ? 1.0f : 0.0f;
    if (!wrong) return;
    for (int x = 0; x < count; x++) mine[x] = wrong[x] ? 0 : mine[x];
}

static void hold(const float *restrict mine, const uint8_t *restrict cells, float *restrict held,
                 int count) {
    for (int x = 0; x < count; x++) held[x] = mine[x] > 0 ? (float)cells[x] : held[x];
}

static void keep(const float *restrict mine, float times, float *restrict owned, int count) {
    for (int x = 0; x < count; x++) owned[x] = mine[x] > 0 ? times : owned[x];
}

/* Remember the appearance of cells that are certainly somebody's, and for how many frames. Cells
 * that are wrong (1, others 0; or NULL) are left out. Arguments as in gr_compare; held and owned
 * are changed in place. mine: number of remembered cells. */
GR_EXPORT int gr_remember(const uint8_t *cells, int number, const uint8_t *values,
                          const uint8_t *wrong, float times, float *held, float *owned, int height,
                          int width, int32_t *mine) {
    int size = height * width, found = 0;
    float is_mine[BLOCK];
    for (int start = 0; start < size; start += BLOCK) {
        int count = gr_min(BLOCK, size - start);
        own(values + start, wrong ? wrong + start : NULL, is_mine, count);
        keep(is_mine, times, owned + start, count);
        for (int index = 0; index < number; index++) {
            size_t at = (size_t)index * size + start;
            hold(is_mine, cells + at, held + at, count);
        }
        found += gr_count(is_mine, 1, count);
    }
    *mine = found;
    return GR_OK;
}

/* Count the samples of a row that are uncertain, those of at least one half, and those on
 * another side of it than the next one or the one below. */
static void look_at_row(const float *row, const float *below, int width, int step, float low,
                        float high, int32_t *report) {
    for (int x = 0; x < width; x += step) {
        int hard = row[x] >= GR_SOMEBODY;
        report[0] += row[x] >= low && row[x] <= high;
        report[1] += hard;
        report[2] += x + step < width && hard != (row[x + step] >= GR_SOMEBODY);
        report[3] += below && hard != (below[x] >= GR_SOMEBODY);
    }
}

/* Summarise an answer (height, width), of which one sample of every `step` in each direction
 * counts.
 *
 * report: number of uncertain samples; number of at least one half; number of horizontal and
 * vertical neighbours on different sides of it; number of at least one half at the border
 * (corners twice), and in the first row. */
GR_EXPORT int gr_look_at(const float *answer, int height, int width, int step, float low, float high,
                         int32_t *report) {
    memset(report, 0, 6 * sizeof *report);
    int rows = (height + step - 1) / step, columns = (width + step - 1) / step;
    for (int y = 0; y < rows; y++) {
        const float *row = answer + (size_t)y * step * width;
        int before = report[1];
        look_at_row(row, y + 1 < rows ? row + (size_t)step * width : NULL, width, step, low, high,
                    report);
        int found = report[1] - before;
        if (y == 0) report[4] += found;
        if (y == rows - 1) report[4] += found;
        if (y == 0) report[5] = found;
        report[4] += (row[0] >= GR_SOMEBODY) + (row[(size_t)(columns - 1) * step] >= GR_SOMEBODY);
    }
    return GR_OK;
}
