/* Rows of the small grids on which mattes are made, for the files that work on these.
 *
 * Two grids appear: the working grid, on which the matte lives, and the half grid, a sample of
 * which stands for 2x2 of it.
 */
#ifndef GREENROOM_GRIDS_H
#define GREENROOM_GRIDS_H

#include "core.h"

/* Coverage of less is none. As `greenroom.frames.NOTHING`: what fades for ever would become
 * denormal numbers. */
#define GR_NOTHING 0x1p-20f

/* The row that stands for one just outside a picture, which is mirrored there. */
static inline int gr_mirrored(int y, int height) {
    return y < 0 ? gr_min(1, height - 1) : y < height ? y : gr_max(height - 2, 0);
}

static inline void gr_mix(const float *restrict near, const float *restrict far,
                          float *restrict line, int count) {
    for (int x = 0; x < count; x++) line[x] = 0.75f * near[x] + 0.25f * far[x];
}

/* Write a row of twice the length; the line has a sample more at either end. */
static inline void gr_double(const float *restrict line, float *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        float middle = 0.75f * line[x + 1];
        row[2 * x] = middle + 0.25f * line[x];
        row[2 * x + 1] = middle + 0.25f * line[x + 2];
    }
}

/* Write row y of a map on the half grid, enlarged bilinearly to the working grid. The line has
 * room for the half grid's width and 2 samples more, the row for twice that width. */
static inline void gr_enlarge(const float *half, int high, int wide, int y, float *line,
                              float *row) {
    int near = y / 2;
    int far = gr_min(gr_max(y % 2 ? near + 1 : near - 1, 0), high - 1);
    gr_mix(half + (size_t)near * wide, half + (size_t)far * wide, line + 1, wide);
    line[0] = line[1];
    line[wide + 1] = line[wide];
    gr_double(line, row, wide);
}

#endif
