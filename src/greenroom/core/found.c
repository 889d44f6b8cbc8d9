/* A model's answer on the grids: enlarged into its place, halved, and summarised. */
#include "grids.h"
#include "window.h"

/* How a row is interpolated to a longer one, eight samples at a time: each chunk is a weighted
 * sum of `taps` adjacent samples, with weights (taps, 8). Where that would need too many taps,
 * as for a shorter row, or there are too few samples, each sample is interpolated by itself. */
enum { CHUNK = 8 };
static const int TAPS[] = {4, 6, 9, 12};
typedef struct {
    int chunks, taps;
    int32_t *start;
    float *weights;
    int32_t *left;
    float *share;
    int step;
} Stretch;

/* Position of a sample of a row among those of another: the one before it, and the distance from
 * that. */
static int place_of(int at, int count, int length, float *share) {
    double place = (at + 0.5) * count / length - 0.5;
    place = place < 0 ? 0 : place > count - 1 ? count - 1 : place;
    int before = gr_min((int)place, gr_max(count - 2, 0));
    *share = (float)(place - before);
    return before;
}

static void free_stretch(Stretch *stretch) {
    free(stretch->start), free(stretch->weights), free(stretch->left), free(stretch->share);
}

static int make_stretch(Stretch *stretch, int count, int length) {
    int chunks = (length + CHUNK - 1) / CHUNK;
    *stretch = (Stretch){.chunks = chunks, .step = gr_min(1, count - 1)};
    stretch->start = malloc((size_t)chunks * sizeof *stretch->start);
    stretch->left = malloc((size_t)length * sizeof *stretch->left);
    stretch->share = malloc((size_t)length * sizeof *stretch->share);
    if (!stretch->start || !stretch->left || !stretch->share) return 0;
    for (int x = 0; x < length; x++)
        stretch->left[x] = place_of(x, count, length, stretch->share + x);
    for (int chunk = 0; chunk < chunks; chunk++) {
        int last = stretch->left[gr_min((chunk + 1) * CHUNK, length) - 1];
        stretch->taps = gr_max(stretch->taps, last - stretch->left[chunk * CHUNK] + 2);
    }
    size_t kind = 0;
    while (kind < sizeof TAPS / sizeof *TAPS && TAPS[kind] < stretch->taps) kind++;
    if (kind == sizeof TAPS / sizeof *TAPS || TAPS[kind] > count) return 1;
    stretch->taps = TAPS[kind];
    size_t size = (size_t)stretch->taps * CHUNK;
    stretch->weights = calloc((size_t)chunks * size, sizeof *stretch->weights);
    if (!stretch->weights) return 0;
    for (int chunk = 0; chunk < chunks; chunk++)
        stretch->start[chunk] = gr_min(stretch->left[chunk * CHUNK], count - stretch->taps);
    for (int x = 0; x < length; x++) {
        int chunk = x / CHUNK, tap = stretch->left[x] - stretch->start[chunk];
        float *weights = stretch->weights + (size_t)chunk * size + x % CHUNK;
        weights[tap * CHUNK] += 1 - stretch->share[x];
        weights[(tap + stretch->step) * CHUNK] += stretch->share[x];
    }
    return 1;
}

/* With a constant number of taps compilers unroll the loops. */
static inline void stretch_chunks(const Stretch *stretch, const float *restrict row,
                                  float *restrict out, const int taps) {
    const float *restrict weights = stretch->weights;
    for (int chunk = 0; chunk < stretch->chunks; chunk++, weights += taps * CHUNK, out += CHUNK) {
        const float *restrict from = row + stretch->start[chunk];
        for (int k = 0; k < CHUNK; k++) {
            float sum = 0;
            for (int tap = 0; tap < taps; tap++) sum += weights[tap * CHUNK + k] * from[tap];
            out[k] = sum;
        }
    }
}

static void stretch_singly(const float *restrict row, const int32_t *restrict left, int step,
                           const float *restrict share, float *restrict out, int count) {
    for (int x = 0; x < count; x++) {
        float value = row[left[x]];
        out[x] = value + (row[left[x] + step] - value) * share[x];
    }
}

