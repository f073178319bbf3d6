/* Operations on integer tensors, batch 1, channels first. No floats and no allocation. */
#ifndef KERNELS_H
#define KERNELS_H

#include "network.h"

#include <stdint.h>

/* What becomes of the places that are cut off; EMULATED is onnxruntime's float32. */
enum rounding { EMULATED, HALF_EVEN, HALF_UP, HALF_AWAY, DOWN };

/*
 * From sums to integers of a grid. EMULATED: float32 factors are multiplier * 2^-shift.
 * With a quotient, the float32 product is divided by quotient * 2^power, which is in the shifts already.
 * Else: sum * multiplier / 2^shift, or / divisor where divisors are no powers of two.
 */
typedef struct {
    enum rounding rounding;
    int32_t count; /* of multipliers: 1, or one per output channel */
    const int32_t *multipliers;
    const int16_t *shifts;
    const int64_t *divisors; /* NULL: shifts */
    int32_t quotient; /* EMULATED alone; 0: nothing is divided */
    int32_t zero, low, high;
} rescale_t;

/* Two spatial axes: rows, columns. */
typedef struct {
    int32_t in[2], out[2], kernel[2], strides[2], dilations[2], pads[2];
} window_t;

typedef struct {
    window_t window;
    int32_t groups, group_in, group_out, zero;
    const weight_t *weights; /* [groups * group_out, group_in, kernel] */
    const int32_t *bias;
    rescale_t rescale;
} convolution_t;

typedef struct {
    int32_t in, out, zero;
    const weight_t *weights; /* [out, in] */
    const int32_t *bias;
} product_t;

/*
 * EMULATED: (a * multipliers[0] + table[b]) * 2^-shift, of which the zero point is part already.
 * Else: ((a - zeros[0]) * multipliers[0] + (b - zeros[1]) * multipliers[1]) / divisor. Of bytes a and b.
 */
typedef struct {
    enum rounding rounding;
    int32_t size, zeros[2];
    int64_t multipliers[2], divisor;
    const int64_t *table;
    int32_t shift, zero, low, high, stored; /* bytes are integers plus what is stored: 128 of int8 */
} addition_t;

/* Integers of a grid as sums. */
typedef struct {
    int32_t size, zero;
} widening_t;

typedef struct {
    int32_t channels, positions, zero;
    rescale_t rescale;
} average_t;

typedef struct {
    window_t window;
    int32_t channels;
} maximum_t;

/* Per number of positions: what becomes of each sum, from -255 * positions on. */
typedef struct {
    int32_t positions;
    const uint8_t *values;
} window_table_t;

typedef struct {
    window_t window;
    int32_t channels, zero, padding_counts;
    const window_table_t *tables; /* one for each number that occurs */
} window_average_t;

/* Conversions of the chunks of an analog layer, each counted from zero, times multipliers plus offsets. */
typedef struct {
    int32_t chunks, channels, positions, zero;
    const int32_t *multipliers, *offsets;
    rescale_t rescale;
} affine_t;

/* Tensors behind each other along one axis: of each, outer times, so many bytes, through a table. */
typedef struct {
    int32_t parts, outer;
    const int32_t *sizes;
    const uint8_t *tables; /* [parts, 256] */
} concatenation_t;

#define TRANSPOSED_AXES 6
typedef struct {
    int32_t size, sizes[TRANSPOSED_AXES], steps[TRANSPOSED_AXES]; /* of what is written; read by steps */
} transposition_t;

void convolve(const convolution_t *op, const uint8_t *x, uint8_t *y);
void multiply(const product_t *op, const uint8_t *x, int32_t *sums);
void multiply_rescaled(const product_t *op, const rescale_t *rescale, const uint8_t *x, uint8_t *y);
void add(const addition_t *op, const uint8_t *a, const uint8_t *b, uint8_t *y);
void widen(const widening_t *op, const uint8_t *x, int32_t *sums);
void average(const average_t *op, const uint8_t *x, uint8_t *y);
void average_windows(const window_average_t *op, const uint8_t *x, uint8_t *y);
void transform(const affine_t *op, const uint8_t *const *x, uint8_t *y);
void concatenate(const concatenation_t *op, const uint8_t *const *x, uint8_t *y);
void maximum(const maximum_t *op, const uint8_t *x, uint8_t *y);
void transpose(const transposition_t *op, const uint8_t *x, uint8_t *y);

#endif
