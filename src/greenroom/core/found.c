/* A model's answer on the grids: put in its place, halved, and who is in it. */
#include "grids.h"
#include "window.h"

/* From where samples of a longer row are interpolated: each from the one at its left and the next. */
static void align(int count, int length, uint32_t *left, float *weight) {
    for (int x = 0; x < length; x++) {
        double at = (x + 0.5) * count / length - 0.5;
        at = at < 0 ? 0 : at > count - 1 ? count - 1 : at;
        left[x] = (uint32_t)gr_min((int)at, gr_max(count - 2, 0));
        weight[x] = (float)(at - left[x]);
    }
}

static void stretch(const float *restrict row, const uint32_t *restrict left, int step,
                    const float *restrict weight, float *restrict out, int count) {
    for (int x = 0; x < count; x++) {
        float value = row[left[x]];
        out[x] = value + (row[left[x] + step] - value) * weight[x];
    }
}

static void interpolate(const float *restrict upper, const float *restrict lower, float share,
                        float *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] = upper[x] + (lower[x] - upper[x]) * share;
}

/* Enlarge values (high, wide) bilinearly into a part (height, width) of a grid, samples' centres
 * aligned, edges repeated. A row of the values is stretched once. */
GR_EXPORT int gr_place(const float *values, int high, int wide, float *out, ptrdiff_t stride,
                       int height, int width) {
    uint32_t *left = malloc((size_t)width * sizeof *left);
    float *weight = malloc((size_t)width * 3 * sizeof *weight);
    if (!left || !weight) {
        free(left), free(weight);
        return GR_NO_MEMORY;
    }
    align(wide, width, left, weight);
    float *rows[2] = {weight + width, weight + 2 * (size_t)width}; /* of even and of odd number */
    int held[2] = {-1, -1};
    for (int y = 0; y < height; y++) {
        double at = (y + 0.5) * high / height - 0.5;
        at = at < 0 ? 0 : at > high - 1 ? high - 1 : at;
        int top = gr_min((int)at, gr_max(high - 2, 0)), bottom = gr_min(top + 1, high - 1);
        for (int index = top; index <= bottom; index++) {
            if (held[index & 1] == index) continue;
            held[index & 1] = index;
            stretch(values + (size_t)index * wide, left, gr_min(1, wide - 1), weight,
                    rows[index & 1], width);
        }
        interpolate(rows[top & 1], rows[bottom & 1], (float)(at - top), out + y * stride, width);
    }
    free(left), free(weight);
    return GR_OK;
}

/* From where to where, exactly, a row is covered by half or more: `count` samples of it are. */
static void add_extent(const float *row, int length, int count, int y, GrSpan *columns,
                       GrSpan *rows) {
    if (!count) return;
    *columns = gr_joined(*columns, gr_exact_span(row, GR_SOMEBODY, length));
    *rows = gr_joined(*rows, (GrSpan){y, y + 1});
}

static int is_covered(const float *row, int start, int stop, int step) {
    for (int x = start; x < stop; x += step)
        if (!(row[x] >= GR_SOMEBODY)) return 0;
    return 1;
}

/* Halve a grid (height, width) that has nothing but 0 outside of a part (left, top, right, bottom),
 * and tell who is in it.
 *
 * Each sample of the half grid is the mean of 2x2; the last row and column repeat if odd. All of
 * it is written. The report: how many samples of the half grid are covered by half or more; left,
 * top, right and bottom of the box around these, where the last two have ended, all 0 without
 * any; whether any sample of the grid is; and whether all are of the part's that are looked at, one
 * in so many steps in either direction.
 */
GR_EXPORT int gr_halve_part(const float *grid, int height, int width, int left, int top, int right,
                            int bottom, int step, float *half, int32_t *report) {
    int high = (height + 1) / 2, wide = (width + 1) / 2, area = 0, somebody = 0;
    int full = left < right && top < bottom;
    GrSpan part = {left / 2, (right + 1) / 2}, columns = {0, 0}, rows = {0, 0};
    for (int y = 0; y < high; y++) {
        float *row = half + (size_t)y * wide;
        if (y < top / 2 || y >= (bottom + 1) / 2) {
            memset(row, 0, (size_t)wide * sizeof *row);
            continue;
        }
        const float *one = grid + (size_t)2 * y * width;
        const float *two = grid + (size_t)gr_min(2 * y + 1, height - 1) * width;
        gr_fill_outside(row, 0, part, wide);
        gr_halve_row(one, two, part, width, row);
        int count = gr_count(row + part.start, GR_SOMEBODY, part.stop - part.start);
        add_extent(row, wide, count, y, &columns, &rows);
        area += count;
        for (int of = 0; of < 2; of++) {
            const float *line = of ? two : one;
            if (!somebody) somebody = gr_count(line + left, GR_SOMEBODY, right - left) > 0;
            int at = 2 * y + of;
            if (full && at >= top && at < bottom && (at - top) % step == 0)
                full = is_covered(line, left, right, step);
        }
    }
    int32_t found[] = {area, columns.start, rows.start, columns.stop, rows.stop, somebody, full};
    memcpy(report, found, sizeof found);
    return GR_OK;
}

static void mark(const float *restrict values, float least, uint8_t *restrict mask, int count) {
    for (int x = 0; x < count; x++) mask[x] = values[x] >= least;
}

static int count_strangers(const uint8_t *restrict found, const uint8_t *restrict near, int count) {
    int strangers = 0;
    for (int x = 0; x < count; x++) strangers += found[x] & (near[x] ^ 1);
    return strangers;
}

/* Count who is found on the half grid: the samples covered by half or more, and those of them that
 * are farther from all that are known (0 or 1, or NULL) than a reach. */
GR_EXPORT int gr_count_found(const float *half, const uint8_t *known, int high, int wide, int reach,
                             int32_t *report) {
    size_t row = (size_t)wide;
    uint8_t *memory = malloc(gr_window_bytes(wide, reach) + 2 * row);
    if (!memory) return GR_NO_MEMORY;
    uint8_t *found = memory + gr_window_bytes(wide, reach), *near = found + row;
    GrWindow window = {0};
    if (known) window = gr_window(known, high, wide, reach, memory);
    int area = 0, strangers = 0;
    for (int y = 0; y < high; y++) {
        const float *values = half + (size_t)y * row;
        int count = gr_count(values, GR_SOMEBODY, wide);
        if (known) gr_window_row(&window, y, near);
        area += count;
        if (!count) continue;
        mark(values, GR_SOMEBODY, found, wide);
        strangers += known ? count_strangers(found, near, wide) : count;
    }
    free(memory);
    report[0] = area;
    report[1] = strangers;
    return GR_OK;
}
