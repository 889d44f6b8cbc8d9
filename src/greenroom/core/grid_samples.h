/* Arithmetic of single samples of the small grids; see guided.c and settle.c. */
#ifndef GREENROOM_GRID_SAMPLES_H
#define GREENROOM_GRID_SAMPLES_H

#include "kinds.h"
#include "samples.h"

/* Coverage below this is treated as zero, as in `greenroom.media.matte`: fading values would become
 * denormal numbers. */
#define GR_NOTHING 0x1p-20f
/* Coverage from which a sample is somebody's. */
#define GR_SOMEBODY 0.5f

/* The row or column that mirrors one just outside a picture. */
GR_SAMPLE int gr_mirrored(int y, int height) {
    return y < 0 ? gr_min(1, height - 1) : y < height ? y : gr_max(height - 2, 0);
}

/* The neighbour, on the half grid, of a row or column of the working grid. */
GR_SAMPLE int gr_far(int y, int high) {
    return gr_min(gr_max(y % 2 ? y / 2 + 1 : y / 2 - 1, 0), high - 1);
}

/* Slope of a linear model from a guide to a matte, by the means of both in a window, of their
 * product and of the guide's square. */
GR_SAMPLE float gr_slope(float guide, float matte, float both, float square, float flat) {
    return (both - guide * matte) / (square - guide * guide + flat);
}

/* Kind of a sample whose model is known: whether it is `low` or less, or `high` or more, whatever
 * the guide is in 0 to `guides`. */
GR_SAMPLE int gr_model_kind(float slope, float offset, float guides, float low, float high) {
    float least = offset + gr_minf(guides * slope, 0), most = offset + gr_maxf(guides * slope, 0);
    int kind = least >= high ? GR_FULL : GR_EDGE;
    return most <= low ? GR_EMPTY : kind;
}

/* Matte by a model at a level of the guide, steeper around the middle. */
GR_SAMPLE float gr_modelled(float slope, float offset, float level, float middle, float gain) {
    return (slope * level + offset - middle) * gain + 0.5f;
}

/* How much the picture moves, 0 to 1, where luma changed by so much. */
GR_SAMPLE float gr_moving(float change, float scale, GrLimits limits) {
    return gr_clampf(change * scale - 1, limits.none, limits.all);
}

/* Share of the way to the new value after so many still frames: 1/n, down to a smallest one. */
GR_SAMPLE float gr_share(float age, float moving, float least) {
    return gr_maxf(gr_maxf(1 / age, moving), least);
}

/* Shares are whole numbers until they reach the working grid: in units of this on the half grid,
 * and of a quarter of it after enlargement. */
enum { GR_ALL_HALF = 8191, GR_ALL = 4 * GR_ALL_HALF };

GR_SAMPLE int16_t gr_whole_share(float share, GrLimits limits) {
    return (int16_t)(int32_t)(gr_clampf(share, limits.none, limits.all) * GR_ALL_HALF + 0.5f);
}
GR_SAMPLE int16_t gr_share_between_rows(int16_t near, int16_t far) {
    uint16_t sum = (uint16_t)(3 * near + far + 2);
    return (int16_t)(sum >> 2);
}

/* The picture, in 128ths of a level, after its share of the way to the new one. */
GR_SAMPLE int16_t gr_approached(int16_t reference, uint8_t luma, int16_t share) {
    int16_t step = (int16_t)((luma << 7) - reference);
    int16_t way = (int16_t)(((((int32_t)step * share) >> 14) + 1) >> 1);
    return (int16_t)(reference + way);
}

/* The steadied matte after its share of the way to what was found; NaN becomes 0. */
GR_SAMPLE float gr_steadied(float steady, float found, int16_t share) {
    float moved = steady + share * (1.0f / GR_ALL) * (found - steady);
    return moved > GR_NOTHING ? moved : 0;
}

/* The model's coverage, combined with the evidence's probability by Bayes' rule. */
GR_SAMPLE float gr_combined(float value, float odds) {
    float person = value * odds;
    return person / (person + (1 - value) * (1 - odds));
}

#endif
