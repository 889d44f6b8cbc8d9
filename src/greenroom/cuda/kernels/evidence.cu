/* Evidence on the half grid (high, wide); as core/evidence.c, which describes the arguments. */
#include "grids.cuh"
#include "evidence_samples.h"

/* Sums have a slot for each of so many columns, so that few threads add to one address. Levels are
 * added as whole numbers, so that the order does not matter: in this share of one. */
enum { GR_SLOTS = 32 };
#define GR_FINE 65536.0f

/* Number of a sample's colour in a histogram: some bits of each plane of so many samples. */
GR_SAMPLE int gr_colour_of(const uint8_t *planes, int number, ptrdiff_t size, ptrdiff_t at) {
    int colour = 0;
    for (int index = 0; index < number; index++)
        colour = colour << GR_COLOUR_BITS | planes[index * size + at] >> (8 - GR_COLOUR_BITS);
    return colour;
}

/* Look up a sample's colour, compare it with the room, and mark where the model is unsure of the
 * person within `deep` samples of the row (1), and where it does not waver within `clear` (2). */
GR_KERNEL(weigh_samples)(const uint8_t *planes, int number, const float *spread,
                         const float *plate, const float *ratios, const float *prior, int deep,
                         int clear, float *colours, float *differences, uint8_t *marks, int high,
                         int wide) {
    GR_WITHIN(wide, high)
    ptrdiff_t at = (ptrdiff_t)y * wide + x, size = (ptrdiff_t)high * wide;
    float difference = 0;
    for (int index = 0; index < number; index++) {
        float step = planes[index * size + at] - plate[index * size + at];
        difference += spread[index] * step * step;
    }
    colours[at] = ratios[gr_colour_of(planes, number, size, at)];
    differences[at] = difference;
    const float *row = prior + (ptrdiff_t)y * wide;
    int unsure = 0, likely = 0;
    for (int column = gr_max(x - deep, 0); column <= gr_min(x + deep, wide - 1); column++)
        unsure |= gr_is_unsure(row[column]);
    for (int column = gr_max(x - clear, 0); column <= gr_min(x + clear, wide - 1); column++)
        likely |= gr_is_likely(row[column]);
    marks[at] = (uint8_t)(unsure | likely << 1);
}

/* Average over 3x3 samples, and judge. `difference` may be NULL. */
GR_KERNEL(weigh)(const float *colours, const float *differences, const uint8_t *marks,
                 const float *seen, const float *prior, const float *terms, int deep, int clear,
                 float *probability, float *difference, int high, int wide) {
    GR_WITHIN(wide, high)
    ptrdiff_t at = (ptrdiff_t)y * wide + x;
    float differs = gr_mean_around(differences, 0, x, y, high, wide);
    if (difference) difference[at] = differs;
    int shallow = 0, near = 0;
    for (int row = gr_max(y - deep, 0); row <= gr_min(y + deep, high - 1); row++)
        shallow |= marks[(ptrdiff_t)row * wide + x] & 1;
    for (int row = gr_max(y - clear, 0); row <= gr_min(y + clear, high - 1); row++)
        near |= marks[(ptrdiff_t)row * wide + x] & 2;
    float colour = gr_mean_around(colours, 0, x, y, high, wide);
    probability[at] =
        gr_judged(colour, differs, seen[at], shallow, near, prior[at], gr_terms(terms));
}

/* Mark where all coverage beside a sample is surely the person's (1), and where there is some
 * within `clear` samples of the row (2); and clear the tables and sums of `learn_samples`. */
GR_KERNEL(learn_marks)(const float *matte, const float *other, int clear, uint8_t *marks,
                       uint32_t *tables, int bins, uint64_t *sums, int high, int wide) {
    GR_WITHIN(wide, high)
    ptrdiff_t at = (ptrdiff_t)y * wide + x, first = (ptrdiff_t)y * wide;
    ptrdiff_t size = (ptrdiff_t)high * wide;
    for (ptrdiff_t bin = at; bin < 2 * bins; bin += size) tables[bin] = 0;
    for (ptrdiff_t slot = at; slot < 5 * GR_SLOTS; slot += size) sums[slot] = 0;
    int surely = 1, some = 0;
    for (int column = gr_max(x - clear, 0); column <= gr_min(x + clear, wide - 1); column++) {
        float value = matte[first + column];
        if (other) value = gr_maxf(value, other[first + column]);
        some |= gr_is_some(value);
        if (column >= x - 1 && column <= x + 1) surely &= gr_is_surely(value);
    }
    marks[at] = (uint8_t)(surely | some << 1);
}

/* Count a sample's colour for the person or for the room, and average the room into the plate. The
 * sums are those of the samples of the person, of the room, of the known room, of what of it does
 * not fit, and of how much brighter the rest is. `clear` is at least 1. */
GR_KERNEL(learn_samples)(const uint8_t *planes, int number, const uint8_t *marks,
                         const float *difference, float *plate, float *seen, int clear,
                         float memory, uint32_t *tables, int bins, uint64_t *sums, int high,
                         int wide) {
    GR_WITHIN(wide, high)
    ptrdiff_t at = (ptrdiff_t)y * wide + x, size = (ptrdiff_t)high * wide;
    int person = 1, around = 0;
    for (int row = gr_max(y - clear, 0); row <= gr_min(y + clear, high - 1); row++) {
        int mark = marks[(ptrdiff_t)row * wide + x];
        around |= mark & 2;
        if (row >= y - 1 && row <= y + 1) person &= mark;
    }
    uint64_t *slots = sums + x % GR_SLOTS;
    if (person || !around) {
        int kind = person ? 0 : 1;
        atomicAdd(tables + kind * bins + gr_colour_of(planes, number, size, at), 1u);
        atomicAdd(slots + kind * GR_SLOTS, (uint64_t)1);
    }
    if (person || around) return;
    float known = gr_known(seen[at], 1), misfit = gr_misfit(difference[at], known);
    if (known > 0) atomicAdd(slots + 2 * GR_SLOTS, (uint64_t)1);
    if (misfit > 0) atomicAdd(slots + 3 * GR_SLOTS, (uint64_t)1);
    if (known - misfit > 0) {
        float fine = rintf((planes[at] - plate[at]) * GR_FINE);
        atomicAdd(slots + 4 * GR_SLOTS, (uint64_t)(int64_t)fine);
    }
    float times = gr_minf(seen[at] + 1, memory), share = 1 / times;
    seen[at] = times;
    for (int index = 0; index < number; index++) {
        float *room = plate + index * size + at;
        *room += share * (planes[index * size + at] - *room);
    }
}

/* Move the known shares of a colour toward the new ones, and take their log ratio. */
GR_KERNEL(learn_ratios)(const uint32_t *tables, const uint64_t *sums, float share, float unseen,
                        float far, float *known, float *ratios, int bins) {
    GR_WITHIN(bins, 1)
    for (int kind = 0; kind < 2; kind++) {
        uint64_t total = 0;
        for (int slot = 0; slot < GR_SLOTS; slot++) total += sums[kind * GR_SLOTS + slot];
        float scale = 1 / (float)(total > 1 ? total : 1), *of = known + kind * bins + x;
        *of = gr_faded(*of, share, tables[kind * bins + x], scale);
    }
    ratios[x] = gr_ratio(known[x], known[bins + x], unseen, far);
}

/* Add to values. */
GR_KERNEL(brighten)(float *values, float by, int count) {
    GR_WITHIN(count, 1)
    values[x] += by;
}
