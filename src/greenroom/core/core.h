/* Shared by all files of the core: exports, error codes and memory.
 *
 * The core is plain C11 without intrinsics, written so that compilers vectorise it; one source
 * is built for the baseline of a processor family and, on x86-64, for AVX2 with FMA. It knows
 * nothing of Python, keeps no state between calls and may run on any number of threads.
 *
 * A plane is given by the address of its first sample and its stride, the distance of rows in
 * samples, which may exceed the width. Everything else is contiguous. The caller owns all memory
 * and has checked shapes and types. */
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

/* Return codes. */
enum { GR_OK = 0, GR_NO_MEMORY = 1 };

static inline int gr_min(int a, int b) { return a < b ? a : b; }
static inline int gr_max(int a, int b) { return a > b ? a : b; }
static inline float gr_minf(float a, float b) { return a < b ? a : b; }
static inline float gr_maxf(float a, float b) { return a > b ? a : b; }
static inline float gr_clampf(float value, float low, float high) {
    return gr_minf(gr_maxf(value, low), high);
}
/* Truncated, not rounded; the value is in 0..255.99. Compilers vectorise the conversion by way
 * of int. */
static inline uint8_t gr_byte(float value) { return (uint8_t)(int32_t)value; }
/* Clamped to 0..255, in 16 bits: twice as fast as clamping a float before truncation. */
static inline uint8_t gr_limited(int16_t value) {
    value = value > 0 ? value : 0;
    return (uint8_t)(value < 255 ? value : 255);
}
/* Truncated and clamped; the value may be slightly outside 0..255. */
static inline uint8_t gr_limited_byte(float value) { return gr_limited((int16_t)(int32_t)value); }

/* Prefetch bytes that are needed soon; without it, loops over a frame wait for memory. A row or
 * two ahead, into the innermost cache, it more than doubles the speed. (Measured with a pointer
 * that advances; with an index added to a fixed one it gains a quarter.) The address may lie
 * anywhere. */
static inline void gr_fetch(const void *bytes, size_t count) {
    const char *at = bytes, *end = at + count;
    for (; at < end; at += 64) __builtin_prefetch(at, 0, 3);
}

#endif
