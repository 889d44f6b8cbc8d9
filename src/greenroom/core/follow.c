/* Following: moves a matte from one frame to the next.
 *
 * The motion is that of the foreground near its edge, by least squares on the gradients of the
 * planes (B. D. Lucas and T. Kanade, "An Iterative Image Registration Technique with an
 * Application to Stereo Vision", IJCAI 1981). Samples are weighted by coverage, as the
 * background does not move along. All works on cells of 4x4 samples of the half grid, which are
 * 8x8 of the working grid, and only on those near an edge. */
#include "core.h"

#include <math.h>

enum { ROUNDS = 2, CELL = 4, SAMPLES = CELL * CELL, FULL = 2 * CELL };
enum { SOFT = 1, EDGE = 2 }; /* contents of a cell, or of its neighbours */

/* Smallest range of coverage in a cell that is not flat. */
static const float FLAT = 1.0f / 64;
/* Weight of samples without coverage. */
static const float LEAST_WEIGHT = 0.1f;
/* Noise in the squared gradient; gradients are four times the slope. */
static const float NOISE = 32.0f;
/* The same, as a share of the gradient in both directions: along a straight edge motion cannot
 * be seen. */
static const float BLIND = 0.1f;
/* Longest step of one round, in samples of the half grid. */
static const float FARTHEST = 2.0f;
/* A shorter motion counts as none, in samples of the half grid. */
static const float UNMOVED = 1.0f / 64;

/* A cell near the edge: its position, weighted gradients, equations, motion since the previous
 * frame in samples of the half grid, and next step. */
typedef struct {
    int top, left; /* on the half grid */
    size_t place;  /* in the maps */
    float down[SAMPLES], across[SAMPLES];
    float yy, xy, xx, y, x, weight;
    float moved_y, moved_x, step_y, step_x;
} Cell;

typedef struct {
    const uint8_t *before, *now;
    float *coarse;
    int high, wide, height, width; /* of the half grid and of the working grid */
    int rows, columns, line;       /* of the cells, and of the maps, which have a border of one */
    uint8_t *kinds, *marks;        /* of the cells, and of those and all beside them */
    int32_t *numbers;
    Cell *cells;
    int count;
} Scene;

static size_t place_of(const Scene *scene, int row, int column) {
    return (size_t)(row + 1) * scene->line + column + 1;
}

static void widen(float *restrict low, float *restrict high, const float *restrict values, int count) {
    for (int x = 0; x < count; x++) {
        low[x] = gr_minf(values[x], low[x]);
        high[x] = gr_maxf(values[x], high[x]);
    }
}

static void pair(const float *restrict low, const float *restrict high, float *restrict lower,
                 float *restrict higher, int count) {
    for (int x = 0; x < count; x++) {
        lower[x] = gr_minf(low[2 * x], low[2 * x + 1]);
        higher[x] = gr_maxf(high[2 * x], high[2 * x + 1]);
    }
}

static void classify(const float *restrict low, const float *restrict high, uint8_t *restrict kinds,
                     int count) {
    for (int x = 0; x < count; x++) {
        int is_edge = (low[x] < 0.5f) & (high[x] >= 0.5f);
        kinds[x] = (uint8_t)((high[x] - low[x] > FLAT) * SOFT | is_edge * (SOFT | EDGE));
    }
}

/* Mark the cells with an edge, and those of varying coverage. `room` holds four rows of cells. */
static void survey(const Scene *scene, float *room) {
    int width = scene->width, full = scene->columns * FULL;
    float *low = room, *high = room + full, *lower = high + full, *higher = lower + full;
    for (int row = 0; row < scene->rows; row++) {
        int top = row * FULL, bottom = gr_min(top + FULL, scene->height);
        const float *first = scene->coarse + (size_t)top * width;
        memcpy(low, first, (size_t)width * sizeof *low);
        memcpy(high, first, (size_t)width * sizeof *high);
        for (int y = top + 1; y < bottom; y++)
            widen(low, high, scene->coarse + (size_t)y * width, width);
        for (int x = width; x < full; x++) low[x] = low[width - 1], high[x] = high[width - 1];
        pair(low, high, lower, higher, full / 2);
        pair(lower, higher, low, high, full / 4);
        pair(low, high, lower, higher, full / 8);
        classify(lower, higher, scene->kinds + place_of(scene, row, 0), scene->columns);
    }
}

