/* Assignment of cells to persons. */
#include "core.h"
#include "window.h"

/* Role of a cell; the caller uses the same numbers. */
enum { NOBODY = 0, MAIN = 1, OTHER = 2, DOUBTED = 3, OPEN = 4 };
/* Columns of a part's row; at MAIN, OTHER and DOUBTED, the number of its cells in that role. */
enum { AREA = 0, LEFT = 4, TOP = 5, RIGHT = 6, BOTTOM = 7, COLUMNS = 8 };

/* Costs of a path are whole numbers; this is the largest. */
enum { MOST = 8191 };
/* Differences of adjacent cells up to this are noise, not an edge; in 8-bit levels. */
enum { NOISE = 3 };

/* A run of connected cells in a row. */
typedef struct {
    int32_t y, start, end, parent;
} Run;

static int32_t find_root(Run *runs, int32_t run) {
    while (runs[run].parent != run) {
        runs[run].parent = runs[runs[run].parent].parent;
        run = runs[run].parent;
    }
    return run;
}

static void compare(const float *restrict cells, float least, uint8_t *restrict found, int count) {
    for (int x = 0; x < count; x++) found[x] = cells[x] >= least;
}

static int count_starts(const uint8_t *restrict found, int count) {
    int starts = count > 0 && found[0];
    for (int x = 1; x < count; x++) starts += found[x] & (found[x - 1] ^ 1);
    return starts;
}

/* Count the runs of cells with at least some coverage. `found` is scratch memory for a row. */
static size_t count_runs(const float *cells, int height, int width, float least, uint8_t *found) {
    size_t count = 0;
    for (int y = 0; y < height; y++) {
        compare(cells + (size_t)y * width, least, found, width);
        count += (size_t)count_starts(found, width);
    }
    return count;
}

/* List the runs of cells with at least some coverage; runs that touch share a root. `found` is
 * scratch memory for a row. */
static int32_t find_runs(const float *cells, int height, int width, float least, Run *runs,
                         uint8_t *found) {
    int32_t count = 0, before = 0, before_end = 0;
    for (int y = 0; y < height; y++) {
        int32_t first = count;
        compare(cells + (size_t)y * width, least, found, width);
        for (int start = 0; start < width; count++) {
            const uint8_t *one = memchr(found + start, 1, (size_t)(width - start));
            if (!one) break;
            start = (int)(one - found);
            const uint8_t *none = memchr(one, 0, (size_t)(width - start));
            int end = none ? (int)(none - found) : width;
            runs[count] = (Run){y, start, end, count};
            while (before < before_end && runs[before].end < start) before++;
            for (int32_t above = before; above < before_end && runs[above].start <= end; above++) {
                int32_t one_root = find_root(runs, above), other = find_root(runs, count);
                runs[one_root > other ? one_root : other].parent = gr_min(one_root, other);
            }
            start = end;
        }
        before = first, before_end = count;
    }
    return count;
}

/* Count the cells of a run in each role. */
static void count_roles(const uint8_t *restrict past, int count, int32_t *part) {
    int32_t mine = 0, others = 0, doubted = 0;
    for (int x = 0; x < count; x++) {
        mine += past[x] == MAIN;
        others += past[x] == OTHER;
        doubted += past[x] == DOUBTED;
    }
    part[MAIN] += mine, part[OTHER] += others, part[DOUBTED] += doubted;
}

/* Label the connected parts, diagonals included, of cells (height, width) with at least some
 * coverage.
 *
 * past (height, width): roles in the previous frame. labels (height, width): 0, or the number of
 * the part, from 1 on. parts: a row of COLUMNS for each part, at most (height + 1) / 2 * ((width
 * + 1) / 2); the first number of the row before them is their count. */
