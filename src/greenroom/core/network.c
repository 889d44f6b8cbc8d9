/* Conversion of planes to the input of networks, and of their output. */
#include "core.h"

#include <math.h>

typedef struct {
    float a, b, c, offset, low, high;
} Channel;

/* A channel's row of the (3, 4) matrix, and its minimum and maximum. */
static Channel channel_of(const float *matrix, const float *limits, int index) {
    const float *row = matrix + 4 * index;
    return (Channel){row[0], row[1], row[2], row[3], limits[2 * index], limits[2 * index + 1]};
}

static inline float mix(Channel channel, float a, float b, float c) {
    float value = channel.a * a + channel.b * b + channel.c * c + channel.offset;
    return gr_clampf(value, channel.low, channel.high);
}

static void mix_floats(const uint8_t *restrict first, const uint8_t *restrict second,
                       const uint8_t *restrict third, size_t count, const float *matrix,
                       const float *limits, float *restrict target) {
    Channel one = channel_of(matrix, limits, 0), two = channel_of(matrix, limits, 1);
    Channel three = channel_of(matrix, limits, 2);
    for (size_t i = 0; i < count; i++) {
        float a = first[i], b = second[i], c = third[i];
        target[3 * i] = mix(one, a, b, c);
        target[3 * i + 1] = mix(two, a, b, c);
        target[3 * i + 2] = mix(three, a, b, c);
    }
}

static void mix_bytes(const uint8_t *restrict first, const uint8_t *restrict second,
                      const uint8_t *restrict third, size_t count, const float *matrix,
                      const float *limits, uint8_t *restrict target) {
    Channel one = channel_of(matrix, limits, 0), two = channel_of(matrix, limits, 1);
    Channel three = channel_of(matrix, limits, 2);
    for (size_t i = 0; i < count; i++) {
        float a = first[i], b = second[i], c = third[i];
        target[3 * i] = gr_byte(mix(one, a, b, c));
        target[3 * i + 1] = gr_byte(mix(two, a, b, c));
        target[3 * i + 2] = gr_byte(mix(three, a, b, c));
    }
}

static void mix_planar_floats(const uint8_t *restrict first, const uint8_t *restrict second,
                              const uint8_t *restrict third, size_t count, const float *matrix,
                              const float *limits, float *restrict to_one, float *restrict to_two,
                              float *restrict to_three) {
    Channel one = channel_of(matrix, limits, 0), two = channel_of(matrix, limits, 1);
    Channel three = channel_of(matrix, limits, 2);
    for (size_t i = 0; i < count; i++) {
        float a = first[i], b = second[i], c = third[i];
        to_one[i] = mix(one, a, b, c);
        to_two[i] = mix(two, a, b, c);
        to_three[i] = mix(three, a, b, c);
    }
}

static void mix_planar_bytes(const uint8_t *restrict first, const uint8_t *restrict second,
                             const uint8_t *restrict third, size_t count, const float *matrix,
                             const float *limits, uint8_t *restrict to_one,
                             uint8_t *restrict to_two, uint8_t *restrict to_three) {
    Channel one = channel_of(matrix, limits, 0), two = channel_of(matrix, limits, 1);
    Channel three = channel_of(matrix, limits, 2);
    for (size_t i = 0; i < count; i++) {
        float a = first[i], b = second[i], c = third[i];
        to_one[i] = gr_byte(mix(one, a, b, c));
        to_two[i] = gr_byte(mix(two, a, b, c));
        to_three[i] = gr_byte(mix(three, a, b, c));
    }
}

/* Fill a network's input from three planes of `count` samples.
 *
 * matrix (3, 4): maps samples, and 1, to channels. limits (3, 2): minimum and maximum of each
 * channel. out: (count, 3), or (3, count) if planar; float, or uint8 if `bytes`: then limits are
 * within 0..255.99, and values are truncated, not rounded. */
