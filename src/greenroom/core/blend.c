/* One tile of one plane, blended. */
#include "samples.h"
#include "tiles.h"

/* Maps in a row of cells: at its top, and how much more at its bottom. */
typedef struct {
    float top[3][GR_WIDE], more[3][GR_WIDE];
} Cells;

/* Interpolate between two corners of a cell, for samples that all lie in it. */
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

static void stretch(const GrBlend *tile, int row, Cells *cells) {
    int side = tile->side, wide = tile->chunks * GR_CHUNK, last = tile->map_columns - 2;
    float step = 1.0f / (float)side;
    for (int map = 0; map < 3; map++) {
        const float *upper = tile->maps + ((size_t)map * tile->map_rows + row) * tile->map_columns;
        const float *lower = upper + tile->map_columns;
        float *top = cells->top[map], *more = cells->more[map];
        int cell = tile->x / side, phase = tile->x - cell * side;
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

static inline void mix(const uint8_t *restrict front, const uint8_t *restrict back,
                       const uint8_t *restrict coverage, const float *restrict top,
                       const float *restrict more, float down, int straight,
                       uint8_t *restrict out) {
    for (int k = 0; k < GR_CHUNK; k++) {
        float person = top[k] + more[k] * down;
        float room = top[k + GR_WIDE] + more[k + GR_WIDE] * down;
        float doubt = top[k + 2 * GR_WIDE] + more[k + 2 * GR_WIDE] * down;
        float share = (float)coverage[k] * (1.0f / 255.0f);
        float own = gr_own_colour(front[k], share, person, room, doubt);
        if (straight) share = share > 0.0f ? 1.0f : 0.0f;
        out[k] = gr_byte(gr_over(own, back[k], share));
    }
}

static inline void mix_plain(const uint8_t *restrict front, const uint8_t *restrict back,
                             const uint8_t *restrict coverage, uint8_t *restrict out) {
    for (int k = 0; k < GR_CHUNK; k++)
        out[k] = (uint8_t)gr_over_bytes(front[k], back[k], coverage[k]);
}

static void take(const uint8_t *restrict front, const uint8_t *restrict back,
                 const uint8_t *restrict coverage, uint8_t *restrict out) {
    for (int k = 0; k < GR_CHUNK; k++) out[k] = coverage[k] ? front[k] : back[k];
}

void gr_blend_tile(const GrBlend *tile) {
    Cells cells;
    int held = -1;
    for (int row = 0; row < tile->rows; row++) {
        int cell = 0;
        float down = 0;
        if (tile->maps) {
            cell = gr_min((tile->y + row) / tile->side, tile->map_rows - 2);
            down = ((float)(tile->y + row - cell * tile->side) + 0.5f) / (float)tile->side;
            if (cell != held) stretch(tile, cell, &cells);
            held = cell;
        }
        for (int at = 0; at < tile->chunks * GR_CHUNK; at += GR_CHUNK) {
            const uint8_t *front = tile->front + row * tile->front_stride + at;
            const uint8_t *back = tile->back + row * tile->back_stride + at;
            const uint8_t *coverage = tile->coverage + row * tile->coverage_stride + at;
            uint8_t *out = tile->out + row * tile->out_stride + at;
            const float *top = cells.top[0] + at, *more = cells.more[0] + at;
            uint64_t bits;
            memcpy(&bits, coverage, GR_CHUNK);
            if (bits == 0)
                memcpy(out, back, GR_CHUNK);
            else if (bits == UINT64_MAX)
                memcpy(out, front, GR_CHUNK);
            else if (tile->maps && tile->straight)
                mix(front, back, coverage, top, more, down, 1, out);
            else if (tile->maps)
                mix(front, back, coverage, top, more, down, 0, out);
            else if (tile->straight)
                take(front, back, coverage, out);
            else
                mix_plain(front, back, coverage, out);
        }
    }
}