/* Mark the neighbours of these cells, too; return the number of all. `room` holds a row. */
static int mark(const Scene *scene, uint8_t *restrict room) {
    int count = 0, line = scene->line;
    for (int row = 0; row < scene->rows; row++) {
        const uint8_t *middle = scene->kinds + (size_t)line * (row + 1);
        for (int x = 0; x < line; x++) room[x] = middle[x - line] | middle[x] | middle[x + line];
        uint8_t *restrict marks = scene->marks + place_of(scene, row, 0);
        for (int x = 0; x < scene->columns; x++) {
            marks[x] = room[x] | room[x + 1] | room[x + 2];
            count += marks[x] != 0;
        }
    }
    return count;
}

/* List the marked cells. */
static void list(Scene *scene) {
    for (int row = 0; row < scene->rows; row++)
        for (int column = 0; column < scene->columns; column++) {
            size_t place = place_of(scene, row, column);
            if (!scene->marks[place]) continue;
            Cell *cell = scene->cells + scene->count;
            cell->top = row * CELL, cell->left = column * CELL, cell->place = place;
            scene->numbers[place] = ++scene->count;
        }
}

/* Return the cell at an offset from another one; NULL if it is not near the edge. */
static const Cell *beside(const Scene *scene, size_t place, int rows, int columns) {
    ptrdiff_t at = (ptrdiff_t)place + (ptrdiff_t)rows * scene->line + columns;
    int number = scene->numbers[at];
    return number ? scene->cells + number - 1 : NULL;
}

/* Copy 6x8 samples; beyond the border the outermost repeat. */
static void fetch_block(const uint8_t *plane, int high, int wide, int top, int left,
                        uint8_t block[6][8]) {
    int is_inside = top >= 0 && left >= 0 && top + 6 <= high && left + 8 <= wide;
    for (int y = 0; y < 6; y++) {
        const uint8_t *row = plane + (size_t)gr_max(0, gr_min(top + y, high - 1)) * wide;
        if (is_inside)
            memcpy(block[y], row + left, 8);
        else
            for (int x = 0; x < 8; x++) block[y][x] = row[gr_max(0, gr_min(left + x, wide - 1))];
    }
}

/* Weigh the samples of a cell: their coverage, plus LEAST_WEIGHT. */
static void weigh(const Scene *scene, const Cell *cell, float *weights) {
    for (int y = 0; y < CELL; y++) {
        int upper = gr_min(2 * (cell->top + y), scene->height - 1);
        const float *first = scene->coarse + (size_t)upper * scene->width;
        const float *second = first + (upper + 1 < scene->height ? scene->width : 0);
        for (int x = 0; x < CELL; x++) {
            int near = gr_min(2 * (cell->left + x), scene->width - 1);
            int far = gr_min(near + 1, scene->width - 1);
            float covered = first[near] + first[far] + second[near] + second[far];
            int is_there = cell->top + y < scene->high && cell->left + x < scene->wide;
            weights[y * CELL + x] = is_there ? 0.25f * covered + LEAST_WEIGHT : 0.0f;
        }
    }
}

static float sum_of(const float *lanes) { return lanes[0] + lanes[1] + (lanes[2] + lanes[3]); }

/* Compute the equations of a cell at no motion. */
static void measure(const Scene *scene, Cell *restrict cell) {
    uint8_t now[6][8], before[6][8];
    float weights[SAMPLES], sums[6][CELL] = {{0}};
    fetch_block(scene->now, scene->high, scene->wide, cell->top - 1, cell->left - 1, now);
    fetch_block(scene->before, scene->high, scene->wide, cell->top - 1, cell->left - 1, before);
    weigh(scene, cell, weights);
    for (int y = 0; y < CELL; y++)
        for (int x = 0; x < CELL; x++) {
            int fall = now[y + 2][x + 1] - now[y][x + 1] + before[y + 2][x + 1] - before[y][x + 1];
            int rise = now[y + 1][x + 2] - now[y + 1][x] + before[y + 1][x + 2] - before[y + 1][x];
            float down = (float)fall, across = (float)rise, weight = weights[y * CELL + x];
            float change = (float)(now[y + 1][x + 1] - before[y + 1][x + 1]);
            cell->down[y * CELL + x] = weight * down;
            cell->across[y * CELL + x] = weight * across;
            sums[0][x] += weight * down * down;
            sums[1][x] += weight * across * down;
            sums[2][x] += weight * across * across;
            sums[3][x] += weight * down * change;
            sums[4][x] += weight * across * change;
            sums[5][x] += weight;
        }
    cell->yy = sum_of(sums[0]), cell->xy = sum_of(sums[1]), cell->xx = sum_of(sums[2]);
    cell->y = sum_of(sums[3]), cell->x = sum_of(sums[4]), cell->weight = sum_of(sums[5]);
    cell->moved_y = cell->moved_x = 0;
}

