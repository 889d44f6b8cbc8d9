/* Qualifiers and types of the target, which is C or CUDA C++, and helpers for single numbers.
 *
 * What includes nothing but this header is compiled for both, so that one text says what happens
 * to a sample. */
#ifndef GREENROOM_SCALARS_H
#define GREENROOM_SCALARS_H

#ifdef __CUDACC_RTC__ /* NVRTC has no headers, but ptrdiff_t */
typedef unsigned char uint8_t;
typedef signed short int16_t;
typedef unsigned short uint16_t;
typedef signed int int32_t;
typedef unsigned int uint32_t;
typedef signed long long int64_t;
typedef unsigned long long uint64_t;
#define GR_SAMPLE static __device__ __forceinline__
#else
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define GR_SAMPLE static inline
#endif

GR_SAMPLE int gr_min(int a, int b) { return a < b ? a : b; }
GR_SAMPLE int gr_max(int a, int b) { return a > b ? a : b; }
GR_SAMPLE float gr_minf(float a, float b) { return a < b ? a : b; }
GR_SAMPLE float gr_maxf(float a, float b) { return a > b ? a : b; }
GR_SAMPLE float gr_clampf(float value, float low, float high) {
    return gr_minf(gr_maxf(value, low), high);
}
/* Truncated, not rounded; the value is in 0..255.99. Compilers vectorise the conversion by way
 * of int. */
GR_SAMPLE uint8_t gr_byte(float value) { return (uint8_t)(int32_t)value; }
/* Clamped to 0..255, in 16 bits: twice as fast as clamping a float before truncation. */
GR_SAMPLE uint8_t gr_limited(int16_t value) {
    value = value > 0 ? value : 0;
    return (uint8_t)(value < 255 ? value : 255);
}
/* Truncated and clamped; the value may be slightly outside 0..255. */
GR_SAMPLE uint8_t gr_limited_byte(float value) { return gr_limited((int16_t)(int32_t)value); }

#endif
