/* The arithmetic of single samples, over plain numbers, so that other targets compile the same
 * lines: they define GR_SAMPLE as what their functions need before it.
 *
 * Coverage is 0 to 255 where it is a byte, and its share of that, 0 to 1, where it is a float.
 */
#ifndef GREENROOM_SAMPLES_H
#define GREENROOM_SAMPLES_H

#include <math.h>
#include <stdint.h>

#ifndef GR_SAMPLE
#define GR_SAMPLE static inline
#endif

/* Numbers that samples are compared with. They are arguments, never constants: only of numbers that
 * it does not know GCC makes one instruction of a comparison and the choice that follows. */
typedef struct {
    float none, half, full; /* 0, 0.5, 255 */
} GrLimits;

/* NaN becomes the lower limit, so that of coverage nothing is left. */
GR_SAMPLE float gr_within(float value, float low, float high) {
    value = value > low ? value : low;
    return value < high ? value : high;
}

/* Coverage by a guided filter, 0 to 255 and a half more, so that cutting off rounds: what luma
 * differs from the reference by more than noise moves it by the slope. */
GR_SAMPLE float gr_guided(float base, float slope, float reference, float luma, float noise,
                          GrLimits limits) {
    float step = luma - reference;
    float above = step - noise > limits.none ? step - noise : limits.none;
    float below = step + noise < limits.none ? step + noise : limits.none;
    float value = 255.0f * (base + slope * (above + below)) + 0.5f;
    return gr_within(value, limits.half, limits.full);
}

/* The person's own colour in a mixture of theirs and the room's: what is in it beyond both is
 * shared out by coverage and by how much less the room's is to be trusted (doubt, above 0). */
GR_SAMPLE float gr_own_colour(float mixture, float share, float person, float room, float doubt,
                              GrLimits limits) {
    float rest = 1.0f - share;
    float excess = mixture - share * person - rest * room;
    float colour = person + excess * share / (share * share + doubt * rest * rest);
    return gr_within(colour, limits.none, limits.full);
}

/* A colour over another one, 0 to 255 and a half more. */
GR_SAMPLE float gr_over(float front, float back, float share) {
    return share * front + (1.0f - share) * back + 0.5f;
}

/* The same of bytes, 255 times as much: no step is over 16 bits. */
GR_SAMPLE uint16_t gr_over_255(uint16_t front, uint16_t back, uint16_t coverage) {
    return (uint16_t)(coverage * (uint16_t)(front - back) + 255 * back);
}

/* The same, rounded. Division by 255 as in J. Blinn, "Three Wrongs Make a Right", 1995: exact. */
GR_SAMPLE uint16_t gr_over_bytes(uint16_t front, uint16_t back, uint16_t coverage) {
    uint16_t total = (uint16_t)(gr_over_255(front, back, coverage) + 128);
    return (uint16_t)(total + (total >> 8)) >> 8;
}

/* A composite moved toward the light by a weight, 0 to 1: of share * person + (1 - share) * back it
 * is share * (light - person) that is added, as if the person had been lit before, but no less than
 * `least`. A half is added; rounding of the composite may have left it a little beyond 0 and 255. */
GR_SAMPLE float gr_lit(float shown, float light, float weight, float back, float share,
                       float least) {
    float more = back + share * (light - back) - shown;
    return shown + (more > least ? more : least) * weight + 0.5f;
}

/* The screen of a chroma key: a unit vector in (Cb, Cr), how far noise takes shares from 0 and 1,
 * and the inverse of what is between. Cb and Cr count from 128. */
typedef struct {
    float b, r, margin, scale;
} GrKey;

/* What screen and person look like around a sample: what takes Cb and Cr to the screen's share,
 * the inverse of the screen's chroma, and whether there is screen around, 0 to 1. */
typedef struct {
    float by_b, by_r, offset, inverse, around;
} GrScreen;

/* A sample's chroma in the direction of the screen's, and at a right angle to it. */
GR_SAMPLE float gr_along(GrKey key, float b, float r) { return b * key.b + r * key.r; }
GR_SAMPLE float gr_across(GrKey key, float b, float r) {
    return fabsf(r * key.b - b * key.r);
}

/* How much of the screen's colour a sample has at least: other strong colours have none of it
 * (K. Jack, Video Demystified, "chroma keying"). */
GR_SAMPLE float gr_screen_amount(GrKey key, float b, float r) {
    return gr_along(key, b, r) - 0.6f * gr_across(key, b, r);
}

/* How much of a sample is the screen's, 0 to 1. Up to 4 times what is seen of it may be in a sample
 * of which the person's part has the opposite colour, as skin has in front of green. */
GR_SAMPLE float gr_screen_share(GrKey key, GrScreen screen, float b, float r) {
    float sure = gr_screen_amount(key, b, r) * screen.inverse * 4.0f;
    float share = b * screen.by_b + r * screen.by_r + screen.offset;
    share = share < sure ? share : sure;
    return gr_within((share - key.margin) * key.scale, 0.0f, 1.0f) * screen.around;
}

/* How much of the screen's colour is too much for a person's: light that it throws on them. */
GR_SAMPLE float gr_screen_spill(GrKey key, float b, float r) {
    float spill = gr_along(key, b, r) - 0.3f * gr_across(key, b, r);
    return spill > 0.0f ? spill : 0.0f;
}

#endif
