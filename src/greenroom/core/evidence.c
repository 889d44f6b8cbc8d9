/* Evidence for each sample of the half grid from previous frames, besides the model's answer. */
#include "evidence_samples.h"
#include "grids.h"
#include "window.h"

/* Compute the number of each sample's colour in a histogram: some bits of each plane. */
static void first_number(const uint8_t *restrict samples, uint16_t *restrict numbers, int count) {
    for (int x = 0; x < count; x++) numbers[x] = samples[x] >> (8 - GR_COLOUR_BITS);
}

static void next_number(const uint8_t *restrict samples, uint16_t *restrict numbers, int count) {
    for (int x = 0; x < count; x++)
        numbers[x] = (uint16_t)(numbers[x] << GR_COLOUR_BITS | samples[x] >> (8 - GR_COLOUR_BITS));
}

static void number_row(const uint8_t *planes, int number, size_t size, size_t at,
                       uint16_t *numbers, int count) {
    for (int index = 0; index < number; index++)
        (index ? next_number : first_number)(planes + index * size + at, numbers, count);
}

/* Begin to read a row of the frame and of the room. */
static void fetch_row(const uint8_t *planes, const float *plate, int number, size_t size, size_t at,
                      int count) {
    for (int index = 0; index < number; index++) {
        gr_fetch(planes + index * size + at, (size_t)count);
        gr_fetch(plate + index * size + at, (size_t)count * sizeof *plate);
    }
}

static void look_up(const float *restrict ratios, const uint16_t *restrict numbers,
                    float *restrict colour, int count) {
    for (int x = 0; x < count; x++) colour[x] = ratios[numbers[x]];
}

static void differ(const uint8_t *restrict samples, const float *restrict room, float weight,
                   float *restrict difference, int count) {
    for (int x = 0; x < count; x++) {
        float step = samples[x] - room[x];
        difference[x] = weight * step * step;
    }
}

static void differ_more(const uint8_t *restrict samples, const float *restrict room, float weight,
                        float *restrict difference, int count) {
    for (int x = 0; x < count; x++) {
        float step = samples[x] - room[x];
        difference[x] += weight * step * step;
    }
}

/* Mark where the model is unsure of the person, and where it does not waver. */
static void mark_row(const float *restrict prior, uint8_t *restrict unsure,
                     uint8_t *restrict likely, int count) {
    for (int x = 0; x < count; x++) unsure[x] = (uint8_t)gr_is_unsure(prior[x]);
    for (int x = 0; x < count; x++) likely[x] = (uint8_t)gr_is_likely(prior[x]);
}

/* Mark a row; return the span in which the model is in question. */
static GrSpan look_row(const float *prior, int y, int held, int wide, uint8_t *unsure,
                       uint8_t *likely) {
    const float *row = prior + (size_t)y * wide;
    size_t at = (size_t)(y % held) * wide;
    mark_row(row, unsure + at, likely + at, wide);
    return gr_span(row, GR_LOWEST, wide);
}

static void judge_row(const float *restrict colour, const float *restrict difference,
                      const float *restrict seen, const uint8_t *restrict shallow,
                      const uint8_t *restrict near, const float *restrict prior,
                      const float *restrict terms, float *restrict probability, int count) {
    const GrTerms of = gr_terms(terms);
    for (int x = 0; x < count; x++)
        probability[x] =
            gr_judged(colour[x], difference[x], seen[x], shallow[x], near[x], prior[x], of);
}

/* Compute the probability that a sample is foreground from the frame's colours and its
 * difference from the clean plate. It is one half, which says nothing, where the model's answer
 * is too certain to be changed.
 *
 * - planes: (number, high, wide), the frame; at most 3.
 * - spread: (number), weight of the squared difference of each plane.
 * - plate: (number, high, wide), the room; seen: (high, wide), in how many frames it was seen.
 * - ratios: 16 to the power of `number`, log of each colour's likelihood ratio of person to
 *   room.
 * - prior: (high, wide), the model's coverage.
 * - terms: weight of the log ratio of colours, weight of the difference from the plate, the log
 *   odds of the room at no difference, the largest log odds from a difference, and what doubt
 *   subtracts.
 * - deep: farther inside the person than this, a likeness to the room is a coincidence.
 * - clear: within this distance of somebody there is no doubt.
 * - probability: (high, wide).
 * - difference: (high, wide), averaged over 3x3 samples as the colours are; written everywhere,
 *   or NULL. */
