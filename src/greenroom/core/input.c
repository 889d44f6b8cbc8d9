/* Planes resized by tables of weights, separately or as a network's input. */
#include "tiles.h"

/* A table: number of taps, `count` of results, the first sample of each, and the weights (taps,
 * count). In memory these follow each other as 32-bit numbers. */
typedef struct {
    int taps, count;
    const int32_t *starts;
    const float *weights;
} Table;

static Table table_of(const int32_t *memory) {
    int taps = memory[0], count = memory[1];
    return (Table){taps, count, memory + 2, (const float *)(const void *)(memory + 2 + count)};
}

typedef struct {
    const uint8_t *samples;
    ptrdiff_t stride;
    int width;
    Table down, across;
} Source;

/* For the usual numbers of taps their loops are unrolled, so that those along a row are
 * vectorised. */
#define GR_UNROLLED(taps, call) \
    switch (taps) {             \
    case 4: call(4); break;     \
    case 6: call(6); break;     \
    case 8: call(8); break;     \
    default: call(taps);        \
    }

static inline void add_rows(const uint8_t *restrict samples, ptrdiff_t stride,
                            const float *restrict weights, int taps, int width,
                            float *restrict line) {
    for (int x = 0; x < width; x++) {
        float sum = 0;
        for (int tap = 0; tap < taps; tap++) sum += weights[tap] * samples[tap * stride + x];
        line[x] = sum;
    }
}

static inline void add_samples(const float *restrict line, const int32_t *restrict starts,
                               const float *restrict weights, int taps, int count,
                               float *restrict row) {
    for (int x = 0; x < count; x++) {
        const float *from = line + starts[x];
        float sum = 0;
        for (int tap = 0; tap < taps; tap++) sum += weights[tap * count + x] * from[tap];
        row[x] = sum;
    }
}

/* Compute one row of the result, not yet clamped to 0..255. */
static void make_row(const Source *source, int y, float *line, float *weights, float *row) {
    const Table *down = &source->down, *across = &source->across;
    const uint8_t *from = source->samples + down->starts[y] * source->stride;
    for (int tap = 0; tap < down->taps; tap++)
        weights[tap] = down->weights[(ptrdiff_t)tap * down->count + y];
#define GR_CALL(taps) add_rows(from, source->stride, weights, taps, source->width, line)
    GR_UNROLLED(down->taps, GR_CALL)
#undef GR_CALL
#define GR_CALL(taps) \
    add_samples(line, across->starts, across->weights, taps, across->count, row)
    GR_UNROLLED(across->taps, GR_CALL)
#undef GR_CALL
}

static void round_row(const float *restrict row, int count, uint8_t *restrict out) {
    const float none = gr_limits.none, full = gr_limits.full;
    for (int x = 0; x < count; x++) out[x] = gr_byte(gr_clampf(row[x], none, full) + 0.5f);
}

/* Resize a plane by two tables, to as many rows and columns as these have; out is contiguous. */
GR_EXPORT int gr_resize(const uint8_t *plane, ptrdiff_t stride, int width, const int32_t *down,
                        const int32_t *across, uint8_t *out) {
    Source source = {plane, stride, width, table_of(down), table_of(across)};
    int height = source.down.count, count = source.across.count;
    float *line = malloc(((size_t)width + source.down.taps + count) * sizeof *line);
    if (!line) return GR_NO_MEMORY;
    float *weights = line + width, *row = weights + source.down.taps;
    for (int y = 0; y < height; y++) {
        make_row(&source, y, line, weights, row);
        round_row(row, count, out + (size_t)y * count);
    }
    free(line);
    return GR_OK;
}

static void mix_row(const float *restrict rows, int count, const float *restrict matrix,
                    const float *restrict limits, float *restrict out) {
    const float none = gr_limits.none, full = gr_limits.full;
    for (int x = 0; x < count; x++) {
        float a = gr_clampf(rows[x], none, full), b = gr_clampf(rows[count + x], none, full);
        float c = gr_clampf(rows[2 * count + x], none, full);
        for (int channel = 0; channel < 3; channel++)
            out[3 * x + channel] = gr_mixed(matrix + 4 * channel, limits + 2 * channel, a, b, c);
    }
}

/* Fill a network's input (h, w, 3) from three planes, each resized by two tables of its own.
 *
 * matrix (3, 4): maps their samples, and 1, to the channels. limits (3, 2): minimum and maximum
 * of each channel. */
GR_EXPORT int gr_fill(const uint8_t *first, ptrdiff_t first_stride, int first_width,
                      const int32_t *first_down, const int32_t *first_across,
                      const uint8_t *second, ptrdiff_t second_stride, int second_width,
                      const int32_t *second_down, const int32_t *second_across,
                      const uint8_t *third, ptrdiff_t third_stride, int third_width,
                      const int32_t *third_down, const int32_t *third_across,
                      const float *matrix, const float *limits, float *out) {
    Source sources[] = {
        {first, first_stride, first_width, table_of(first_down), table_of(first_across)},
        {second, second_stride, second_width, table_of(second_down), table_of(second_across)},
        {third, third_stride, third_width, table_of(third_down), table_of(third_across)},
    };
    int height = sources[0].down.count, count = sources[0].across.count, width = 0, taps = 0;
    for (int plane = 0; plane < 3; plane++) {
        width = gr_max(width, sources[plane].width);
        taps = gr_max(taps, sources[plane].down.taps);
    }
    float *line = malloc(((size_t)width + taps + 3 * (size_t)count) * sizeof *line);
    if (!line) return GR_NO_MEMORY;
    float *weights = line + width, *rows = weights + taps;
    for (int y = 0; y < height; y++) {
        for (int plane = 0; plane < 3; plane++)
            make_row(sources + plane, y, line, weights, rows + plane * (ptrdiff_t)count);
        mix_row(rows, count, matrix, limits, out + 3 * (size_t)y * count);
    }
    free(line);
    return GR_OK;
}