/* The result has room for whole chunks. */
static void stretch_row(const Stretch *stretch, const float *row, float *out, int length) {
    if (!stretch->weights)
        stretch_singly(row, stretch->left, stretch->step, stretch->share, out, length);
    else if (stretch->taps == TAPS[0])
        stretch_chunks(stretch, row, out, TAPS[0]);
    else if (stretch->taps == TAPS[1])
        stretch_chunks(stretch, row, out, TAPS[1]);
    else if (stretch->taps == TAPS[2])
        stretch_chunks(stretch, row, out, TAPS[2]);
    else
        stretch_chunks(stretch, row, out, TAPS[3]);
}

static void interpolate(const float *restrict upper, const float *restrict lower, float share,
                        float *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] = upper[x] + (lower[x] - upper[x]) * share;
}

/* The two rows stretched last, of even and of odd number. */
typedef struct {
    Stretch stretch;
    const float *values;
    int high, wide, height, width;
    float *rows[2];
    int held[2];
} Placing;

static void end_placing(Placing *placing) {
    free_stretch(&placing->stretch), free(placing->rows[0]);
}

/* Begin to enlarge values (high, wide) to a size; 0 without memory. */
static int begin_placing(Placing *placing, const float *values, int high, int wide, int height,
                         int width) {
    *placing = (Placing){{0}, values, high, wide, height, width, {NULL, NULL}, {-1, -1}};
    size_t length = (size_t)(width + CHUNK - 1) / CHUNK * CHUNK; /* whole chunks are written */
    int made = make_stretch(&placing->stretch, wide, width);
    placing->rows[0] = made ? malloc(2 * length * sizeof(float)) : NULL;
    if (!placing->rows[0]) {
        end_placing(placing);
        return 0;
    }
    placing->rows[1] = placing->rows[0] + length;
    return 1;
}

static void place_row(Placing *placing, int y, float *out) {
    float share;
    int top = place_of(y, placing->high, placing->height, &share);
    int bottom = gr_min(top + 1, placing->high - 1);
    for (int index = top; index <= bottom; index++) {
        if (placing->held[index & 1] == index) continue;
        placing->held[index & 1] = index;
        stretch_row(&placing->stretch, placing->values + (size_t)index * placing->wide,
                    placing->rows[index & 1], placing->width);
    }
    interpolate(placing->rows[top & 1], placing->rows[bottom & 1], share, out, placing->width);
}

/* Enlarge values (high, wide) bilinearly into a part (height, width) of a grid, samples' centres
 * aligned, edges repeated. */
GR_EXPORT int gr_place(const float *values, int high, int wide, float *out, ptrdiff_t stride,
                       int height, int width) {
    Placing placing;
    if (!begin_placing(&placing, values, high, wide, height, width)) return GR_NO_MEMORY;
    for (int y = 0; y < height; y++) place_row(&placing, y, out + y * stride);
    end_placing(&placing);
    return GR_OK;
}

/* A working grid that is 0 outside a part (left, top, right, bottom), its half grid, and a
 * summary of the latter. To determine whether the part is full, one sample of every `step` in
 * either direction is checked. */
typedef struct {
    const float *grid;
    int height, width, left, top, right, bottom, step;
    float *half;
    int high, wide, area, somebody, full;
    GrSpan columns, rows;
} Halving;

static Halving begin_halving(const float *grid, int height, int width, const int *part, int step,
                             float *half) {
    Halving halving = {.grid = grid, .height = height, .width = width, .step = step, .half = half};
    halving.left = part[0], halving.top = part[1];
    halving.right = part[2], halving.bottom = part[3];
    halving.high = (height + 1) / 2, halving.wide = (width + 1) / 2;
    halving.full = part[0] < part[2] && part[1] < part[3];
    size_t wide = (size_t)halving.wide;
    int top = part[1] / 2, bottom = gr_max((part[3] + 1) / 2, top);
    memset(half, 0, (size_t)top * wide * sizeof *half);
    memset(half + (size_t)bottom * wide, 0, (size_t)(halving.high - bottom) * wide * sizeof *half);
    return halving;
}

static int is_covered(const float *row, int start, int stop, int step) {
    for (int x = start; x < stop; x += step)
        if (!(row[x] >= GR_SOMEBODY)) return 0;
    return 1;
}