GR_EXPORT int gr_weigh(const uint8_t *planes, int number, const float *spread, const float *plate,
                       const float *seen, const float *ratios, const float *prior,
                       const float *terms, int deep, int clear, float *probability,
                       float *difference, int high, int wide) {
    size_t row = (size_t)wide, size = row * (size_t)high;
    size_t inner = gr_window_bytes(wide, deep), outer = gr_window_bytes(wide, clear);
    int ahead = gr_max(gr_max(deep, clear), 1) + 2, held = gr_window_rows(ahead);
    size_t mask = (size_t)held * row;
    uint8_t *masks = malloc(2 * mask + inner + outer + 2 * row);
    GrSpan *spans = malloc((size_t)high * sizeof *spans);
    float *lines = malloc((9 * row + 2) * sizeof *lines);
    uint16_t *numbers = malloc(row * sizeof *numbers);
    if (!masks || !spans || !lines || !numbers) {
        free(masks), free(spans), free(lines), free(numbers);
        return GR_NO_MEMORY;
    }
    uint8_t *windows = masks, *unsure = masks + inner + outer, *likely = unsure + mask;
    uint8_t *shallow = likely + mask, *near = shallow + row;
    float *line = lines, *mean_colour = lines + row + 2, *mean_difference = mean_colour + row;
    float *colours[3], *differences[3]; /* of the last three rows */
    for (int of = 0; of < 3; of++) {
        colours[of] = lines + 2 + (size_t)(3 + of) * row;
        differences[of] = lines + 2 + (size_t)(6 + of) * row;
    }
    int marked = 0;
    for (; marked < gr_min(ahead, high); marked++)
        spans[marked] = look_row(prior, marked, held, wide, unsure, likely);
    GrWindow inside = gr_window(unsure, held, high, wide, deep, windows);
    GrWindow around = gr_window(likely, held, high, wide, clear, windows + inner);
    GrSpan whole = {0, wide};
    for (int next = 0; next <= high; next++) {
        if (next < high) { /* values of this row that those beside it need, too */
            GrSpan span = gr_around(spans, next, 1, high, wide);
            int count = span.stop - span.start;
            size_t at = next * row + (size_t)span.start;
            if (next + 2 < high) fetch_row(planes, plate, number, size, (next + 2) * row, wide);
            if (next + 2 < high) gr_fetch(seen + (next + 2) * row, row * sizeof *seen);
            number_row(planes, number, size, at, numbers, count);
            look_up(ratios, numbers, colours[next % 3] + span.start, count);
            if (difference) span = whole;
            at = next * row + (size_t)span.start;
            count = span.stop - span.start;
            for (int index = 0; index < number; index++)
                (index ? differ_more : differ)(planes + index * size + at,
                                               plate + index * size + at, spread[index],
                                               differences[next % 3] + span.start, count);
        }
        int y = next - 1;
        if (y < 0) continue;
        if (marked < high) {
            spans[marked] = look_row(prior, marked, held, wide, unsure, likely);
            marked++;
        }
        int above = gr_mirrored(y - 1, high) % 3, below = gr_mirrored(y + 1, high) % 3;
        float *mean = difference ? difference + y * row : mean_difference;
        gr_mean(differences[above], differences[y % 3], differences[below],
                difference ? whole : spans[y], wide, line, mean);
        gr_window_row(&inside, y, shallow);
        gr_window_row(&around, y, near);
        GrSpan span = spans[y];
        gr_fill_outside(probability + y * row, 0.5f, span, wide);
        if (span.start >= span.stop) continue;
        gr_mean(colours[above], colours[y % 3], colours[below], span, wide, line, mean_colour);
        size_t at = y * row + (size_t)span.start;
        judge_row(mean_colour + span.start, mean + span.start, seen + at, shallow + span.start,
                  near + span.start, prior + at, terms, probability + at, span.stop - span.start);
    }
    free(masks), free(spans), free(lines), free(numbers);
    return GR_OK;
}