/* Round down; for numbers near 0. */
static int floor_of(float value) { return (int)(value + 64.0f) - 64; }

/* Compute the difference of a cell from the previous frame, displaced by a motion. */
static void compare_cell(const Scene *scene, const Cell *cell, float down, float across,
                         float *restrict changes) {
    uint8_t now[6][8], before[6][8];
    int y_step = floor_of(-down), x_step = floor_of(-across);
    float y_share = -down - (float)y_step, x_share = -across - (float)x_step;
    int top = cell->top, left = cell->left;
    fetch_block(scene->now, scene->high, scene->wide, top, left, now);
    fetch_block(scene->before, scene->high, scene->wide, top + y_step, left + x_step, before);
    for (int y = 0; y < CELL; y++)
        for (int x = 0; x < CELL; x++) {
            float upper = before[y][x], lower = before[y + 1][x];
            upper += x_share * ((float)before[y][x + 1] - upper);
            lower += x_share * ((float)before[y + 1][x + 1] - lower);
            changes[y * CELL + x] = (float)now[y][x] - (upper + y_share * (lower - upper));
        }
}

/* Compute the right sides of the equations again, for the rest of the motion. */
static void remeasure(const Scene *scene, Cell *restrict cell) {
    float changes[SAMPLES], sums[2][CELL] = {{0}};
    compare_cell(scene, cell, cell->moved_y, cell->moved_x, changes);
    for (int y = 0; y < CELL; y++)
        for (int x = 0; x < CELL; x++) {
            sums[0][x] += cell->down[y * CELL + x] * changes[y * CELL + x];
            sums[1][x] += cell->across[y * CELL + x] * changes[y * CELL + x];
        }
    cell->y = sum_of(sums[0]), cell->x = sum_of(sums[1]);
}

/* Solve the sum of the equations of a cell and its neighbours. */
static void solve(const Scene *scene, Cell *cell) {
    float yy = 0, xy = 0, xx = 0, y = 0, x = 0, weight = 0;
    for (int row = -1; row <= 1; row++)
        for (int column = -1; column <= 1; column++) {
            const Cell *other = beside(scene, cell->place, row, column);
            if (!other) continue;
            yy += other->yy, xy += other->xy, xx += other->xx;
            y += other->y, x += other->x, weight += other->weight;
        }
    float doubt = NOISE * weight + BLIND * (yy + xx);
    yy += doubt, xx += doubt;
    float scale = 4.0f / (yy * xx - xy * xy); /* gradients are four times the slope */
    cell->step_y = -gr_clampf(scale * (xx * y - xy * x), -FARTHEST, FARTHEST);
    cell->step_x = -gr_clampf(scale * (yy * x - xy * y), -FARTHEST, FARTHEST);
}

/* Find the motion of every cell. */
static void find_motion(const Scene *scene) {
    for (int round = 0; round < ROUNDS; round++) {
        for (int at = 0; at < scene->count; at++)
            (round ? remeasure : measure)(scene, scene->cells + at);
        for (int at = 0; at < scene->count; at++) solve(scene, scene->cells + at);
        for (int at = 0; at < scene->count; at++) {
            scene->cells[at].moved_y += scene->cells[at].step_y;
            scene->cells[at].moved_x += scene->cells[at].step_x;
        }
    }
}

/* Compute the share of cells near the edge that differ from the previous frame after the motion,
 * and the longest motion of cells with an edge; the motion of others is often undetermined. */