/* Halve two rows of the part; either may lie outside it. */
static void halve_row(Halving *halving, int y) {
    size_t width = (size_t)halving->width;
    const float *one = halving->grid + 2 * (size_t)y * width;
    const float *two = halving->grid + (size_t)gr_min(2 * y + 1, halving->height - 1) * width;
    float *row = halving->half + (size_t)y * halving->wide;
    GrSpan part = {halving->left / 2, (halving->right + 1) / 2};
    gr_fill_outside(row, 0, part, halving->wide);
    gr_halve_row(one, two, part, halving->width, row);
    int count = gr_count(row, GR_SOMEBODY, halving->wide);
    if (count) {
        halving->area += count;
        halving->columns =
            gr_joined(halving->columns, gr_span(row, GR_SOMEBODY, halving->wide));
        halving->rows = gr_joined(halving->rows, (GrSpan){y, y + 1});
    }
    int length = halving->right - halving->left;
    for (int at = 2 * y; at < 2 * y + 2; at++) {
        const float *line = at % 2 ? two : one;
        if (!halving->somebody)
            halving->somebody = gr_count(line + halving->left, GR_SOMEBODY, length) > 0;
        int counts = at >= halving->top && at < halving->bottom;
        if (halving->full && counts && (at - halving->top) % halving->step == 0)
            halving->full = is_covered(line, halving->left, halving->right, halving->step);
    }
}

/* Report the number of samples of the half grid with coverage of one half or more; left, top,
 * right and bottom (exclusive) of their bounding box, 0 without any; whether any sample of the
 * grid is covered by half; and whether all checked samples of the part are. */
static void report_seen(const Halving *halving, int32_t *report) {
    GrSpan columns = halving->columns, rows = halving->rows;
    int32_t seen[] = {halving->area, columns.start,     rows.start,   columns.stop,
                      rows.stop,     halving->somebody, halving->full};
    memcpy(report, seen, sizeof seen);
}

/* Halve a grid (height, width) that is 0 outside a part (left, top, right, bottom), and
 * summarise it: see `report_seen`. All of the half grid is written: the mean of 2x2 samples; the
 * last row and column repeat if odd. */
GR_EXPORT int gr_halve_part(const float *grid, int height, int width, int left, int top, int right,
                            int bottom, int step, float *half, int32_t *report) {
    const int part[] = {left, top, right, bottom};
    Halving halving = begin_halving(grid, height, width, part, step, half);
    for (int y = top / 2; y < (bottom + 1) / 2; y++) halve_row(&halving, y);
    report_seen(&halving, report);
    return GR_OK;
}

/* Enlarge values (high, wide) into a part of a grid, and halve it while it is in the cache. */
GR_EXPORT int gr_put(const float *values, int high, int wide, float *grid, int height, int width,
                     int left, int top, int right, int bottom, int step, float *half,
                     int32_t *report) {
    const int part[] = {left, top, right, bottom};
    Halving halving = begin_halving(grid, height, width, part, step, half);
    if (halving.full) {
        Placing placing;
        if (!begin_placing(&placing, values, high, wide, bottom - top, right - left))
            return GR_NO_MEMORY;
        for (int y = top; y < bottom; y++) {
            place_row(&placing, y - top, grid + (size_t)y * width + left);
            if (y % 2 || y == bottom - 1) halve_row(&halving, y / 2);
        }
        end_placing(&placing);
    } else {
        for (int y = top / 2; y < (bottom + 1) / 2; y++) halve_row(&halving, y);
    }
    report_seen(&halving, report);
    return GR_OK;
}

static void mark(const float *restrict values, float least, uint8_t *restrict mask, int count) {
    for (int x = 0; x < count; x++) mask[x] = values[x] >= least;
}

static void join(const uint8_t *restrict one, const uint8_t *restrict other, uint8_t *restrict both,
                 int count) {
    for (int x = 0; x < count; x++) both[x] = one[x] | other[x];
}

/* Mark and count samples with coverage of one half or more, and mark those that were so in this
 * or the last frame (0 or 1, or NULL). */