static void mark_surely(const float *restrict matte, uint8_t *restrict sure, uint8_t *restrict some,
                        int count) {
    for (int x = 0; x < count; x++) sure[x] = (uint8_t)gr_is_surely(matte[x]);
    for (int x = 0; x < count; x++) some[x] = (uint8_t)gr_is_some(matte[x]);
}

static void larger(const float *restrict one, const float *restrict other, float *restrict row,
                   int count) {
    for (int x = 0; x < count; x++) row[x] = one[x] > other[x] ? one[x] : other[x];
}

static void all_of(const uint8_t *restrict above, const uint8_t *restrict here,
                   const uint8_t *restrict below, uint8_t *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] = above[x] & here[x] & below[x];
}

static void all_of_row(const uint8_t *restrict line, uint8_t *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] = line[x] & line[x + 1] & line[x + 2];
}

/* Mark a row of the larger of two mattes, or of one; `line` is scratch memory for a row. */
static void mark_both(const float *matte, const float *other, int y, int held, int wide,
                      float *line, uint8_t *sure, uint8_t *some) {
    size_t at = (size_t)y * wide, to = (size_t)(y % held) * wide;
    if (other) larger(matte + at, other + at, line, wide);
    mark_surely(other ? line : matte + at, sure + to, some + to, wide);
}

/* Mark samples of which all 3x3 neighbours are set; those outside the mask count as set. */
static void shrink_row(const uint8_t *mask, int y, int held, int high, int wide, uint8_t *line,
                       uint8_t *row) {
    size_t width = (size_t)wide;
    all_of(mask + gr_max(y - 1, 0) % held * width, mask + y % held * width,
           mask + gr_min(y + 1, high - 1) % held * width, line + 1, wide);
    line[0] = line[wide + 1] = 1;
    all_of_row(line, row, wide);
}

/* Count the colours of a row for the person and for the room. Even and odd samples have a table
 * each: neighbours often have one colour, and a count has to wait for the previous one in the
 * same place. */
static void count_row(const uint16_t *restrict numbers, const uint8_t *restrict person,
                      const uint8_t *restrict around, uint32_t *restrict even,
                      uint32_t *restrict odd, int bins, int count) {
    for (int x = 0; x < count; x++) {
        if (!person[x] && around[x]) continue;
        uint32_t *table = x & 1 ? odd : even;
        table[numbers[x] + (person[x] ? 0 : bins)]++;
    }
}

/* Compute the weight of each sample in the room's average, and whether a known room fits: 1 or
 * 0. */
static void see_row(const uint8_t *restrict person, const uint8_t *restrict around,
                    const float *restrict difference, float memory, float *restrict seen,
                    float *restrict share, float *restrict fits, int *restrict counts, int count) {
    int known = 0, misfits = 0;
    for (int x = 0; x < count; x++) {
        float room = around[x] | person[x] ? 0 : 1;
        float is_known = gr_known(seen[x], room);
        float misfit = gr_misfit(difference[x], is_known);
        known += is_known > 0;
        misfits += misfit > 0;
        fits[x] = is_known - misfit;
        float times = gr_minf(seen[x] + 1, memory);
        share[x] = room / times;
        seen[x] = room > 0 ? times : seen[x];
    }
    counts[0] += known;
    counts[1] += misfits;
}

static double brighter_row(const float *restrict fits, const uint8_t *restrict luma,
                           const float *restrict plate, int count) {
    enum { SUMS = 8 }; /* one alone would not be vectorised */
    float total[SUMS] = {0};
    int x = 0;
    for (; x + SUMS <= count; x += SUMS)
        for (int i = 0; i < SUMS; i++) total[i] += fits[x + i] * (luma[x + i] - plate[x + i]);
    for (; x < count; x++) total[0] += fits[x] * (luma[x] - plate[x]);
    double sum = 0;
    for (int i = 0; i < SUMS; i++) sum += total[i];
    return sum;
}

static void average_row(const uint8_t *restrict samples, const float *restrict share,
                        float *restrict plate, int count) {
    for (int x = 0; x < count; x++) plate[x] += share[x] * (samples[x] - plate[x]);
}

