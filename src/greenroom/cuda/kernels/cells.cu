/* Plausibility in cells of 2x2 samples of the half grid; as core/plausibility.c, which describes
 * the arguments. */
#include "kernel.cuh"
#include "cell_samples.h"

/* Numbers that `compare_cells` counts: cells of the room that fit, and how much brighter they are
 * in this share of a level; then its report. */
enum { GR_FIT = 0, GR_BRIGHTER = 1, GR_REPORT = 2, GR_COUNTS = 8 };
#define GR_FINE_CELL 65536.0f

/* Pick the matte's sample of a cell, mark the cell, and learn the room. Room and counts of the
 * frame before are read, those of this one are written, and counts of the next one cleared; so all
 * neighbours are those of the frame before, in any order of threads. The brightness that the frame
 * before was short of is added here. Cells are exempt where that is not 0, or it is NULL. */
GR_KERNEL(compare_cells)(const uint8_t *planes, int number, const uint8_t *matte, int matte_high,
                         int matte_wide, const uint8_t *exempt, const float *room_before,
                         float *room, float *seen, const float *held, float *owned, float alike,
                         float texture, float trusted, float memory, uint8_t *values,
                         uint8_t *cells, uint8_t *marks, const uint64_t *counts_before,
                         uint64_t *counts, uint64_t *counts_after, int high, int wide) {
    int height = (high + 1) / 2, width = (wide + 1) / 2;
    GR_WITHIN(width, height)
    ptrdiff_t at = (ptrdiff_t)y * width + x, size = (ptrdiff_t)height * width;
    if (at == 0)
        for (int index = 0; index < GR_COUNTS; index++) counts_after[index] = 0;
    ptrdiff_t picked = (ptrdiff_t)gr_picked(y, matte_high, height) * matte_wide;
    int value = matte[picked + gr_picked(x, matte_wide, width)];
    if (exempt && exempt[at]) value = GR_CLAIMED - 1;
    values[at] = (uint8_t)value;
    double short_of = (double)(int64_t)counts_before[GR_BRIGHTER] / GR_FINE_CELL;
    uint64_t fitted = counts_before[GR_FIT];
    float brighter = (float)(short_of / (double)(fitted > 1 ? fitted : 1) / 2);
    float of_room = 0, of_held = 0, steps = 0;
    for (int index = 0; index < number; index++) {
        const uint8_t *one = planes + ((ptrdiff_t)index * high + 2 * y) * wide;
        const uint8_t *two = planes + ((ptrdiff_t)index * high + gr_min(2 * y + 1, high - 1)) * wide;
        int left = 2 * x, right = gr_min(2 * x + 1, wide - 1);
        int cell = GR_MEAN_OF_FOUR(one[left], one[right], two[left], two[right]);
        const float *own = room_before + index * size + at;
        float by = index ? 0 : brighter, here = *own + by;
        cells[index * size + at] = (uint8_t)cell;
        of_room = gr_maxf(of_room, fabsf(cell - here));
        of_held = gr_maxf(of_held, fabsf(cell - held[index * size + at]));
        if (x + 1 < width) steps += fabsf(here - (own[1] + by));
        if (y + 1 < height) steps += fabsf(here - (own[width] + by));
    }
    int mark = gr_mark(value, seen[at], of_room, steps, alike, texture, trusted);
    GrSeen after = gr_see(value, of_held, of_room, alike, memory, owned[at], seen[at]);
    marks[at] = (uint8_t)mark, owned[at] = after.owned, seen[at] = after.seen;
    for (int index = 0; index < number; index++) {
        float here = room_before[index * size + at] + (index ? 0 : brighter);
        float step = cells[index * size + at] - here;
        room[index * size + at] = here + after.share * step;
        if (index || !(after.fits > 0)) continue;
        atomicAdd(counts + GR_FIT, (uint64_t)1);
        atomicAdd(counts + GR_BRIGHTER, (uint64_t)(int64_t)rintf(step * GR_FINE_CELL));
    }
    uint64_t *report = counts + GR_REPORT;
    if (value >= GR_CLAIMED) atomicAdd(report, (uint64_t)1);
    if (mark == GR_PLAIN) atomicAdd(report + 1, (uint64_t)1);
    if (mark == GR_TEXTURED) atomicAdd(report + 2, (uint64_t)1);
    if (value < GR_SURELY) return;
    int border = (x == 0) + (x == width - 1) + (y == 0) + (y == height - 1);
    atomicAdd(report + 3, (uint64_t)1);
    if (border) atomicAdd(report + 4, (uint64_t)border);
    if (y == 0) atomicAdd(report + 5, (uint64_t)1);
}

/* Remember a cell that is certainly somebody's, and not wrong (or NULL). */
GR_KERNEL(remember_cells)(const uint8_t *cells, int number, const uint8_t *values,
                          const uint8_t *wrong, float times, float *held, float *owned, int height,
                          int width) {
    GR_WITHIN(width, height)
    ptrdiff_t at = (ptrdiff_t)y * width + x, size = (ptrdiff_t)height * width;
    if (values[at] < GR_SURELY || (wrong && wrong[at])) return;
    owned[at] = times;
    for (int index = 0; index < number; index++)
        held[index * size + at] = (float)cells[index * size + at];
}
