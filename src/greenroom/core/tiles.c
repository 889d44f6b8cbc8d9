/* The tile pass: computes a full-size matte and the composite, tile by tile. */
#include "halving.h"
#include "tiles.h"

const GrLimits gr_limits = {0.0f, 0.5f, 255.0f, 1.0f};

static void fold(const uint8_t *restrict row, int count, uint8_t *restrict some,
                 uint8_t *restrict every) {
    for (int x = 0; x < count; x++) some[x] |= row[x];
    for (int x = 0; x < count; x++) every[x] &= row[x];
}

/* Sort the tiles of a guided matte: GR_CLEAR or GR_SOLID where all of a tile is certain,
 * otherwise GR_SOFT. `kinds` is on the half grid, `tiles` is ((height + 15) / 16, (width + 31) /
 * 32). `soft` becomes the number of soft tiles. */
GR_EXPORT int gr_sort_tiles(const uint8_t *kinds, const GrPlaces *places, uint8_t *tiles,
                            int32_t *soft) {
    int count = 0, chunks = (places->width + GR_CHUNK - 1) / GR_CHUNK, wide = places->half_width;
    const int32_t *halves = places->chunk_halves;
    uint8_t *some = malloc(2 * (size_t)wide), *every = some + wide;
    if (!some) return GR_NO_MEMORY;
    for (int y = 0; y < places->height; y += GR_HIGH) {
        int row = places->row_half[y];
        int bottom = places->row_half[gr_min(y + GR_HIGH, places->height) - 1];
        memcpy(some, kinds + (size_t)row * wide, (size_t)wide);
        memcpy(every, some, (size_t)wide);
        for (row++; row <= bottom; row++) fold(kinds + (size_t)row * wide, wide, some, every);
        for (int chunk = 0; chunk < chunks; chunk += GR_CHUNKS) {
            int left = halves[2 * chunk], right = halves[2 * gr_min(chunk + GR_CHUNKS, chunks) - 1];
            uint8_t any = some[left], all = every[left];
            for (int column = left + 1; column <= right; column++)
                any |= some[column], all &= every[column];
            int kind = any == GR_EMPTY ? GR_CLEAR : any == all && all == GR_FULL ? GR_SOLID : GR_SOFT;
            count += kind == GR_SOFT;
            *tiles++ = (uint8_t)kind;
        }
    }
    *soft = count;
    free(some);
    return GR_OK;
}

/* Arguments of gr_compose. Strides are those of rows, in samples.
 *
 * With `planes` 0, only the matte is made. With `halved`, the second and third plane have half
 * the width and height, rounded up. The matte comes from one of three places: `values`, of the
 * frame's size; or `tiles` with `soft`, the coverage of the soft tiles one after the other, each
 * GR_HIGH rows of GR_WIDE; with a `guide`, `soft` is computed first, from it and `luma`. `whole`
 * receives the matte at full size, or is NULL.
 *
 * `maps` (planes, 3, map_rows, map_columns) hold the person's colour, the room's, and how much
 * less the room's is to be trusted, above 0, at the corners of cells of `cell` pixels of the
 * frame; if NULL, the frame's own samples are blended. With `straight`, the person's own colour
 * is written wherever there is coverage, without blending.
 *
 * `held` is NULL, or 1 for every tile of `out` that shows the background already, which is not
 * written again. */
typedef struct {
    int32_t height, width, planes, halved, straight, cell, map_rows, map_columns;
    const uint8_t *front[3], *back[3];
    uint8_t *out[3];
    ptrdiff_t front_stride[3], back_stride[3], out_stride[3];
    const float *maps;
    const uint8_t *values;
    ptrdiff_t values_stride;
    const uint8_t *tiles;
    uint8_t *soft;
    const GrGuide *guide;
    const uint8_t *luma;
    ptrdiff_t luma_stride;
    uint8_t *whole;
    ptrdiff_t whole_stride;
    uint8_t *held;
} GrPicture;

/* An area of the frame: a tile or several adjacent ones, up to the edge of the picture. */
typedef struct {
    int x, y, columns, rows;
} Area;

/* The same area in one plane. */
static Area area_in(const GrPicture *picture, int plane, Area area) {
    if (plane == 0 || !picture->halved) return area;
    return (Area){area.x / 2, area.y / 2, (area.columns + 1) / 2, (area.rows + 1) / 2};
}

static void copy_rows(const uint8_t *from, ptrdiff_t from_stride, uint8_t *to, ptrdiff_t to_stride,
                      int columns, int rows) {
    for (int row = 0; row < rows; row++)
        memcpy(to + row * to_stride, from + row * from_stride, (size_t)columns);
}

