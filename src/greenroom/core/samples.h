/* Arithmetic of single samples, on plain numbers, in C and in the kernels of a GPU.
 *
 * Coverage is 0 to 255 as a byte, and 0 to 1 as a float. */
#ifndef GREENROOM_SAMPLES_H
#define GREENROOM_SAMPLES_H

#include "scalars.h"

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

/* Rounded mean of four samples. A macro, as compilers narrow an expression of bytes to 16 bits
 * before they inline functions. */
#define GR_MEAN_OF_FOUR(a, b, c, d) ((uint8_t)(((a) + (b) + (c) + (d) + 2) >> 2))

/* Three samples become two: two thirds of the first and one third of the second, and so on, in
 * sixteenths, so that two rows and rounding fit into 16 bits. */
#define GR_THIRD_OF_ROWS(near, far) ((uint16_t)(11 * (near) + 5 * (far)))
#define GR_THIRD_OF_SAMPLES(near, far) \
    ((uint8_t)((uint16_t)(11 * (near) + (uint16_t)(5 * (far) + 128)) >> 8))

/* First of the three samples that a pair is made of. The last three end with the plane; none is
 * half a sample away from its exact place. */
GR_SAMPLE int gr_third_start(int pair, int pairs, int length) {
    int start = (int)((2 * (int64_t)pair * length + pairs) / (2 * pairs));
    return gr_max(0, gr_min(start, length - 3));
}

/* Position of a sample on a grid that is enlarged from `count` to `length` samples: the sample
 * before it, and the share of the one after that. Sample centres are aligned, edges repeat. */
GR_SAMPLE float gr_placed(int index, int count, int length, int *before) {
    double place = (index + 0.5) * count / length - 0.5;
    place = place < 0 ? 0 : place > count - 1 ? count - 1 : place;
    *before = gr_min((int)place, gr_max(count - 2, 0));
    return (float)(place - *before);
}

/* Share of a sample that lies between two positions. */
GR_SAMPLE float gr_share_between(double start, double stop, int index) {
    double low = start > index ? start : index, high = stop < index + 1 ? stop : index + 1;
    return (float)(high > low ? high - low : 0);
}

/* Weights of four neighbours for a position between the middle two: linear, or Keys's cubic with
 * a = -1/2 (R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981). */
GR_SAMPLE void gr_weigh_four(double share, int sharp, float *weights) {
    if (!sharp) {
        weights[0] = weights[3] = 0;
        weights[1] = (float)(1 - share), weights[2] = (float)share;
        return;
    }
    for (int index = 0; index < 4; index++) {
        double d = fabs(share + 1 - index);
        double near = (1.5 * d - 2.5) * d * d + 1, far = ((-0.5 * d + 2.5) * d - 4) * d + 2;
        weights[index] = (float)(d <= 1 ? near : far);
    }
}

/* Return the position of a sample of the result relative to the sample before it, `before`. */
GR_SAMPLE double gr_place_in_part(double start, int index, double scale, int count, int *before) {
    double place = start + (index + 0.5) * scale - 0.5;
    place = place > 0 ? place : 0;
    place = place < count - 1 ? place : count - 1;
    *before = gr_min((int)place, gr_max(count - 2, 0));
    return place - *before;
}

/* Sample of a colour whose luma was moved, and whose difference from luma is scaled. */
GR_SAMPLE uint8_t gr_toned(uint8_t sample, float luma, float moved, float factor) {
    return gr_limited_byte(moved + (sample - luma) * factor + 0.5f);
}

/* Luma-dependent gain of chroma, in 64ths. */
GR_SAMPLE uint8_t gr_scaled_chroma(int chroma, int gain) {
    int16_t scaled = (int16_t)((int16_t)(chroma - 128) * gain + 32);
    return gr_limited((int16_t)((scaled >> 6) + 128));
}

/* A channel of a network's input from three samples: a row of a matrix (3, 4), and the minimum and
 * maximum of the channel. */
GR_SAMPLE float gr_mixed(const float *by, const float *limits, float a, float b, float c) {
    return gr_clampf(by[0] * a + by[1] * b + by[2] * c + by[3], limits[0], limits[1]);
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

/* Sample within a cell, interpolated from two corners above and two below. */
GR_SAMPLE float gr_in_cell(const float *upper, const float *lower, float across, float down) {
    float along = upper[1] - upper[0], drop = lower[0] - upper[0];
    float slant = lower[1] - lower[0] - along;
    return upper[0] + along * across + (drop + slant * across) * down;
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
