/* Builds of the core, and which of them a processor can run. */
#include "core.h"

/* What the library was built from; build_core.py reads it. */
#ifndef GR_MADE_OF
#define GR_MADE_OF "by hand"
#endif
GR_EXPORT const char gr_made_of[] = "greenroom core " GR_MADE_OF;

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

static uint32_t enabled_states(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Whether the processor has AVX2 and FMA, and the system keeps their registers. */
GR_EXPORT int gr_has_avx2(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    const unsigned needed = bit_FMA | bit_OSXSAVE | bit_AVX;
    if ((c & needed) != needed || (enabled_states() & 6) != 6) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2) != 0;
}
#else
GR_EXPORT int gr_has_avx2(void) { return 0; }
#endif