static void copy_area(const GrPicture *picture, int kind, Area area) {
    for (int plane = 0; plane < picture->planes; plane++) {
        Area part = area_in(picture, plane, area);
        const uint8_t *from = kind == GR_CLEAR ? picture->back[plane] : picture->front[plane];
        ptrdiff_t stride =
            kind == GR_CLEAR ? picture->back_stride[plane] : picture->front_stride[plane];
        ptrdiff_t to = picture->out_stride[plane];
        copy_rows(from + part.y * stride + part.x, stride, picture->out[plane] + part.y * to + part.x,
                  to, part.columns, part.rows);
    }
}

static void fill_whole(const GrPicture *picture, int kind, Area area) {
    if (!picture->whole) return;
    uint8_t *target = picture->whole + area.y * picture->whole_stride + area.x;
    for (int row = 0; row < area.rows; row++)
        memset(target + row * picture->whole_stride, kind == GR_SOLID ? 255 : 0,
               (size_t)area.columns);
}

/* Repeat the last row and column of a tile of odd size, for halving. */
static void repeat_odd(uint8_t *coverage, Area area) {
    if (area.columns % 2)
        for (int row = 0; row < area.rows; row++)
            coverage[row * GR_WIDE + area.columns] = coverage[row * GR_WIDE + area.columns - 1];
    if (area.rows % 2)
        memcpy(coverage + area.rows * GR_WIDE, coverage + (area.rows - 1) * GR_WIDE, GR_WIDE);
}

/* Return the kind of a tile by its coverage. */
static int kind_of(const uint8_t *coverage, ptrdiff_t stride, Area area) {
    uint8_t some = 0, every = 255;
    for (int row = 0; row < area.rows; row++) {
        const uint8_t *line = coverage + row * stride;
        if (area.columns == GR_WIDE)
            for (int x = 0; x < GR_WIDE; x++) some |= line[x], every &= line[x];
        else
            for (int x = 0; x < area.columns; x++) some |= line[x], every &= line[x];
    }
    return some == 0 ? GR_CLEAR : every == 255 ? GR_SOLID : GR_SOFT;
}

/* Halve a tile: the rounded mean of every 2x2 samples. */
static void quarter(const uint8_t *restrict coverage, int rows, uint8_t *restrict out) {
    for (int row = 0; row < rows; row++) {
        const uint8_t *first = coverage + 2 * row * GR_WIDE;
        gr_halve_bytes(first, first + GR_WIDE, GR_WIDE, out + row * (GR_WIDE / 2));
    }
}

/* Blend a tile that extends beyond the picture, in memory of a full tile. */
static void blend_aside(GrBlend *tile, int columns) {
    uint8_t front[2][GR_AREA] = {{0}}, back[2][GR_AREA] = {{0}}, out[2][GR_AREA];
    GrBlend aside = *tile;
    for (int plane = 0; plane < tile->planes; plane++) {
        copy_rows(tile->front[plane], tile->front_stride[plane], front[plane], GR_WIDE, columns,
                  tile->rows);
        copy_rows(tile->back[plane], tile->back_stride[plane], back[plane], GR_WIDE, columns,
                  tile->rows);
        aside.front[plane] = front[plane], aside.back[plane] = back[plane];
        aside.out[plane] = out[plane];
        aside.front_stride[plane] = aside.back_stride[plane] = aside.out_stride[plane] = GR_WIDE;
    }
    gr_blend_tile(&aside);
    for (int plane = 0; plane < tile->planes; plane++)
        copy_rows(out[plane], GR_WIDE, tile->out[plane], tile->out_stride[plane], columns,
                  tile->rows);
}

/* Blend a tile of one plane, or of two. */
static void blend_planes(const GrPicture *picture, int first, int planes, const uint8_t *coverage,
                         Area area) {
    size_t map = (size_t)3 * picture->map_rows * picture->map_columns;
    GrBlend tile = {
        .planes = planes,
        .x = area.x,
        .y = area.y,
        .rows = area.rows,
        .side = picture->cell / planes,
        .straight = picture->straight,
        .map_rows = picture->map_rows,
        .map_columns = picture->map_columns,
        .coverage = coverage,
    };
    for (int at = 0; at < planes; at++) {
        int plane = first + at;
        tile.front_stride[at] = picture->front_stride[plane];
        tile.back_stride[at] = picture->back_stride[plane];
        tile.out_stride[at] = picture->out_stride[plane];
        tile.front[at] = picture->front[plane] + area.y * tile.front_stride[at] + area.x;
        tile.back[at] = picture->back[plane] + area.y * tile.back_stride[at] + area.x;
        tile.out[at] = picture->out[plane] + area.y * tile.out_stride[at] + area.x;
        if (picture->maps) tile.maps[at] = picture->maps + map * plane;
    }
    if (area.columns < GR_WIDE / planes)
        blend_aside(&tile, area.columns);
    else
        gr_blend_tile(&tile);
}

