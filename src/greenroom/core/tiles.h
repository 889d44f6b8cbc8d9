/* Mattes and pictures in tiles: what the tile pass is made of. */
#ifndef GREENROOM_TILES_H
#define GREENROOM_TILES_H

#include "core.h"

/* Samples of the frame in a tile, and how many of a row are computed at a time. Both are known
 * when this is compiled, so that compilers make the loops over them straight lines. */
enum { GR_WIDE = 32, GR_HIGH = 16, GR_CHUNK = 8, GR_CHUNKS = GR_WIDE / GR_CHUNK };
enum { GR_AREA = GR_WIDE * GR_HIGH };
/* What all samples of a tile are: 0, 255, or neither. */
enum { GR_CLEAR = 0, GR_SOLID = 1, GR_SOFT = 2 };
/* What is known of a sample of the half grid; see matting/guided_kernels. */
enum { GR_EMPTY = 0, GR_FULL = 1, GR_EDGE = 2 };
/* A chunk lies on so many samples of a grid at most that is no larger than the frame. */
enum { GR_MOST_TAPS = GR_CHUNK + 1 };

/* Where the samples of a frame lie on the working grid and the half grid.
 *
 * For every row: the one of the working grid above it, the share of the next one, and its row of
 * the half grid. For every chunk: the first of the `taps` columns of the working grid that it is
 * interpolated of, their weights (chunks, taps, GR_CHUNK), and the first and the last column of
 * the half grid.
 */
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

/* Compute the matte of one tile from the guide and the frame's luma, as GR_HIGH rows of GR_WIDE
 * samples. Rows beyond the frame are left as they are. */
void gr_tile_coverage(const GrGuide *guide, int x, int y, const uint8_t *luma, ptrdiff_t stride,
                      uint8_t *coverage);

/* Blend one tile of a plane. `front`, `back` and `coverage` can be read, and `out` written, in
 * whole chunks. `edges` holds the maps (3, map_rows, map_columns) of gr_compose or is NULL. */
typedef struct {
    const uint8_t *front, *back, *coverage;
    uint8_t *out;
    ptrdiff_t front_stride, back_stride, coverage_stride, out_stride;
    const float *maps;
    int map_rows, map_columns, side, straight;
    int x, y, rows, chunks;
} GrBlend;

void gr_blend_tile(const GrBlend *tile);

#endif
