/* Halving of rows of bytes. */
#ifndef GREENROOM_HALVING_H
#define GREENROOM_HALVING_H

#include "core.h"
#include "samples.h"

/* Reads two samples as one number, which compilers vectorise best. */
static inline void gr_halve_pairs_of_bytes(const uint8_t *restrict first,
                                           const uint8_t *restrict second, int pairs,
                                           uint8_t *restrict out) {
    for (int x = 0; x < pairs; x++) {
        uint16_t a, b;
        memcpy(&a, first + 2 * x, 2);
        memcpy(&b, second + 2 * x, 2);
        out[x] = GR_MEAN_OF_FOUR(a & 255, a >> 8, b & 255, b >> 8);
    }
}

/* Take the rounded mean of every 2x2 samples of two rows; the last column repeats if odd. */
static inline void gr_halve_bytes(const uint8_t *first, const uint8_t *second, int width,
                                  uint8_t *out) {
    gr_halve_pairs_of_bytes(first, second, width / 2, out);
    if (width % 2) out[width / 2] = (uint8_t)((first[width - 1] + second[width - 1] + 1) >> 1);
}

#endif
