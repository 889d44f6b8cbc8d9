/* Arithmetic of single samples, on plain numbers so that other targets can compile the same
 * lines; they define GR_SAMPLE first, as the qualifiers of the functions.
 *
 * Coverage is 0 to 255 as a byte, and 0 to 1 as a float. */
#ifndef GREENROOM_SAMPLES_H
#define GREENROOM_SAMPLES_H

#include <math.h>
#include <stdint.h>

#ifndef GR_SAMPLE
#define GR_SAMPLE static inline
#endif

/* Limits for comparisons. They are arguments, never constants: only for unknown numbers does GCC
 * turn a comparison and a choice into one instruction. */
typedef struct {
    float none, half, full, all; /* 0, 0.5, 255, 1 */
} GrLimits;

/* NaN becomes the lower limit, so that no coverage is left. */
GR_SAMPLE float gr_within(float value, float low, float high) {
    value = value > low ? value : low;
    return value < high ? value : high;
}

/* Coverage by a guided filter, 0 to 255 plus one half for rounding by truncation. A difference
 * of luma from the reference, beyond the noise, moves it by the slope. */
GR_SAMPLE float gr_guided(float base, float slope, float reference, float luma, float noise,
                          GrLimits limits) {
    float step = luma - reference;
    float above = step - noise > limits.none ? step - noise : limits.none;
    float below = step + noise < limits.none ? step + noise : limits.none;
    float value = 255.0f * (base + slope * (above + below)) + 0.5f;
    return gr_within(value, limits.half, limits.full);
}

/* The person's own colour in a mixture with the room's. The part of the mixture outside both
 * colours is divided by coverage and by how much less the room's is to be trusted (doubt, above
 * 0). */
GR_SAMPLE float gr_own_colour(float mixture, float share, float person, float room, float doubt,
                              GrLimits limits) {
    float rest = 1.0f - share;
    float excess = mixture - share * person - rest * room;
    float colour = person + excess * share / (share * share + doubt * rest * rest);
    return gr_within(colour, limits.none, limits.full);
}

/* One colour over another, 0 to 255 plus one half. */
GR_SAMPLE float gr_over(float front, float back, float share) {
    return share * front + (1.0f - share) * back + 0.5f;
}

/* The same of bytes, times 255; no step exceeds 16 bits. */
GR_SAMPLE uint16_t gr_over_255(uint16_t front, uint16_t back, uint16_t coverage) {
    return (uint16_t)(coverage * (uint16_t)(front - back) + 255 * back);
}

/* The same, rounded. Division by 255 as in J. Blinn, "Three Wrongs Make a Right", 1995: exact. */
GR_SAMPLE uint16_t gr_over_bytes(uint16_t front, uint16_t back, uint16_t coverage) {
    uint16_t total = (uint16_t)(gr_over_255(front, back, coverage) + 128);
    return (uint16_t)(total + (total >> 8)) >> 8;
}

/* A composite moved toward the light by a weight, 0 to 1, as if the person had been lit before
 * compositing: share * person + (1 - share) * back grows by share * (light - person), but by no
 * less than `least`. One half is added; rounding of the composite may exceed 0..255 slightly. */
GR_SAMPLE float gr_lit(float shown, float light, float weight, float back, float share,
                       float least) {
    float more = back + share * (light - back) - shown;
    return shown + (more > least ? more : least) * weight + 0.5f;
}

/* The key of a chroma key: unit vector in (Cb, Cr), noise of shares near 0 and 1, and the
 * inverse of the range between. Cb and Cr are less 128. */
typedef struct {
    float b, r, margin, scale;
} GrKey;

/* Screen and person around a sample: the map of Cb and Cr to the screen's share, the inverse of
 * the screen's chroma, and whether a screen is around, 0 to 1. */
typedef struct {
    float by_b, by_r, offset, inverse, around;
} GrScreen;

/* Chroma of a sample along the screen's direction, and across it. */
GR_SAMPLE float gr_along(GrKey key, float b, float r) { return b * key.b + r * key.r; }
GR_SAMPLE float gr_across(GrKey key, float b, float r) {
    return fabsf(r * key.b - b * key.r);
}

/* Least amount of the screen's colour in a sample; other strong colours have none (K. Jack,
 * Video Demystified, "chroma keying"). */
GR_SAMPLE float gr_screen_amount(GrKey key, float b, float r) {
    return gr_along(key, b, r) - 0.6f * gr_across(key, b, r);
}

/* Share of the screen in a sample, 0 to 1. It may be up to 4 times what is seen of it, where the
 * person has the opposite colour, as skin has in front of green. */
GR_SAMPLE float gr_screen_share(GrKey key, GrScreen screen, float b, float r) {
    float sure = gr_screen_amount(key, b, r) * screen.inverse * 4.0f;
    float share = b * screen.by_b + r * screen.by_r + screen.offset;
    share = share < sure ? share : sure;
    return gr_within((share - key.margin) * key.scale, 0.0f, 1.0f) * screen.around;
}

/* Spill: excess of the screen's colour over what a person's colour can have; light from the
 * screen. */
GR_SAMPLE float gr_screen_spill(GrKey key, float b, float r) {
    float spill = gr_along(key, b, r) - 0.3f * gr_across(key, b, r);
    return spill > 0.0f ? spill : 0.0f;
}

#endif
