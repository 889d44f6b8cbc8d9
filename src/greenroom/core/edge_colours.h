/* Arithmetic of the colours beside a soft edge; see edges.c. */
#ifndef GREENROOM_EDGE_COLOURS_H
#define GREENROOM_EDGE_COLOURS_H

#include "scalars.h"

/* Weights of the wider neighbourhood and of the whole picture relative to the near one, in
 * certain samples. */
#define GR_WIDER 0.8f
#define GR_WHOLE 0.02f
/* Colour, and its small weight, where the picture has no person or no room at all. */
#define GR_MIDDLE 128.0f
#define GR_SOME 1e-3f
/* Variance of a camera's noise after compression, in squared 8-bit levels. */
#define GR_NOISE 20.0f
/* Limits of the ratio of trust in both sides: below the smaller one, noise would be amplified
 * where coverage is low. */
#define GR_LEAST_DOUBT 0.1f
#define GR_MOST_DOUBT 8.0f

/* Certainty that a sample of a coverage of 0 to 255 belongs to a side, 0 the person's or 1 the
 * room's: the eighth power of its share. */
GR_SAMPLE float gr_certainty(float coverage, int side) {
    float share = coverage * (1.0f / 255.0f);
    share = side ? 1.0f - share : share;
    share *= share, share *= share;
    return share * share;
}

/* What a channel of the whole picture adds to the wider neighbourhood, or its squares. */
GR_SAMPLE float gr_rest(float total, float weights, int is_square) {
    float middle = is_square ? GR_MIDDLE * GR_MIDDLE : GR_MIDDLE;
    return GR_WHOLE * (total + GR_SOME * middle) / (weights + GR_SOME);
}

/* Mean near a corner, with that of a wider neighbourhood where few samples are near. */
GR_SAMPLE float gr_mean_beside(float near, float far, float near_inverse, float far_inverse,
                               float rest) {
    return (near + GR_WIDER * ((far + rest) * far_inverse)) * near_inverse;
}

/* Ratio of the room's variance to the person's, from means and means of squares. */
GR_SAMPLE float gr_doubt(float person, float person_squares, float room, float room_squares) {
    float varied = gr_maxf(room_squares - room * room, 0.0f) + GR_NOISE;
    float plain = gr_maxf(person_squares - person * person, 0.0f) + GR_NOISE;
    return gr_clampf(varied / plain, GR_LEAST_DOUBT, GR_MOST_DOUBT);
}

#endif