/* Move the known shares of colours toward new ones. */
static void fade(const uint32_t *restrict even, const uint32_t *restrict odd, float share,
                 float *restrict known, int bins) {
    uint32_t total = 0;
    for (int bin = 0; bin < bins; bin++) total += even[bin] + odd[bin];
    float scale = 1 / (float)(total > 1 ? total : 1);
    for (int bin = 0; bin < bins; bin++)
        known[bin] = gr_faded(known[bin], share, even[bin] + odd[bin], scale);
}

static void take_ratios(const float *restrict person, const float *restrict room, float unseen,
                        float far, float *restrict ratios, int bins) {
    for (int bin = 0; bin < bins; bin++)
        ratios[bin] = gr_ratio(person[bin], room[bin], unseen, far);
}

/* Update the colours of the person and of the room, and average the room into the plate.
 *
 * - planes, plate, seen, difference: as in gr_weigh; plate and seen are changed in place.
 * - matte, other: (high, wide), coverage, of which the larger counts; other may be NULL.
 * - clear: only samples farther than this from anybody are the room's.
 * - memory: most frames over which the plate is averaged.
 * - known: (2, 16 to the power of `number`), shares of the colours of person and room, moved by
 *   `share` toward this frame's.
 * - ratios: as in gr_weigh, computed anew. `unseen` is the share of a colour that was never
 *   seen, `far` the largest log ratio.
 * - report: number of samples of the known room, number of those that do not fit, and sum of the
 *   increase of the first plane over the plate in those that do. */
GR_EXPORT int gr_learn(const uint8_t *planes, int number, const float *matte, const float *other,
                       const float *difference, float *plate, float *seen, int clear, float memory,
                       float *known, float share, float unseen, float far, float *ratios,
                       double *report, int high, int wide) {
    size_t row = (size_t)wide, size = row * (size_t)high;
    size_t bins = (size_t)1 << (GR_COLOUR_BITS * number), window = gr_window_bytes(wide, clear);
    int ahead = gr_max(clear, 1), held = gr_window_rows(ahead), marked = 0;
    size_t mask = (size_t)held * row;
    uint8_t *masks = malloc(window + 2 * mask + 3 * row + 2);
    float *lines = malloc(2 * row * sizeof *lines);
    uint16_t *numbers = malloc(row * sizeof *numbers);
    uint32_t *tables = calloc(4 * bins, sizeof *tables);
    if (!masks || !lines || !numbers || !tables) {
        free(masks), free(lines), free(numbers), free(tables);
        return GR_NO_MEMORY;
    }
    uint8_t *sure = masks + window, *some = sure + mask;
    uint8_t *person = some + mask, *around = person + row, *line = around + row;
    float *shares = lines, *fits = lines + row;
    for (; marked < gr_min(ahead, high); marked++)
        mark_both(matte, other, marked, held, wide, shares, sure, some);
    GrWindow near = gr_window(some, held, high, wide, clear, masks);
    int counts[2] = {0};
    double brighter = 0;
    for (int y = 0; y < high; y++) {
        size_t at = y * row;
        if (marked < high) mark_both(matte, other, marked++, held, wide, shares, sure, some);
        shrink_row(sure, y, held, high, wide, line, person);
        gr_window_row(&near, y, around);
        number_row(planes, number, size, at, numbers, wide);
        count_row(numbers, person, around, tables, tables + 2 * bins, (int)bins, wide);
        see_row(person, around, difference + at, memory, seen + at, shares, fits, counts, wide);
        brighter += brighter_row(fits, planes + at, plate + at, wide);
        for (int index = 0; index < number; index++)
            average_row(planes + index * size + at, shares, plate + index * size + at, wide);
    }
    for (size_t of = 0; of < 2; of++)
        fade(tables + of * bins, tables + (2 + of) * bins, share, known + of * bins, (int)bins);
    take_ratios(known, known + bins, unseen, far, ratios, (int)bins);
    free(masks), free(lines), free(numbers), free(tables);
    report[0] = counts[0];
    report[1] = counts[1];
    report[2] = brighter;
    return GR_OK;
}
