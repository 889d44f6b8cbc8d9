/* What the frames so far tell about each sample of the half grid, besides the model. */
#include "grids.h"

/* As in `evidence_kernels`. */
static const int PERSON = 242, NOBODY = 25, LIKELY = 230;
static const float TRUSTED = 3, SURE = 8, STRANGE = 9;

static void first_number(const uint8_t *restrict samples, uint16_t *restrict numbers, int count) {
    for (int x = 0; x < count; x++) numbers[x] = samples[x] >> 4;
}

static void next_number(const uint8_t *restrict samples, uint16_t *restrict numbers, int count) {
    for (int x = 0; x < count; x++) numbers[x] = (uint16_t)(numbers[x] << 4 | samples[x] >> 4);
}

static void differ(const uint8_t *restrict samples, const float *restrict room, float weight,
                   float *restrict difference, int count) {
    for (int x = 0; x < count; x++) {
        float step = samples[x] - room[x];
        difference[x] += weight * step * step;
    }
}

static void look_up(const float *restrict ratios, const uint16_t *restrict numbers,
                    float *restrict colour, int count) {
    for (int x = 0; x < count; x++) colour[x] = ratios[numbers[x]];
}

/* Look up what a frame's colours tell, and its squared difference from the clean plate; see
 * `evidence_kernels.weigh`. The ratios have 16 entries to the power of the planes' number. */
GR_EXPORT int gr_weigh(const uint8_t *planes, int number, const float *weights, const float *plate,
                       const float *ratios, uint16_t *numbers, float *colour, float *difference,
                       int height, int width) {
    size_t count = (size_t)height * width;
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * width;
        memset(difference + at, 0, (size_t)width * sizeof *difference);
        for (int index = 0; index < number; index++) {
            const uint8_t *samples = planes + index * count + at;
            (index ? next_number : first_number)(samples, numbers + at, width);
            differ(samples, plate + index * count + at, weights[index], difference + at, width);
        }
        look_up(ratios, numbers + at, colour + at, width);
    }
    return GR_OK;
}

/* Without branches, and with the logistic function as (1 + tanh(odds / 2)) / 2, by tanh's
 * continued fraction: so it is vectorised. */
static void judge_row(const float *restrict colour, const float *restrict difference,
                      const float *restrict seen, const uint8_t *restrict inside,
                      const uint8_t *restrict around, const float *restrict prior,
                      const float *restrict weights, float *restrict probability, int count) {
    const float by_colour = weights[0], by_plate = weights[1], room = weights[2];
    const float most = weights[3], doubt = weights[4];
    for (int x = 0; x < count; x++) {
        float trust = seen[x] >= TRUSTED ? gr_minf(seen[x] * (1 / SURE), 1) : 0;
        float told = trust * gr_minf(by_plate * difference[x] - room, most);
        int deep = inside[x] > PERSON;
        told = deep ? gr_maxf(told, 0) : told;
        told -= (trust == 0) & (around[x] <= LIKELY) ? doubt : 0;
        float angle = 0.5f * (by_colour * colour[x] + told), square = angle * angle;
        float upper = angle * (10395 + square * (1260 + square * 21));
        float lower = 10395 + square * (4725 + square * (210 + square));
        float found = 0.5f + 0.5f * upper / lower;
        int idle = (prior[x] < 1e-3f) | ((prior[x] > 0.998f) & ((trust == 0) | deep));
        probability[x] = idle ? 0.5f : found;
    }
}

/* Weigh two kinds of evidence to the probability that a sample is foreground, all (height, width);
 * see `evidence_kernels.judge`. */
GR_EXPORT int gr_judge(const float *colour, const float *difference, const float *seen,
                       const uint8_t *inside, const uint8_t *around, const float *prior,
                       const float *weights, float *probability, int height, int width) {
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * width;
        judge_row(colour + at, difference + at, seen + at, inside + at, around + at, prior + at,
                  weights, probability + at, width);
    }
    return GR_OK;
}

/* Tell where the room is seen, and how much of a new sample it takes there; count. */
static void see_row(const uint8_t *restrict least, const uint8_t *restrict most,
                    const float *restrict difference, float memory, float *restrict seen,
                    float *restrict share, int *restrict known, int *restrict misfits, int count) {
    int of_room = 0, strange = 0;
    for (int x = 0; x < count; x++) {
        int is_room = (least[x] <= PERSON) & (most[x] < NOBODY);
        int is_known = is_room & (seen[x] >= TRUSTED);
        of_room += is_known;
        strange += is_known & (difference[x] > STRANGE);
        float times = gr_minf(seen[x] + 1, memory);
        seen[x] = is_room ? times : seen[x];
        share[x] = is_room ? 1 / times : 0;
    }
    *known += of_room;
    *misfits += strange;
}

static double brighter_row(const uint8_t *restrict least, const uint8_t *restrict most,
                           const float *restrict difference, const float *restrict seen,
                           const uint8_t *restrict luma, const float *restrict plate, int count) {
    float total[8] = {0}; /* so many sums, as one alone is not vectorised */
    int x = 0;
    for (; x + 8 <= count; x += 8)
        for (int i = 0; i < 8; i++) {
            int fits = (least[x + i] <= PERSON) & (most[x + i] < NOBODY) &
                       (seen[x + i] >= TRUSTED) & (difference[x + i] <= STRANGE);
            total[i] += fits ? luma[x + i] - plate[x + i] : 0;
        }
    for (; x < count; x++) {
        int fits = (least[x] <= PERSON) & (most[x] < NOBODY) & (seen[x] >= TRUSTED) &
                   (difference[x] <= STRANGE);
        total[0] += fits ? luma[x] - plate[x] : 0;
    }
    double sum = 0;
    for (int i = 0; i < 8; i++) sum += total[i];
    return sum;
}

static void average_row(const uint8_t *restrict samples, const float *restrict share,
                        float *restrict plate, int count) {
    for (int x = 0; x < count; x++) plate[x] += share[x] * (samples[x] - plate[x]);
}

static void count_row(const uint16_t *restrict numbers, const uint8_t *restrict least,
                      const uint8_t *restrict most, float *restrict person, float *restrict room,
                      int count) {
    for (int x = 0; x < count; x++)
        if (least[x] > PERSON)
            person[numbers[x]]++;
        else if (most[x] < NOBODY)
            room[numbers[x]]++;
}

/* Count the colours of the person and of the room, and average the room into the plate; see
 * `evidence_kernels.learn`. */
GR_EXPORT int gr_learn(const uint8_t *planes, int number, const uint16_t *numbers,
                       const uint8_t *least, const uint8_t *most, const float *difference,
                       float *plate, float *seen, float *counts, int bins, float memory,
                       double *report, int height, int width) {
    size_t count = (size_t)height * width;
    float *share = malloc((size_t)width * sizeof *share);
    if (!share) return GR_NO_MEMORY;
    int known = 0, misfits = 0;
    double brighter = 0;
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * width;
        count_row(numbers + at, least + at, most + at, counts, counts + bins, width);
        brighter += brighter_row(least + at, most + at, difference + at, seen + at, planes + at,
                                 plate + at, width);
        see_row(least + at, most + at, difference + at, memory, seen + at, share, &known, &misfits,
                width);
        for (int index = 0; index < number; index++)
            average_row(planes + index * count + at, share, plate + index * count + at, width);
    }
    free(share);
    report[0] = known;
    report[1] = misfits;
    report[2] = brighter;
    return GR_OK;
}
