/* Full-size mattes and composites; as core/coverage.c, core/blend.c and core/planes.c. */
#include "kernel.cuh"
#include "kinds.h"

/* Kind of all samples of the half grid under a chunk of a row of the frame. */
GR_SAMPLE int gr_chunk_kind(const uint8_t *line, int chunk, int wide, int width) {
    int start = chunk * GR_CHUNK, stop = gr_min(start + GR_CHUNK, width) - 1;
    int left = (int)((int64_t)start * wide / width), right = (int)((int64_t)stop * wide / width);
    int kind = line[left];
    for (int column = left + 1; column <= right; column++)
        if (line[column] != kind) return GR_EDGE;
    return kind;
}

/* Compute the matte of a frame (height, width) by a guided filter: base, slope and reference
 * (low_height, low_width) on the working grid, kinds on the half grid; see gr_tile_coverage. */
GR_KERNEL(guided_matte)(const float *base, const float *slope, const float *reference,
                        int low_height, int low_width, const uint8_t *kinds, int half_height,
                        int half_width, const uint8_t *luma, ptrdiff_t stride, float noise,
                        uint8_t *out, int height, int width) {
    GR_WITHIN(width, height)
    const uint8_t *line = kinds + (ptrdiff_t)((int64_t)y * half_height / height) * half_width;
    int kind = gr_chunk_kind(line, x / GR_CHUNK, half_width, width);
    uint8_t coverage = kind == GR_FULL ? 255 : 0;
    if (kind == GR_EDGE) {
        float values[3];
        const float *maps[3] = {base, slope, reference};
        for (int map = 0; map < 3; map++)
            values[map] = gr_bilinear(maps[map], low_height, low_width, x, y, height, width);
        coverage = gr_byte(gr_guided(values[0], values[1], values[2], luma[y * stride + x], noise,
                                     gr_numbers()));
    }
    out[(ptrdiff_t)y * width + x] = coverage;
}

/* Convert coverage from 0..1, which may be exceeded, to bytes. */
GR_KERNEL(coverage_bytes)(const float *values, int count, uint8_t *out) {
    GR_WITHIN(count, 1)
    out[x] = gr_byte(gr_within(255.0f * values[x] + 0.5f, 0.5f, 255.0f));
}

/* A map of edge colours within its cells of `side` samples. */
GR_SAMPLE float gr_in_cells(const float *map, int rows, int columns, int x, int y, int side) {
    float step = 1.0f / (float)side;
    float across = ((float)(x % side) + 0.5f) * step, down = ((float)(y % side) + 0.5f) * step;
    const float *upper =
        map + (ptrdiff_t)gr_min(y / side, rows - 2) * columns + gr_min(x / side, columns - 2);
    return gr_in_cell(upper, upper + columns, across, down);
}

/* Blend one plane through its coverage, with the person's own colours where `maps` (3, map_rows,
 * map_columns) are given; see gr_compose. */
GR_KERNEL(blend)(const uint8_t *front, ptrdiff_t front_stride, const uint8_t *back,
                 ptrdiff_t back_stride, const uint8_t *coverage, const float *maps, int map_rows,
                 int map_columns, int side, int straight, uint8_t *out, ptrdiff_t out_stride,
                 int height, int width) {
    GR_WITHIN(width, height)
    uint8_t cover = coverage[(ptrdiff_t)y * width + x], behind = back[y * back_stride + x];
    uint8_t own = front[y * front_stride + x], *target = out + y * out_stride + x;
    if (cover == 0) *target = behind;
    else if (cover == 255) *target = own;
    else if (!maps) *target = straight ? own : (uint8_t)gr_over_bytes(own, behind, cover);
    else {
        ptrdiff_t size = (ptrdiff_t)map_rows * map_columns;
        float share = cover * (1.0f / 255.0f);
        float person = gr_in_cells(maps, map_rows, map_columns, x, y, side);
        float room = gr_in_cells(maps + size, map_rows, map_columns, x, y, side);
        float doubt = gr_in_cells(maps + 2 * size, map_rows, map_columns, x, y, side);
        float colour = gr_own_colour(own, share, person, room, doubt, gr_numbers());
        *target = gr_byte(gr_over(colour, behind, straight ? 1.0f : share));
    }
}

/* Blend two planes by coverage, which is contiguous; see gr_over_plane. */
GR_KERNEL(over_plane)(const uint8_t *front, ptrdiff_t front_stride, const uint8_t *back,
                      ptrdiff_t back_stride, const uint8_t *coverage, uint8_t *out,
                      ptrdiff_t out_stride, int height, int width) {
    GR_WITHIN(width, height)
    out[y * out_stride + x] =
        (uint8_t)gr_over_bytes(front[y * front_stride + x], back[y * back_stride + x],
                               coverage[(ptrdiff_t)y * width + x]);
}

/* Move the person in a composite toward the light by a weight, in place; see gr_spill. */
GR_KERNEL(spill)(const float *light, const float *weight, int high, int wide, const uint8_t *back,
                 ptrdiff_t back_stride, const uint8_t *coverage, int only_lighter, uint8_t *out,
                 ptrdiff_t out_stride, int height, int width) {
    GR_WITHIN(width, height)
    uint8_t cover = coverage[(ptrdiff_t)y * width + x], *target = out + y * out_stride + x;
    if (!cover) return;
    float bright = gr_bilinear(light, high, wide, x, y, height, width);
    float part = gr_bilinear(weight, high, wide, x, y, height, width);
    float share = (float)cover * (1.0f / 255.0f), least = only_lighter ? 0.0f : -255.0f;
    *target = gr_limited_byte(
        gr_lit(*target, bright, part, back[y * back_stride + x], share, least));
}

/* Multiply a matte by weights of the same size, both 0 to 255. */
GR_KERNEL(multiply)(const uint8_t *one, const uint8_t *other, uint8_t *out, int count) {
    GR_WITHIN(count, 1)
    out[x] = (uint8_t)gr_over_bytes(one[x], 0, other[x]);
}