GR_EXPORT int gr_find_parts(const float *cells, int height, int width, float least,
                            const uint8_t *past, int32_t *labels, int32_t *parts) {
    size_t most = (size_t)height * (size_t)(width / 2 + 1);
    Run *runs = malloc(most * sizeof *runs);
    int32_t *numbers = malloc(most * sizeof *numbers);
    uint8_t *found = malloc((size_t)width);
    if (!runs || !numbers || !found) {
        free(runs), free(numbers), free(found);
        return GR_NO_MEMORY;
    }
    int32_t count = find_runs(cells, height, width, least, runs, found), number = 0;
    memset(labels, 0, (size_t)height * width * sizeof *labels);
    for (int32_t run = 0; run < count; run++) {
        Run one = runs[run];
        int32_t root = find_root(runs, run);
        if (root == run) {
            numbers[run] = ++number;
            int32_t *part = parts + (size_t)number * COLUMNS;
            memset(part, 0, COLUMNS * sizeof *part);
            part[LEFT] = one.start, part[TOP] = one.y;
        }
        int32_t *part = parts + (size_t)numbers[root] * COLUMNS;
        part[AREA] += one.end - one.start;
        part[LEFT] = gr_min(part[LEFT], one.start);
        part[RIGHT] = gr_max(part[RIGHT], one.end);
        part[BOTTOM] = one.y + 1;
        size_t at = (size_t)one.y * width + one.start;
        count_roles(past + at, one.end - one.start, part);
        for (int x = 0; x < one.end - one.start; x++) labels[at + x] = numbers[root];
    }
    parts[0] = number;
    free(runs), free(numbers), free(found);
    return GR_OK;
}

/* Mark every other cell, in every other row, of runs in parts of at least some size. */
static int mark_parts(Run *runs, int32_t count, const int32_t *areas, double least, int wide,
                      uint8_t *mask) {
    int found = 0;
    for (int32_t run = 0; run < count; run++) {
        if (areas[find_root(runs, run)] < least) continue;
        found = 1;
        int start = (runs[run].start + 1) / 2, end = (runs[run].end + 1) / 2;
        if (runs[run].y % 2 == 0)
            memset(mask + (size_t)(runs[run].y / 2) * wide + start, 1, (size_t)(end - start));
    }
    return found;
}

static int count_far(const float *restrict cells, const uint8_t *restrict near, float haze,
                     int count) {
    int far = 0;
    for (int x = 0; x < count; x++) far += (cells[2 * x] > haze) & (near[x] ^ 1);
    return far;
}

/* Determine whether all coverage of cells (height, width) is near somebody.
 *
 * Somebody is a connected part, diagonals included, of at least `speck` cells with at least some
 * coverage. There has to be somebody; and of every other cell in every other row, none with more
 * coverage than `haze` may be farther than `reach` cells from all of them. */
GR_EXPORT int gr_is_clear(const float *cells, int height, int width, float least, double speck,
                          float haze, int reach, int32_t *clear) {
    int high = (height + 1) / 2, wide = (width + 1) / 2;
    size_t window_bytes = gr_window_bytes(wide, reach);
    uint8_t *memory = calloc(window_bytes + (size_t)(high + 1) * wide + (size_t)width, 1);
    if (!memory) return GR_NO_MEMORY;
    uint8_t *last = memory + window_bytes + (size_t)(high + 1) * wide;
    size_t most = count_runs(cells, height, width, least, last) + 1;
    Run *runs = malloc(most * sizeof *runs);
    int32_t *areas = calloc(most, sizeof *areas);
    if (!runs || !areas) {
        free(runs), free(areas), free(memory);
        return GR_NO_MEMORY;
    }
    uint8_t *mask = memory + window_bytes, *near = mask + (size_t)high * wide, *found = near + wide;
    int32_t count = find_runs(cells, height, width, least, runs, found);
    for (int32_t run = 0; run < count; run++)
        areas[find_root(runs, run)] += runs[run].end - runs[run].start;
    int far = !mark_parts(runs, count, areas, speck, wide, mask);
    GrWindow window = gr_window(mask, high, high, wide, reach, memory);
    for (int y = 0; y < high && !far; y++) {
        gr_window_row(&window, y, near);
        far = count_far(cells + (size_t)2 * y * width, near, haze, wide);
    }
    free(runs), free(areas), free(memory);
    *clear = !far;
    return GR_OK;
}

/* The cells of a picture, and the paths between them. */
typedef struct {
    const uint8_t *planes, *costs;
    uint8_t *roles;
    int count, width;
    int32_t cells;
} Picture;

static int has_role(uint8_t role) { return role > NOBODY && role < OPEN; }