static void judge(const Scene *scene, float most, float *misfits, float *farthest) {
    int count = 0, wrong = 0;
    float far = 0;
    for (int at = 0; at < scene->count; at++) {
        const Cell *cell = scene->cells + at;
        if (!(scene->marks[cell->place] & EDGE)) continue;
        float changes[SAMPLES], sum = 0;
        compare_cell(scene, cell, cell->moved_y, cell->moved_x, changes);
        for (int sample = 0; sample < SAMPLES; sample++) sum += fabsf(changes[sample]);
        if (scene->kinds[cell->place] & EDGE)
            far = gr_maxf(far, cell->moved_y * cell->moved_y + cell->moved_x * cell->moved_x);
        wrong += sum > most * SAMPLES;
        count++;
    }
    *misfits = count ? (float)wrong / (float)count : 1.0f;
    *farthest = sqrtf(far);
}

/* Compute the motion of the corners of a cell: the mean of the cells that meet there, so that
 * there are no seams. */
static void find_corners(const Scene *scene, const Cell *cell, float corners[2][2][2]) {
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 2; x++) {
            float moved_y = 0, moved_x = 0, count = 0;
            for (int row = y - 1; row <= y; row++)
                for (int column = x - 1; column <= x; column++) {
                    const Cell *other = beside(scene, cell->place, row, column);
                    if (!other) continue;
                    moved_y += other->moved_y, moved_x += other->moved_x, count++;
                }
            corners[y][x][0] = moved_y / count;
            corners[y][x][1] = moved_x / count;
        }
}

/* Whether a cell has moved, with varying coverage around it. */
static int is_to_move(const Scene *scene, const Cell *cell, float corners[2][2][2]) {
    float most = 0;
    const float *values = &corners[0][0][0];
    for (int at = 0; at < 8; at++) most = gr_maxf(most, fabsf(values[at]));
    if (most < UNMOVED) return 0;
    for (int row = -1; row <= 1; row++) {
        if (row * cell->moved_y > 0) continue; /* nothing comes from there */
        for (int column = -1; column <= 1; column++) {
            if (column * cell->moved_x > 0) continue;
            ptrdiff_t at = (ptrdiff_t)cell->place + (ptrdiff_t)row * scene->line + column;
            if (scene->kinds[at] & SOFT) return 1;
        }
    }
    return 0;
}

/* Origin of each sample of a cell: index of a sample, and the shares of those after it. */
typedef struct {
    int32_t offset[FULL * FULL];
    float y_share[FULL * FULL], x_share[FULL * FULL];
} Origins;

static void find_row(float at_y, float at_x, float more_y, float more_x, int height, int width,
                     int32_t *restrict offset, float *restrict y_share, float *restrict x_share) {
    float last_y = (float)(height - 1), last_x = (float)(width - 1);
    int most_y = gr_max(height - 2, 0), most_x = gr_max(width - 2, 0);
    for (int x = 0; x < FULL; x++) {
        float place_y = gr_clampf(at_y + (float)x * more_y, 0.0f, last_y);
        float place_x = gr_clampf(at_x + (float)x * more_x, 0.0f, last_x);
        int from_y = gr_min((int)place_y, most_y), from_x = gr_min((int)place_x, most_x);
        offset[x] = from_y * width + from_x;
        y_share[x] = place_y - (float)from_y;
        x_share[x] = place_x - (float)from_x;
    }
}

static void find_origins(const Scene *scene, const Cell *cell, float corners[2][2][2],
                         Origins *origins) {
    for (int y = 0; y < FULL; y++) {
        float share = ((float)y + 0.5f) / FULL, ends[2][2]; /* left and right; down and across */
        for (int x = 0; x < 2; x++)
            for (int way = 0; way < 2; way++)
                ends[x][way] =
                    corners[0][x][way] + share * (corners[1][x][way] - corners[0][x][way]);
        /* Twice as far, as the working grid is twice as fine; the first sample lies half inside. */
        float down = 2 * ends[0][0], across = 2 * ends[0][1];
        float more_down = 2 * (ends[1][0] - ends[0][0]) / FULL;
        float more_across = 2 * (ends[1][1] - ends[0][1]) / FULL;
        float at_y = (float)(2 * cell->top + y) - down - 0.5f * more_down;
        float at_x = (float)(2 * cell->left) - across - 0.5f * more_across;
        find_row(at_y, at_x, -more_down, 1.0f - more_across, scene->height, scene->width,
                 origins->offset + y * FULL, origins->y_share + y * FULL,
                 origins->x_share + y * FULL);
    }
}

