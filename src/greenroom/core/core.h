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

#include "scalars.h"

#if defined(_WIN32)
#define GR_EXPORT __declspec(dllexport)
#else
#define GR_EXPORT __attribute__((visibility("default")))
#endif

/* Return codes. */
enum { GR_OK = 0, GR_NO_MEMORY = 1 };

/* Prefetch bytes that are needed soon; without it, loops over a frame wait for memory. A row or
 * two ahead, into the innermost cache, it more than doubles the speed. (Measured with a pointer
 * that advances; with an index added to a fixed one it gains a quarter.) The address may lie
 * anywhere. */
static inline void gr_fetch(const void *bytes, size_t count) {
    const char *at = bytes, *end = at + count;
    for (; at < end; at += 64) __builtin_prefetch(at, 0, 3);
}

#endif
