/* Resizing of planes and mattes. */
#include "halving.h"

/* Smaller values round to 0 of 255. */
static const float LEAST = 0.4999f / 255;

/* The part of a row, stretched to a width, that is not 0. */
static void find_span(const float *values, int count, int width, int *span) {
    int first = count, last = -1;
    for (int x = 0; x < count; x++)
        if (values[x] >= LEAST) {
            if (first == count) first = x;
            last = x;
        }
    double factor = (double)width / count;
    span[0] = last >= 0 ? gr_max(0, (int)((first - 0.5) * factor) - 1) : width;
    span[1] = last >= 0 ? gr_min(width, (int)((last + 1.5) * factor) + 2) : 0;
}

/* Interpolate along a row to 0..255, plus one half for rounding by truncation. */
static void stretch(const float *restrict values, const uint32_t *restrict left, int step,
                    const float *restrict weight, float *restrict row, int count) {
    for (int x = 0; x < count; x++) {
        float value = values[left[x]];
        value += (values[left[x] + step] - value) * weight[x];
        row[x] = 255.0f * value + 0.5f;
    }
}

static void interpolate(const float *restrict first, const float *restrict second, float share,
                        uint8_t *restrict out, int count) {
    for (int x = 0; x < count; x++) out[x] = gr_byte(first[x] + (second[x] - first[x]) * share);
}

/* Enlarge values (high, wide) in 0..1 to samples (height, width) in 0..255, bilinearly.
 *
 * Sample centres are aligned, edges repeat. Every coarse row is stretched to full width once,
 * and each row of the result is the weighted mean of two of them. Outside the part that rounds
 * to more than 0, which is small in most mattes, zeros are filled in. */
GR_EXPORT int gr_upsample(const float *coarse, int high, int wide, uint8_t *out, int height,
                          int width) {
    uint32_t *left = malloc((size_t)width * sizeof *left);
    float *weight = malloc((size_t)width * 3 * sizeof *weight);
    int(*spans)[2] = malloc((size_t)high * sizeof *spans);
    if (!left || !weight || !spans) {
        free(left), free(weight), free(spans);
        return GR_NO_MEMORY;
    }
    for (int x = 0; x < width; x++) {
        int before;
        weight[x] = gr_placed(x, wide, width, &before);
        left[x] = (uint32_t)before;
    }
    int step = gr_min(1, wide - 1);
    for (int y = 0; y < high; y++) find_span(coarse + (size_t)y * wide, wide, width, spans[y]);
    float *rows[2] = {weight + width, weight + 2 * (size_t)width}; /* even and odd rows */
    int held[2] = {-1, -1};
    for (int y = 0; y < height; y++) {
        int top;
        float share = gr_placed(y, high, height, &top);
        int bottom = gr_min(top + 1, high - 1);
        for (int index = top; index <= bottom; index++) {
            if (held[index & 1] == index) continue;
            held[index & 1] = index;
            int start = width, stop = 0;
            for (int near = gr_max(index - 1, 0); near < gr_min(index + 2, high); near++) {
                start = gr_min(start, spans[near][0]);
                stop = gr_max(stop, spans[near][1]);
            }
            if (start < stop)
                stretch(coarse + (size_t)index * wide, left + start, step, weight + start,
                        rows[index & 1] + start, stop - start);
        }
        int start = gr_min(spans[top][0], spans[bottom][0]);
        int stop = gr_max(gr_max(spans[top][1], spans[bottom][1]), start);
        uint8_t *target = out + (size_t)y * width;
        memset(target, 0, (size_t)start);
        interpolate(rows[top & 1] + start, rows[bottom & 1] + start, share,
                    target + start, stop - start);
        memset(target + stop, 0, (size_t)(width - stop));
    }
    free(left), free(weight), free(spans);
    return GR_OK;
}

/* Take the rounded mean of every 2x2 samples; the last row and column repeat if odd. */
GR_EXPORT int gr_halve(const uint8_t *plane, ptrdiff_t stride, int height, int width, uint8_t *out) {
    int out_width = (width + 1) / 2;
    for (int y = 0; y < (height + 1) / 2; y++) {
        const uint8_t *first = plane + 2 * y * stride;
        const uint8_t *second = plane + gr_min(2 * y + 1, height - 1) * stride;
        uint8_t *target = out + (size_t)y * out_width;
        gr_fetch(first + 2 * stride, (size_t)width);
        gr_fetch(first + 3 * stride, (size_t)width);
        gr_halve_bytes(first, second, width, target);
    }
    return GR_OK;
}

static void add_weighted(const uint8_t *restrict samples, float weight, float *restrict sums,
                         int count) {
    for (int x = 0; x < count; x++) sums[x] += weight * (float)samples[x];
}

/* First and last sample covered by a sample of a smaller row, and their shares. */
typedef struct {
    int first, last;
    float of_first, of_last;
} Covered;

static void find_covered(int count, int width, Covered *covered) {
    double scale = (double)count / width;
    for (int x = 0; x < width; x++) {
        double start = x * scale, stop = (x + 1) * scale;
        int first = (int)start, last = gr_min((int)stop, count - 1);
        covered[x] = (Covered){first, last, gr_share_between(start, stop, first),
                               last > first ? gr_share_between(start, stop, last) : 0};
    }
}

/* Reduce a plane to a smaller grid (height, width) by area means. */
GR_EXPORT int gr_shrink(const uint8_t *plane, ptrdiff_t stride, int high, int wide, float *out,
                        int height, int width) {
    float *sums = malloc((size_t)wide * sizeof *sums);
    Covered *columns = malloc((size_t)width * sizeof *columns);
    if (!sums || !columns) {
        free(sums), free(columns);
        return GR_NO_MEMORY;
    }
    find_covered(wide, width, columns);
    double down = (double)high / height;
    float area = (float)((double)height * width / ((double)high * wide));
    for (int y = 0; y < height; y++) {
        double top = y * down, bottom = (y + 1) * down;
        memset(sums, 0, (size_t)wide * sizeof *sums);
        for (int row = (int)top; row < gr_min((int)bottom + 1, high); row++)
            add_weighted(plane + row * stride, area * gr_share_between(top, bottom, row), sums, wide);
        float *target = out + (size_t)y * width;
        for (int x = 0; x < width; x++) {
            Covered column = columns[x];
            float total = sums[column.first] * column.of_first + sums[column.last] * column.of_last;
            for (int at = column.first + 1; at < column.last; at++) total += sums[at];
            target[x] = total;
        }
    }
    free(sums), free(columns);
    return GR_OK;
}
