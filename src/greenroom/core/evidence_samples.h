/* Arithmetic of single samples of the evidence; see evidence.c. */
#ifndef GREENROOM_EVIDENCE_SAMPLES_H
#define GREENROOM_EVIDENCE_SAMPLES_H

#include "grid_samples.h"

/* As in `evidence_kernels`. Coverage, 0 to 255: from which a sample is certainly the person's,
 * below which it is certainly nobody's, and from which the model does not waver. Number of
 * frames in which the room must have been seen to be trusted, and to be certain. Squared
 * difference from which a sample is not the room. */
#define GR_PERSON 242.0f
#define GR_NOBODY 25.0f
#define GR_LIKELY 230.0f
#define GR_TRUSTED 3.0f
#define GR_SURE 8.0f
#define GR_STRANGE 9.0f
/* Beyond these the model's answer is not questioned. */
#define GR_LOWEST 1e-3f
#define GR_HIGHEST 0.998f

/* Bits of each plane in a colour's number. */
enum { GR_COLOUR_BITS = 4 };

GR_SAMPLE int gr_is_unsure(float prior) { return !(prior * 255 > GR_PERSON + 0.5f); }
GR_SAMPLE int gr_is_likely(float prior) { return prior * 255 > GR_LIKELY + 0.5f; }
GR_SAMPLE int gr_is_surely(float matte) { return matte * 255 > GR_PERSON + 0.5f; }
GR_SAMPLE int gr_is_some(float matte) { return !(matte * 255 <= GR_NOBODY - 0.5f); }

/* The terms of `gr_weigh`. */
typedef struct {
    float by_colour, by_plate, room, most, doubt;
} GrTerms;

GR_SAMPLE GrTerms gr_terms(const float *terms) {
    GrTerms of = {terms[0], terms[1], terms[2], terms[3], terms[4]};
    return of;
}

/* Probability of foreground by the mean log ratio of colours and the mean difference from the
 * room. Written without branches to be vectorised, with the logistic function as
 * (1 + tanh(odds / 2)) / 2 and tanh by its continued fraction. */
GR_SAMPLE float gr_judged(float colour, float difference, float seen, int shallow, int near,
                          float prior, GrTerms terms) {
    float trust = seen >= GR_TRUSTED ? gr_minf(seen * (1 / GR_SURE), 1) : 0;
    float told = trust * gr_minf(terms.by_plate * difference - terms.room, terms.most);
    float strange = gr_maxf(told, 0);
    told = shallow ? told : strange;
    float doubted = near ? 0 : terms.doubt;
    told -= trust == 0 ? doubted : 0;
    float angle = 0.5f * (terms.by_colour * colour + told), square = angle * angle;
    float upper = angle * (10395 + square * (1260 + square * 21));
    float lower = 10395 + square * (4725 + square * (210 + square));
    float found = 0.5f + 0.5f * upper / lower;
    float sure = shallow ? found : 0.5f;
    sure = trust == 0 ? 0.5f : sure;
    found = prior > GR_HIGHEST ? sure : found;
    return prior < GR_LOWEST ? 0.5f : found;
}

/* Whether a room that is trusted is seen, and whether that does not fit: 1 or 0. `room` is 1
 * where the room is seen. */
GR_SAMPLE float gr_known(float seen, float room) { return seen >= GR_TRUSTED ? room : 0; }
GR_SAMPLE float gr_misfit(float difference, float known) {
    return difference > GR_STRANGE ? known : 0;
}

/* A colour's share after its share of the way to the new one. */
GR_SAMPLE float gr_faded(float known, float share, uint32_t count, float scale) {
    float moved = known + share * ((float)count * scale - known);
    return moved < GR_NOTHING ? 0 : moved;
}

/* Natural logarithm of a positive normal number, accurate to 1e-6: its exponent, and a series
 * for the rest, between the square roots of 1/2 and 2. */
GR_SAMPLE float gr_log_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t from_root = bits - 0x3f3504f3u; /* of the square root of 1/2 */
    int32_t exponent = (int32_t)from_root >> 23;
    bits = (from_root & 0x007fffffu) + 0x3f3504f3u;
    float mantissa;
    memcpy(&mantissa, &bits, sizeof mantissa);
    float part = (mantissa - 1) / (mantissa + 1), square = part * part;
    float series = 1 + square * (1 / 3.0f + square * (0.2f + square * (1 / 7.0f + square / 9)));
    return exponent * 0.693147181f + 2 * part * series;
}

/* Log ratio of the shares of a colour. */
GR_SAMPLE float gr_ratio(float person, float room, float unseen, float far) {
    return gr_clampf(gr_log_of((person + unseen) / (room + unseen)), -far, far);
}

#endif
