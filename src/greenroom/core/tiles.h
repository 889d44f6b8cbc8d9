/* Mattes and pictures in tiles. */
#ifndef GREENROOM_TILES_H
#define GREENROOM_TILES_H

#include "core.h"
#include "kinds.h"
#include "samples.h"

/* Most samples, of a grid no larger than the frame, under a chunk. */
enum { GR_MOST_TAPS = GR_CHUNK + 1 };

/* Position of a frame's samples on the working grid and the half grid.
 *
 * For every row: the row of the working grid above it, the share of the next one, and its row of
 * the half grid. For every chunk: the first of the `taps` columns of the working grid that it is
 * interpolated from, their weights (chunks, taps, GR_CHUNK), and the first and last column of
 * the half grid. */
typedef struct {
    int32_t height, width, low_height, low_width, half_height, half_width, taps;
    const int32_t *row_above;
    const float *row_share;
    const int32_t *row_half;
    const int32_t *chunk_start;
    const float *chunk_weights;
    const int32_t *chunk_halves;
} GrPlaces;

/* A guided matte: float32 on the working grid, and GR_EMPTY, GR_FULL or GR_EDGE on the half grid. */
typedef struct {
    const float *base, *slope, *reference;
    const uint8_t *kinds;
    const GrPlaces *places;
    float noise;
} GrGuide;

/* Defined in another file than the functions that use it, so that compilers do not see
 * constants. */
extern const GrLimits gr_limits;

/* Loops that mix bytes and floats run out of registers: convert to float first, and to bytes
 * last. */
static inline void gr_read(const uint8_t *restrict from, float *restrict to, int count) {
    for (int x = 0; x < count; x++) to[x] = from[x];
}
static inline void gr_write(const float *restrict from, uint8_t *restrict to, int count) {
    for (int x = 0; x < count; x++) to[x] = gr_byte(from[x]);
}

/* Compute the matte of one tile, GR_HIGH rows of GR_WIDE, from the guide and the frame's luma,
 * of which GR_WIDE samples can be read in every row. Rows beyond the frame are not written. */
void gr_tile_coverage(const GrGuide *guide, int x, int y, const uint8_t *luma, ptrdiff_t stride,
                      uint8_t *coverage);

/* A tile of one plane, GR_WIDE samples wide, or of two planes of half that width, which share
 * the coverage and are blended together. All of it can be read and written. `coverage` is
 * contiguous, GR_WIDE / planes samples wide. `maps` (3, map_rows, map_columns) are as in
 * gr_compose, or NULL. */
typedef struct {
    int planes, x, y, rows, side, straight, map_rows, map_columns;
    const uint8_t *coverage, *front[2], *back[2];
    uint8_t *out[2];
    ptrdiff_t front_stride[2], back_stride[2], out_stride[2];
    const float *maps[2];
} GrBlend;

void gr_blend_tile(const GrBlend *tile);

#endif
