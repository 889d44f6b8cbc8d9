/* Comparison of a matte with what is known of the room, on cells. */
#include "grids.h"

/* As in `plausibility_kernels`. */
enum { PLAIN = 1, TEXTURED = 2, CHANGED = 3 };
static const int CLAIMED = 13, ROOM = 8;

/* By how much cells differ, in the plane in which that is most; first of all planes is 0. */
static void differ(const uint8_t *restrict samples, const float *restrict other, int first,
                   float *restrict most, int count) {
    if (first) memset(most, 0, (size_t)count * sizeof *most);
    for (int x = 0; x < count; x++) {
        float step = samples[x] - other[x];
        step = step < 0 ? -step : step;
        most[x] = step > most[x] ? step : most[x];
    }
}

/* How much the room changes from a cell to its neighbours, over all planes. */
static void add_steps(const float *restrict room, const float *restrict below, int first,
                      float *restrict steps, int count) {
    if (first) memset(steps, 0, (size_t)count * sizeof *steps);
    for (int x = 0; x < count; x++) {
        float down = room[x] - below[x];
        steps[x] += down < 0 ? -down : down;
    }
    for (int x = 0; x < count - 1; x++) {
        float across = room[x] - room[x + 1];
        steps[x] += across < 0 ? -across : across;
    }
}

static void mark_row(const uint8_t *restrict values, const float *restrict seen,
                     const float *restrict of_room, const float *restrict steps, float alike,
                     float texture, float trusted, uint8_t *restrict marks, int *restrict counts,
                     int count) {
    int claimed = 0, plain = 0, textured = 0;
    for (int x = 0; x < count; x++) {
        int is_claimed = values[x] >= CLAIMED;
        int has_texture = steps[x] >= texture, is_alike = of_room[x] <= alike;
        int of_kind = is_alike ? (has_texture ? TEXTURED : PLAIN) : (has_texture ? CHANGED : 0);
        int mark = is_claimed & (seen[x] >= trusted) ? of_kind : 0;
        marks[x] = (uint8_t)mark;
        claimed += is_claimed;
        plain += mark == PLAIN;
        textured += mark == TEXTURED;
    }
    counts[0] += claimed;
    counts[1] += plain;
    counts[2] += textured;
}

/* Tell how much of a new sample the room takes in each cell, and for how many frames more it is
 * remembered that a cell was somebody's. */
static void see_row(const uint8_t *restrict values, const float *restrict of_held,
                    const float *restrict of_room, float alike, float memory, float *restrict owned,
                    float *restrict seen, float *restrict share, float *restrict fits, int count) {
    for (int x = 0; x < count; x++) {
        int is_room = values[x] < ROOM;
        int is_held = (owned[x] > 1) & (of_held[x] <= alike);
        owned[x] = is_room ? (is_held ? owned[x] - 1 : 0) : owned[x];
        int is_learned = is_room & !is_held, is_alike = of_room[x] <= alike;
        float times = is_alike ? gr_minf(seen[x] + 1, memory) : 1;
        seen[x] = is_learned ? times : seen[x];
        share[x] = is_learned ? 1 / times : 0;
        fits[x] = is_learned & is_alike ? 1.0f : 0.0f;
    }
}

static double brighter_row(const uint8_t *restrict samples, const float *restrict room,
                           const float *restrict fits, int *restrict known, int count) {
    float total[8] = {0}, number[8] = {0}; /* so many sums, as one alone is not vectorised */
    int x = 0;
    for (; x + 8 <= count; x += 8)
        for (int i = 0; i < 8; i++) {
            total[i] += fits[x + i] * (samples[x + i] - room[x + i]);
            number[i] += fits[x + i];
        }
    for (; x < count; x++) {
        total[0] += fits[x] * (samples[x] - room[x]);
        number[0] += fits[x];
    }
    double sum = 0;
    for (int i = 0; i < 8; i++) sum += total[i], *known += (int)number[i];
    return sum;
}

static void average_row(const uint8_t *restrict samples, const float *restrict share,
                        float *restrict room, int count) {
    for (int x = 0; x < count; x++) room[x] += share[x] * (samples[x] - room[x]);
}

/* Mark claimed cells that look as the room did, and learn the room in the others; see
 * `plausibility_kernels.compare`. */
GR_EXPORT int gr_compare(const uint8_t *planes, int number, const uint8_t *values, float *room,
                         float *seen, const float *held, float *owned, float alike, float texture,
                         float trusted, float memory, uint8_t *marks, double *report, int height,
                         int width) {
    size_t size = (size_t)height * width, row = (size_t)width;
    float *lines = malloc(5 * row * sizeof *lines);
    if (!lines) return GR_NO_MEMORY;
    float *of_room = lines, *of_held = lines + row, *steps = lines + 2 * row;
    float *share = lines + 3 * row, *fits = lines + 4 * row;
    int counts[3] = {0}, known = 0;
    double brighter = 0;
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * width, below = (size_t)gr_min(y + 1, height - 1) * width;
        for (int index = 0; index < number; index++) {
            const uint8_t *samples = planes + index * size + at;
            differ(samples, room + index * size + at, index == 0, of_room, width);
            differ(samples, held + index * size + at, index == 0, of_held, width);
            add_steps(room + index * size + at, room + index * size + below, index == 0, steps,
                      width);
        }
        mark_row(values + at, seen + at, of_room, steps, alike, texture, trusted, marks + at,
                 counts, width);
        see_row(values + at, of_held, of_room, alike, memory, owned + at, seen + at, share, fits,
                width);
        brighter += brighter_row(planes + at, room + at, fits, &known, width);
        for (int index = 0; index < number; index++)
            average_row(planes + index * size + at, share, room + index * size + at, width);
    }
    free(lines);
    for (int part = 0; part < 3; part++) report[part] = counts[part];
    report[3] = brighter / gr_max(known, 1);
    return GR_OK;
}