static void gather(const float *coarse, size_t below, size_t right, const Origins *origins,
                   float *restrict moved) {
    for (int at = 0; at < FULL * FULL; at++) {
        const float *from = coarse + origins->offset[at];
        float upper = from[0] + origins->x_share[at] * (from[right] - from[0]);
        float lower = from[below] + origins->x_share[at] * (from[below + right] - from[below]);
        moved[at] = upper + origins->y_share[at] * (lower - upper);
    }
}

/* Write the coverage that has moved into a cell. */
static void fill(const Scene *scene, const Cell *cell, float corners[2][2][2], float *moved) {
    Origins origins;
    find_origins(scene, cell, corners, &origins);
    gather(scene->coarse, scene->height > 1 ? (size_t)scene->width : 0, scene->width > 1, &origins,
           moved);
}

/* Move the coverage of all cells. */
static void move(const Scene *scene, float (*moved)[FULL * FULL], uint8_t *is_moved) {
    for (int at = 0; at < scene->count; at++) {
        float corners[2][2][2];
        const Cell *cell = scene->cells + at;
        find_corners(scene, cell, corners);
        is_moved[at] = (uint8_t)is_to_move(scene, cell, corners);
        if (is_moved[at]) fill(scene, cell, corners, moved[at]);
    }
    for (int at = 0; at < scene->count; at++) {
        if (!is_moved[at]) continue;
        int top = 2 * scene->cells[at].top, left = 2 * scene->cells[at].left;
        int count = gr_min(FULL, scene->width - left);
        for (int y = 0; y < gr_min(FULL, scene->height - top); y++)
            memcpy(scene->coarse + (size_t)(top + y) * scene->width + left, moved[at] + y * FULL,
                   (size_t)count * sizeof(float));
    }
}

/* Find the motion, and move the coverage if it is reliable: see gr_follow_motion. */
static int follow(Scene *scene, int count, const float *limits, float *told) {
    Cell *cells = malloc(((size_t)count + 1) * sizeof *cells);
    float(*moved)[FULL * FULL] = malloc(((size_t)count + 1) * sizeof *moved);
    uint8_t *is_moved = malloc((size_t)count + 1);
    int result = GR_NO_MEMORY;
    if (cells && moved && is_moved) {
        scene->cells = cells;
        list(scene);
        find_motion(scene);
        judge(scene, limits[0], told + 1, told + 2);
        told[0] = told[1] <= limits[1] && told[2] <= limits[2];
        if (told[0] > 0) move(scene, moved, is_moved);
        result = GR_OK;
    }
    free(cells), free(moved), free(is_moved);
    return result;
}

/* Move coverage (height, width), 0 to 1, of the previous frame to where it is in a frame, in
 * place.
 *
 * before and now: first planes of both frames on the half grid, half the size rounded up.
 * limits: largest mean difference of a cell near the edge in levels, largest share of such cells
 * over that, and longest motion of the edge in samples of the half grid. told: whether all
 * limits hold, otherwise nothing is moved; then the measured share and motion. Without any edge
 * they do not hold. */
GR_EXPORT int gr_follow_motion(const uint8_t *before, const uint8_t *now, float *coarse, int height,
                               int width, const float *limits, float *told) {
    Scene scene = {.before = before, .now = now, .coarse = coarse, .height = height, .width = width};
    scene.high = (height + 1) / 2, scene.wide = (width + 1) / 2;
    scene.rows = (scene.high + CELL - 1) / CELL, scene.columns = (scene.wide + CELL - 1) / CELL;
    scene.line = scene.columns + 2;
    size_t places = (size_t)(scene.rows + 2) * scene.line;
    scene.kinds = calloc(2 * places + scene.line, sizeof *scene.kinds);
    scene.numbers = calloc(places, sizeof *scene.numbers);
    float *room = malloc((size_t)scene.columns * FULL * 4 * sizeof *room);
    int result = GR_NO_MEMORY;
    if (scene.kinds && scene.numbers && room) {
        scene.marks = scene.kinds + places;
        survey(&scene, room);
        int count = mark(&scene, scene.marks + places);
        result = follow(&scene, count, limits, told);
    }
    free(scene.kinds), free(scene.numbers), free(room);
    return result;
}