GR_EXPORT int gr_mix(const uint8_t *first, const uint8_t *second, const uint8_t *third,
                     ptrdiff_t count, const float *matrix, const float *limits, int planar,
                     int bytes, void *out) {
    size_t samples = (size_t)count;
    float *floats = out;
    uint8_t *whole = out;
    if (planar && bytes)
        mix_planar_bytes(first, second, third, samples, matrix, limits, whole, whole + samples,
                         whole + 2 * samples);
    else if (planar)
        mix_planar_floats(first, second, third, samples, matrix, limits, floats, floats + samples,
                          floats + 2 * samples);
    else if (bytes) mix_bytes(first, second, third, samples, matrix, limits, whole);
    else mix_floats(first, second, third, samples, matrix, limits, floats);
    return GR_OK;
}

/* Add a class to the maximum. A maximum may ignore NaN; a sum does not. */
static void compare(const float *restrict logits, ptrdiff_t step, float kept, float other,
                    float *restrict best, float *restrict rest, float *restrict total, int count) {
    for (int x = 0; x < count; x++) {
        float value = logits[x * step];
        total[x] += value;
        best[x] = gr_maxf(best[x], value + kept);
        rest[x] = gr_maxf(rest[x], value + other);
    }
}

/* Compute the logit of the best kept class minus that of the best other class: out (height,
 * width), NaN where any logit is not finite.
 *
 * logits (height, width, channels): rows, samples (`step`) and classes (`apart`) are that many
 * floats apart. handicaps (2, channels): added to the logits for either maximum; 0, or far below
 * every logit. */
GR_EXPORT int gr_margin(const float *logits, ptrdiff_t stride, ptrdiff_t step, ptrdiff_t apart,
                        int height, int width, int channels, const float *handicaps, float *out) {
    float *best = malloc((size_t)width * 3 * sizeof *best);
    if (!best) return GR_NO_MEMORY;
    float *rest = best + width, *total = rest + width;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) best[x] = rest[x] = -INFINITY, total[x] = 0;
        for (int channel = 0; channel < channels; channel++) {
            const float *row = logits + y * stride + channel * apart;
            float kept = handicaps[channel], other = handicaps[channels + channel];
            if (step == 1) compare(row, 1, kept, other, best, rest, total, width);
            else compare(row, step, kept, other, best, rest, total, width);
        }
        float *target = out + (size_t)y * width;
        for (int x = 0; x < width; x++) target[x] = best[x] - rest[x] + (total[x] - total[x]);
    }
    free(best);
    return GR_OK;
}

static inline void subtract(const float *restrict row, ptrdiff_t step, ptrdiff_t apart,
                            const uint8_t *restrict seen, const float *matrix, float *restrict out,
                            int count) {
    float by_red = matrix[0], by_green = matrix[1], by_blue = matrix[2], offset = matrix[3];
    for (int x = 0; x < count; x++) {
        const float *colour = row + x * step;
        float value = by_red * colour[0] + by_green * colour[apart] + by_blue * colour[2 * apart];
        out[x] = value + offset - seen[x];
    }
}

/* Compute the difference between a foreground and the network's input planes: out (3, height,
 * width).
 *
 * colours (height, width, 3): RGB, 0 to 1; rows, samples (`step`) and channels (`apart`) are
 * that many floats apart. matrix (3, 4): maps (red, green, blue, 1) to samples of the three
 * planes (height, width). */
GR_EXPORT int gr_difference(const float *colours, ptrdiff_t stride, ptrdiff_t step, ptrdiff_t apart,
                            int height, int width, const uint8_t *first, const uint8_t *second,
                            const uint8_t *third, const float *matrix, float *out) {
    const uint8_t *planes[3] = {first, second, third};
    for (int y = 0; y < height; y++)
        for (int index = 0; index < 3; index++) {
            const float *row = colours + y * stride, *factors = matrix + 4 * index;
            const uint8_t *seen = planes[index] + (size_t)y * width;
            float *target = out + ((size_t)index * height + y) * width;
            if (step == 3 && apart == 1) subtract(row, 3, 1, seen, factors, target, width);
            else if (step == 1) subtract(row, 1, apart, seen, factors, target, width);
            else subtract(row, step, apart, seen, factors, target, width);
        }
    return GR_OK;
}
