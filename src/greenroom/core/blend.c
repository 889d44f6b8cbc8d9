/* Blending of one tile of one or two planes. */
#include "tiles.h"

/* The maps stretched along a row of cells: values at its top edge, and the change to its bottom
 * edge. */
typedef struct {
    float top[3][GR_WIDE], more[3][GR_WIDE];
} Cells;

/* Interpolate samples within one cell between its left and right corners. */
static inline void stretch_within(const float *upper, const float *lower, float phase, float step,
                                  int count, float *restrict top, float *restrict more) {
    float first = upper[0], along = upper[1] - upper[0];
    float drop = lower[0] - upper[0], slant = lower[1] - lower[0] - along;
    for (int k = 0; k < count; k++) {
        float share = phase + step * (float)k;
        top[k] = first + along * share;
        more[k] = drop + slant * share;
    }
}

/* Interpolate the maps of one plane along a row of cells. */
static void stretch(const GrBlend *tile, int plane, int row, Cells *cells) {
    int wide = GR_WIDE / tile->planes, side = tile->side, last = tile->map_columns - 2;
    int first = tile->x / side, start = tile->x - first * side;
    float step = 1.0f / (float)side;
    for (int map = 0; map < 3; map++) {
        size_t line = (size_t)map * tile->map_rows + row;
        const float *upper = tile->maps[plane] + line * tile->map_columns;
        const float *lower = upper + tile->map_columns;
        float *top = cells->top[map] + plane * wide, *more = cells->more[map] + plane * wide;
        int cell = first, phase = start;
        for (int at = 0; at < wide;) {
            int count = gr_min(side - phase, wide - at), left = gr_min(cell, last);
            float share = ((float)phase + 0.5f) * step;
            const float *above = upper + left, *below = lower + left;
            if (count >= GR_CHUNK) {
                count = GR_CHUNK;
                stretch_within(above, below, share, step, GR_CHUNK, top + at, more + at);
            } else {
                stretch_within(above, below, share, step, count, top + at, more + at);
            }
            at += count, phase += count;
            if (phase == side) cell++, phase = 0;
        }
    }
}

static void mix(const uint8_t *restrict front, const uint8_t *restrict back,
                const uint8_t *restrict coverage, const Cells *restrict cells, float down,
                int straight, uint8_t *restrict out) {
    const GrLimits limits = gr_limits;
    float mixture[GR_WIDE], behind[GR_WIDE], covered[GR_WIDE], values[GR_WIDE];
    gr_read(front, mixture, GR_WIDE);
    gr_read(back, behind, GR_WIDE);
    gr_read(coverage, covered, GR_WIDE);
    for (int x = 0; x < GR_WIDE; x++) {
        float person = cells->top[0][x] + cells->more[0][x] * down;
        float room = cells->top[1][x] + cells->more[1][x] * down;
        float doubt = cells->top[2][x] + cells->more[2][x] * down;
        float share = covered[x] * (1.0f / 255.0f);
        values[x] = gr_own_colour(mixture[x], share, person, room, doubt, limits);
    }
    if (straight)
        for (int x = 0; x < GR_WIDE; x++) covered[x] = covered[x] > 0.0f ? 255.0f : 0.0f;
    for (int x = 0; x < GR_WIDE; x++)
        values[x] = gr_over(values[x], behind[x], covered[x] * (1.0f / 255.0f));
    gr_write(values, out, GR_WIDE);
}

static void mix_plain(const uint8_t *restrict front, const uint8_t *restrict back,
                      const uint8_t *restrict coverage, int straight, uint8_t *restrict out) {
    if (straight)
        for (int x = 0; x < GR_WIDE; x++) out[x] = coverage[x] ? front[x] : back[x];
    else
        for (int x = 0; x < GR_WIDE; x++)
            out[x] = (uint8_t)gr_over_bytes(front[x], back[x], coverage[x]);
}

static void mix_row(const GrBlend *tile, const uint8_t *front, const uint8_t *back,
                    const uint8_t *coverage, const Cells *cells, float down, uint8_t *out) {
    if (tile->maps[0])
        mix(front, back, coverage, cells, down, tile->straight, out);
    else
        mix_plain(front, back, coverage, tile->straight, out);
}

/* Return the coverage of the row if it is 0 or 255 throughout, otherwise -1. */
static inline int only(const uint8_t *coverage, int wide) {
    uint64_t first, other, differ = 0;
    memcpy(&first, coverage, sizeof first);
    if (first != 0 && first != UINT64_MAX) return -1;
    for (int x = 8; x < wide; x += 8) {
        memcpy(&other, coverage + x, sizeof other);
        differ |= first ^ other;
    }
    return differ ? -1 : coverage[0];
}

/* Blend a tile; `planes` is a constant, so each case is compiled separately. */
static inline void blend(const GrBlend *tile, int planes) {
    enum { HALF = GR_WIDE / 2 };
    Cells cells;
    int side = tile->maps[0] ? tile->side : 1, held = -1, wide = planes == 1 ? GR_WIDE : HALF;
    int cell = tile->y / side, phase = tile->y - cell * side;
    float step = 1.0f / (float)side;
    for (int y = 0; y < tile->rows; y++, phase++) {
        if (phase == side) cell++, phase = 0;
        const uint8_t *coverage = tile->coverage + y * wide, *front[2], *back[2];
        uint8_t *out[2];
        for (int plane = 0; plane < planes; plane++) {
            front[plane] = tile->front[plane] + y * tile->front_stride[plane];
            back[plane] = tile->back[plane] + y * tile->back_stride[plane];
            out[plane] = tile->out[plane] + y * tile->out_stride[plane];
        }
        int same = only(coverage, wide);
        if (same >= 0) {
            for (int plane = 0; plane < planes; plane++)
                memcpy(out[plane], same ? front[plane] : back[plane], (size_t)wide);
            continue;
        }
        if (tile->maps[0] && cell != held)
            for (int plane = 0; plane < planes; plane++)
                stretch(tile, plane, gr_min(cell, tile->map_rows - 2), &cells);
        held = cell;
        float down = ((float)phase + 0.5f) * step;
        if (planes == 1) {
            mix_row(tile, front[0], back[0], coverage, &cells, down, out[0]);
            continue;
        }
        uint8_t both[4][GR_WIDE];
        for (int plane = 0; plane < planes; plane++) {
            memcpy(both[0] + plane * HALF, front[plane], HALF);
            memcpy(both[1] + plane * HALF, back[plane], HALF);
            memcpy(both[2] + plane * HALF, coverage, HALF);
        }
        mix_row(tile, both[0], both[1], both[2], &cells, down, both[3]);
        for (int plane = 0; plane < planes; plane++)
            memcpy(out[plane], both[3] + plane * HALF, HALF);
    }
}

void gr_blend_tile(const GrBlend *tile) {
    if (tile->planes == 1)
        blend(tile, 1);
    else
        blend(tile, 2);
}