/* Blend all planes of a tile; `coverage` is of GR_WIDE samples in a row. */
static void blend(const GrPicture *picture, const uint8_t *coverage, Area area) {
    uint8_t small[GR_AREA / 4];
    if (!picture->halved) {
        for (int plane = 0; plane < picture->planes; plane++)
            blend_planes(picture, plane, 1, coverage, area);
        return;
    }
    blend_planes(picture, 0, 1, coverage, area);
    quarter(coverage, (area.rows + 1) / 2, small);
    blend_planes(picture, 1, 2, small, area_in(picture, 1, area));
}

/* Compute the coverage of a soft tile. */
static void cover(const GrPicture *picture, Area area, uint8_t *coverage) {
    const uint8_t *luma = picture->luma + area.y * picture->luma_stride + area.x;
    uint8_t aside[GR_AREA] = {0};
    if (area.columns == GR_WIDE) {
        gr_tile_coverage(picture->guide, area.x, area.y, luma, picture->luma_stride, coverage);
        return;
    }
    copy_rows(luma, picture->luma_stride, aside, GR_WIDE, area.columns, area.rows);
    gr_tile_coverage(picture->guide, area.x, area.y, aside, GR_WIDE, coverage);
}

/* Make one soft tile; return its actual kind. */
static int make_soft(const GrPicture *picture, Area area, uint8_t *coverage) {
    if (picture->guide) {
        cover(picture, area, coverage);
        repeat_odd(coverage, area);
    }
    if (picture->whole)
        copy_rows(coverage, GR_WIDE, picture->whole + area.y * picture->whole_stride + area.x,
                  picture->whole_stride, area.columns, area.rows);
    int kind = kind_of(coverage, GR_WIDE, area);
    if (kind == GR_SOFT && picture->planes) blend(picture, coverage, area);
    return kind;
}

/* Sort a row of tiles of a full-size matte. */
static void sort_values(const GrPicture *picture, int y, uint8_t *kinds) {
    for (int x = 0; x < picture->width; x += GR_WIDE) {
        Area area = {x, y, gr_min(GR_WIDE, picture->width - x), gr_min(GR_HIGH, picture->height - y)};
        const uint8_t *coverage = picture->values + y * picture->values_stride + x;
        *kinds++ = (uint8_t)kind_of(coverage, picture->values_stride, area);
    }
}

/* Make a row of tiles; return the number of soft ones. */
static int make_row(const GrPicture *picture, int y, const uint8_t *kinds, uint8_t *soft,
                    uint8_t *held) {
    int count = (picture->width + GR_WIDE - 1) / GR_WIDE, found = 0;
    int rows = gr_min(GR_HIGH, picture->height - y);
    for (int at = 0; at < count;) {
        int first = at, kind = kinds[at], x = at * GR_WIDE;
        if (kind == GR_SOFT) {
            uint8_t aside[GR_AREA], *coverage = picture->values ? aside : soft + (size_t)found * GR_AREA;
            Area area = {x, y, gr_min(GR_WIDE, picture->width - x), rows};
            if (picture->values) {
                copy_rows(picture->values + y * picture->values_stride + x, picture->values_stride,
                          aside, GR_WIDE, area.columns, rows);
                if (area.columns < GR_WIDE)
                    for (int row = 0; row < rows; row++)
                        memset(aside + row * GR_WIDE + area.columns, 0, (size_t)(GR_WIDE - area.columns));
                repeat_odd(aside, area);
            }
            kind = make_soft(picture, area, coverage);
            if (kind != GR_SOFT && !(kind == GR_CLEAR && held && held[at]))
                copy_area(picture, kind, area);
            if (held) held[at] = kind == GR_CLEAR;
            found++, at++;
            continue;
        }
        int is_held = kind == GR_CLEAR && held && held[at];
        while (at < count && kinds[at] == kind &&
               is_held == (kind == GR_CLEAR && held && held[at]))
            at++;
        Area area = {x, y, gr_min(at * GR_WIDE, picture->width) - x, rows};
        fill_whole(picture, kind, area);
        if (is_held) continue;
        copy_area(picture, kind, area);
        if (held) memset(held + first, kind == GR_CLEAR, (size_t)(at - first));
    }
    return found;
}

/* Make a picture; see GrPicture. */
GR_EXPORT int gr_compose(const GrPicture *picture) {
    int count = (picture->width + GR_WIDE - 1) / GR_WIDE;
    const uint8_t *kinds = picture->tiles;
    uint8_t *soft = picture->soft, *held = picture->held, *sorted = NULL;
    if (picture->values && !(sorted = malloc((size_t)count))) return GR_NO_MEMORY;
    for (int y = 0; y < picture->height; y += GR_HIGH) {
        if (sorted) sort_values(picture, y, sorted);
        soft += (size_t)make_row(picture, y, sorted ? sorted : kinds, soft, held) * GR_AREA;
        if (kinds) kinds += count;
        if (held) held += count;
    }
    free(sorted);
    return GR_OK;
}