GR_EXPORT int gr_know(const float *half, const uint8_t *last, uint8_t *now, uint8_t *either,
                      int count, int32_t *area) {
    mark(half, GR_SOMEBODY, now, count);
    if (last)
        join(now, last, either, count);
    else
        memcpy(either, now, (size_t)count);
    *area = gr_count(half, GR_SOMEBODY, count);
    return GR_OK;
}

static int count_strangers(const uint8_t *restrict found, const uint8_t *restrict near, int count) {
    int strangers = 0;
    for (int x = 0; x < count; x++) strangers += found[x] & (near[x] ^ 1);
    return strangers;
}

/* Count the samples of the half grid with coverage of one half or more, and those of them
 * farther than `reach` from all known ones (0 or 1, or NULL). */
GR_EXPORT int gr_count_found(const float *half, const uint8_t *known, int high, int wide, int reach,
                             int32_t *report) {
    size_t row = (size_t)wide;
    uint8_t *memory = malloc(gr_window_bytes(wide, reach) + 2 * row);
    if (!memory) return GR_NO_MEMORY;
    uint8_t *found = memory + gr_window_bytes(wide, reach), *near = found + row;
    GrWindow window = {0};
    if (known) window = gr_window(known, high, high, wide, reach, memory);
    int area = 0, strangers = 0;
    for (int y = 0; y < high; y++) {
        const float *values = half + (size_t)y * row;
        int count = gr_count(values, GR_SOMEBODY, wide);
        if (known) gr_window_row(&window, y, near);
        area += count;
        if (!count) continue;
        mark(values, GR_SOMEBODY, found, wide);
        strangers += known ? count_strangers(found, near, wide) : count;
    }
    free(memory);
    report[0] = area;
    report[1] = strangers;
    return GR_OK;
}

/* What all of a row's samples from one to another are: 0, 1, or 2 where they are not the same. */
static int all_are(const uint8_t *mask, int start, int stop) {
    if (!memchr(mask + start, 0, (size_t)(stop - start))) return 1;
    return memchr(mask + start, 1, (size_t)(stop - start)) ? 2 : 0;
}

static void as_weights(const uint8_t *restrict mask, float *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] = mask[x];
}

static void weaken(const float *restrict weights, float *restrict row, int count) {
    for (int x = 0; x < count; x++) row[x] *= weights[x];
}

/* Multiply coverage (height, width) by a mask of 0 and 1 on the half grid, enlarged bilinearly.
 * somebody: becomes 1 if one half or more is left anywhere, else 0. */
GR_EXPORT int gr_mask_coverage(const uint8_t *mask, float *grid, int height, int width,
                               int32_t *somebody) {
    enum { CELLS = 16 }; /* at a time: most of a mask is the same far around */
    int high = (height + 1) / 2, wide = (width + 1) / 2;
    size_t row = (size_t)wide;
    float *lines = malloc((5 * row + 2) * sizeof *lines);
    if (!lines) return GR_NO_MEMORY;
    float *one = lines, *other = one + row, *line = other + row, *weights = line + row + 2;
    *somebody = 0;
    for (int y = 0; y < height; y++) {
        const uint8_t *near = mask + (size_t)(y / 2) * row, *far = mask + gr_far(y, high) * row;
        float *samples = grid + (size_t)y * (size_t)width;
        for (int x = 0; x < wide; x += CELLS) {
            GrSpan span = {x, gr_min(x + CELLS, wide)}, read = gr_widened(span, 1, wide);
            int start = 2 * x, count = gr_min(2 * span.stop, width) - start;
            int kind = all_are(near, read.start, read.stop);
            if (kind != 2 && all_are(far, read.start, read.stop) != kind) kind = 2;
            if (kind == 0) memset(samples + start, 0, (size_t)count * sizeof *samples);
            if (kind != 2) continue;
            as_weights(near + read.start, one + read.start, read.stop - read.start);
            as_weights(far + read.start, other + read.start, read.stop - read.start);
            gr_enlarge(one, other, span, wide, line, weights);
            weaken(weights + start, samples + start, count);
        }
        if (!*somebody) *somebody = gr_count(samples, GR_SOMEBODY, width) > 0;
    }
    free(lines);
    return GR_OK;
}
