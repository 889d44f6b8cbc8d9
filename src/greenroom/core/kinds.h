/* Tiles and chunks of a frame, and their kinds. */
#ifndef GREENROOM_KINDS_H
#define GREENROOM_KINDS_H

/* Size of a tile in samples of the frame, and the samples of a row computed at a time. Both are
 * constants, so that compilers unroll the loops. */
enum { GR_WIDE = 32, GR_HIGH = 16, GR_CHUNK = 8, GR_CHUNKS = GR_WIDE / GR_CHUNK };
enum { GR_AREA = GR_WIDE * GR_HIGH };
/* Kind of a tile: all 0, all 255, or neither. */
enum { GR_CLEAR = 0, GR_SOLID = 1, GR_SOFT = 2 };
/* Kind of a sample of the half grid; see matting/guided_kernels. */
enum { GR_EMPTY = 0, GR_FULL = 1, GR_EDGE = 2 };

#endif
