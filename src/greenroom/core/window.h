/* Sliding windows over a mask: whether anything is near each sample. */
#ifndef GREENROOM_WINDOW_H
#define GREENROOM_WINDOW_H

#include "core.h"

/* A square window of `reach` samples on each side that moves down a mask (high, wide) of 0 and
 * 1. It counts the set samples of each column; along the row, windows are joined by doubling
 * until they have the full width. Outside the mask nothing is set. The mask keeps `held` rows,
 * at the remainder of their number. */
typedef struct {
    const uint8_t *mask;
    int high, wide, reach, held;
    uint16_t *counts;
    uint8_t *line, *other;
} GrWindow;

static inline void gr_window_enter(const uint8_t *restrict row, uint16_t *restrict counts,
                                   int count) {
    for (int x = 0; x < count; x++) counts[x] = (uint16_t)(counts[x] + row[x]);
}

static inline void gr_window_leave(const uint8_t *restrict row, uint16_t *restrict counts,
                                   int count) {
    for (int x = 0; x < count; x++) counts[x] = (uint16_t)(counts[x] - row[x]);
}

static inline void gr_window_any(const uint16_t *restrict counts, uint8_t *restrict line,
                                 int count) {
    for (int x = 0; x < count; x++) line[x] = counts[x] > 0;
}

static inline void gr_window_join(const uint8_t *restrict line, const uint8_t *restrict farther,
                                  uint8_t *restrict joined, int count) {
    for (int x = 0; x < count; x++) joined[x] = line[x] | farther[x];
}

/* Size of a window's memory in bytes. */
static inline size_t gr_window_bytes(int wide, int reach) {
    return 4 * (size_t)wide + 4 * (size_t)reach;
}

/* Rows of the mask that a window needs. */
static inline int gr_window_rows(int reach) { return 2 * reach + 2; }

static inline const uint8_t *gr_window_of(const GrWindow *window, int y) {
    return window->mask + (size_t)(y % window->held) * (size_t)window->wide;
}

/* Place a window on the first row; the rows within its reach exist. The memory is aligned to two
 * bytes. The reach is less than 32768 and may exceed the mask. */
static inline GrWindow gr_window(const uint8_t *mask, int held, int high, int wide, int reach,
                                 void *memory) {
    uint8_t *lines = (uint8_t *)memory + 2 * (size_t)wide;
    uint8_t *others = lines + wide + 2 * (size_t)reach;
    GrWindow window = {mask, high, wide, reach, held, memory, lines, others};
    memset(memory, 0, gr_window_bytes(wide, reach));
    for (int y = 0; y < gr_min(reach, high); y++)
        gr_window_enter(gr_window_of(&window, y), window.counts, wide);
    return window;
}

/* Write row y of the result: 1 where anything is near, otherwise 0. Rows are written in order
 * from 0; the mask exists as far as the reach. */
static inline void gr_window_row(GrWindow *window, int y, uint8_t *row) {
    int wide = window->wide, reach = window->reach, size = 2 * reach + 1;
    if (y + reach < window->high)
        gr_window_enter(gr_window_of(window, y + reach), window->counts, wide);
    if (y > reach) gr_window_leave(gr_window_of(window, y - reach - 1), window->counts, wide);
    uint8_t *line = window->line, *other = window->other;
    memset(line, 0, (size_t)reach);
    gr_window_any(window->counts, line + reach, wide);
    memset(line + reach + wide, 0, (size_t)reach);
    int length = 1;
    for (; 2 * length <= size; length *= 2) {
        gr_window_join(line, line + length, other, wide + size - 2 * length);
        uint8_t *joined = other;
        other = line;
        line = joined;
    }
    gr_window_join(line, line + size - length, row, wide);
}

#endif
