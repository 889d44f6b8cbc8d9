/* What every file of the core shares: how functions are exported, what they answer, and memory.
 *
 * The core is plain C11 without intrinsics, written so that compilers vectorise it; one source is
 * built for the baseline of a processor family and, on x86-64, for AVX2 with FMA. It knows nothing
 * of Python, keeps no state between calls and may run on any number of threads.
 *
 * Planes are given as the address of their first sample and the distance of rows in samples
 * (`stride`), which may be larger than their width. Everything else is contiguous. Memory is the
 * caller's, who has checked shapes and types.
 */
#ifndef GREENROOM_CORE_H
#define GREENROOM_CORE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define GR_EXPORT __declspec(dllexport)
#else
#define GR_EXPORT __attribute__((visibility("default")))
#endif

/* What a function answers. */
enum { GR_OK = 0, GR_NO_MEMORY = 1 };

static inline int gr_min(int a, int b) { return a < b ? a : b; }
static inline int gr_max(int a, int b) { return a > b ? a : b; }
static inline float gr_minf(float a, float b) { return a < b ? a : b; }
static inline float gr_maxf(float a, float b) { return a > b ? a : b; }
static inline float gr_clampf(float value, float low, float high) {
    return gr_minf(gr_maxf(value, low), high);
}
/* Cut off, not rounded; the value is in 0..255.99. The way over int is what is vectorised. */
static inline uint8_t gr_byte(float value) { return (uint8_t)(int32_t)value; }
/* Limited to 0..255: in 16 bits, which takes half as long as in float before it is cut off. */
static inline uint8_t gr_limited(int16_t value) {
    value = value > 0 ? value : 0;
    return (uint8_t)(value < 255 ? value : 255);
}
/* Cut off and limited; the value is little more than 0 to 255. */
static inline uint8_t gr_limited_byte(float value) { return gr_limited((int16_t)(int32_t)value); }

/* Begin to read so many bytes that are needed soon: loops over a frame wait for memory else. A row
 * or two ahead, and into the innermost cache, is more than twice as fast as without. (Measured: so
 * it is with a pointer that moves, but with a number that is added to one it gains a quarter.) The
 * address may lie anywhere. */
static inline void gr_fetch(const void *bytes, size_t count) {
    const char *at = bytes, *end = at + count;
    for (; at < end; at += 64) __builtin_prefetch(at, 0, 3);
}

#endif