/* Index of the neighbour in one of four directions; -1 outside the picture. */
static int32_t find_neighbour(const Picture *picture, int32_t place, int direction) {
    int32_t x = place % picture->width;
    switch (direction) {
    case 0: return place + picture->width < picture->cells ? place + picture->width : -1;
    case 1: return place - picture->width;
    case 2: return x + 1 < picture->width ? place + 1 : -1;
    default: return x > 0 ? place - 1 : -1;
    }
}

static int find_difference(const Picture *picture, int32_t one, int32_t other) {
    int total = 0;
    for (int index = 0; index < picture->count; index++) {
        const uint8_t *plane = picture->planes + (size_t)index * (size_t)picture->cells;
        total += gr_max(abs(plane[one] - plane[other]) - NOISE, 0);
    }
    return total;
}

/* Whether paths begin at a cell: not deep inside a role, where nothing is in doubt. */
static int begins(const Picture *picture, int32_t place) {
    if (!has_role(picture->roles[place])) return 0;
    if (picture->costs[place]) return 1;
    for (int direction = 0; direction < 4; direction++) {
        int32_t near = find_neighbour(picture, place, direction);
        if (near < 0) continue;
        uint8_t role = picture->roles[near];
        if (role == OPEN || (role != NOBODY && picture->costs[near])) return 1;
    }
    return 0;
}

/* Ends of paths: for each cost a list, newest first. */
typedef struct {
    int32_t place, next;
} Entry;

typedef struct {
    Entry *entries;
    int32_t heads[MOST], used;
} Queue;

static void push(Queue *queue, int32_t place, int cost) {
    queue->entries[queue->used] = (Entry){place, queue->heads[cost]};
    queue->heads[cost] = queue->used++;
}

static int32_t pop(Queue *queue, int cost) {
    Entry entry = queue->entries[queue->heads[cost]];
    queue->heads[cost] = entry.next;
    return entry.place;
}

/* Extend a path by one step in all directions. */
static void go_on(const Picture *picture, int32_t place, int cost, int32_t *reached, Queue *queue) {
    for (int direction = 0; direction < 4; direction++) {
        int32_t near = find_neighbour(picture, place, direction);
        if (near < 0 || picture->roles[near] == NOBODY) continue;
        int total = gr_min(cost + 1 + find_difference(picture, place, near), MOST - 1);
        if (total >= reached[near]) continue;
        reached[near] = total;
        picture->roles[near] = picture->roles[place];
        push(queue, near, total);
    }
}

/* Give every open cell, and those in doubt, the role from which it is reached at the lowest
 * cost.
 *
 * planes (count, height, width): the picture. costs (height, width): cost of beginning at a
 * cell. roles (height, width), in place: NOBODY blocks paths, OPEN waits for a role, paths begin
 * at all others. A step costs 1 plus the difference of colour. At most 400 million cells. */
GR_EXPORT int gr_divide(const uint8_t *planes, int count, int height, int width,
                        const uint8_t *costs, uint8_t *roles) {
    size_t cells = (size_t)height * width;
    Picture picture = {planes, costs, roles, count, width, (int32_t)cells};
    int32_t *reached = malloc(cells * sizeof *reached);
    Queue *queue = malloc(sizeof *queue);
    /* Each cell begins a path at most once, and is left once in every direction. */
    Entry *entries = malloc(5 * cells * sizeof *entries);
    if (!reached || !queue || !entries) {
        free(reached), free(queue), free(entries);
        return GR_NO_MEMORY;
    }
    queue->entries = entries, queue->used = 0;
    for (int cost = 0; cost < MOST; cost++) queue->heads[cost] = -1;
    for (int32_t place = 0; place < picture.cells; place++) {
        reached[place] = has_role(roles[place]) ? costs[place] : MOST;
        if (begins(&picture, place)) push(queue, place, costs[place]);
    }
    for (int cost = 0; cost < MOST; cost++)
        while (queue->heads[cost] >= 0) {
            int32_t place = pop(queue, cost);
            if (reached[place] == cost) go_on(&picture, place, cost, reached, queue);
        }
    free(reached), free(queue), free(entries);
    return GR_OK;
}
