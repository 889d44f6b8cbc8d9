/* Arithmetic of single cells; see plausibility.c. */
#ifndef GREENROOM_CELL_SAMPLES_H
#define GREENROOM_CELL_SAMPLES_H

#include "grid_samples.h"

/* As in `plausibility_kernels`: marks of a cell; and coverage, 0 to 255, from which it is
 * visible, below which a cell is the room, and from which it is certainly somebody. */
enum { GR_PLAIN = 1, GR_TEXTURED = 2, GR_CHANGED = 3 };
enum { GR_CLAIMED = 13, GR_ROOM = 8, GR_SURELY = 128 };

/* Mark of a cell with a coverage, by the largest difference from the room and the steps of the
 * room beside it. */
GR_SAMPLE uint8_t gr_mark(int value, float seen, float of_room, float steps, float alike,
                          float texture, float trusted) {
    int differs = steps >= texture ? GR_CHANGED : 0;
    int is_alike = steps >= texture ? GR_TEXTURED : GR_PLAIN;
    int of_kind = of_room <= alike ? is_alike : differs;
    of_kind = seen >= trusted ? of_kind : 0;
    return (uint8_t)(value >= GR_CLAIMED ? of_kind : 0);
}

/* A cell after a frame: for how many more frames it is remembered as somebody's, in how many the
 * room was seen, the new sample's weight in the room's average, and whether it fits: 1 or 0. */
typedef struct {
    float owned, seen, share, fits;
} GrSeen;

GR_SAMPLE GrSeen gr_see(int value, float of_held, float of_room, float alike, float memory,
                        float owned, float seen) {
    GrSeen cell;
    float room = value < GR_ROOM ? 1 : 0;
    float held = of_held <= alike ? room : 0;
    held = owned > 1 ? held : 0;
    float left = owned - 1;
    left = held > 0 ? left : 0;
    cell.owned = room > 0 ? left : owned;
    float learned = room - held;
    cell.fits = of_room <= alike ? learned : 0;
    float times = cell.fits > 0 ? gr_minf(seen + 1, memory) : 1;
    cell.seen = learned > 0 ? times : seen;
    cell.share = learned / times;
    return cell;
}

#endif
