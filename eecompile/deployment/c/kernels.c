#include "kernels.h"

#include <stddef.h>

#define SIGNIFICAND 24 /* bits of float32 */
#define ROOM 62
#define FAR 40 /* places beyond which any integer saturates */

/* C99 leaves open what becomes of the sign when a negative number is shifted or made narrower. */
static int64_t shift_down(int64_t value, int places)
{
    return value >= 0 ? value >> places : ~(~value >> places);
}

static int32_t wrapped(uint32_t sum)
{
    return sum <= INT32_MAX ? (int32_t)sum : -(int32_t)(~sum) - 1;
}

static int64_t clipped(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static int64_t half_even(int64_t value, int places)
{
    int64_t quotient, rest, half;
    if (places == 0) {
        return value;
    }
    quotient = shift_down(value, places);
    rest = value - quotient * ((int64_t)1 << places);
    half = (int64_t)1 << (places - 1);
    return quotient + (rest > half || (rest == half && (quotient & 1)));
}

static int64_t to_significand(int64_t value)
{
    uint64_t rest = (uint64_t)(value < 0 ? -value : value);
    int surplus = 0;
    while (rest >> SIGNIFICAND) {
        rest >>= 1;
        surplus++;
    }
    return half_even(value, surplus) * ((int64_t)1 << surplus);
}

static int64_t emulated(int64_t product, int shift)
{
    if (shift < 0) {
        int places = -shift < FAR ? -shift : FAR;
        return clipped(product, -65536, 65536) * ((int64_t)1 << places);
    }
    return shift > ROOM ? 0 : half_even(product, shift);
}

/* Divides as float32 does; adds to shift the places of what it returns. What is lost only decides ties. */
static int64_t quotient(int64_t product, int64_t divisor, int *shift)
{
    int64_t size = product < 0 ? -product : product, found;
    int places = 0;
    if (size == 0) {
        return 0;
    }
    while (size < (int64_t)1 << (ROOM - 1)) {
        size *= 2;
        places++;
    }
    *shift += places;
    found = size / divisor;
    if (found * divisor != size) {
        found |= 1;
    }
    found = to_significand(found);
    return product < 0 ? -found : found;
}

static int64_t rounded_up(int64_t quotient, int64_t rest, int64_t divisor, int positive, enum rounding rounding)
{
    int64_t missing = divisor - rest;
    int tie = rest == missing;
    if (rounding == DOWN) {
        return quotient;
    }
    if (rest > missing || (tie && rounding == HALF_UP)) {
        return quotient + 1;
    }
    if (tie && rounding == HALF_AWAY) {
        return quotient + positive;
    }
    return quotient + (tie && rounding == HALF_EVEN && (quotient & 1));
}

static int64_t divided(int64_t value, int64_t divisor, enum rounding rounding)
{
    int64_t quotient = value / divisor, rest = value % divisor;
    if (rest < 0) {
        quotient--;
        rest += divisor;
    }
    return rounded_up(quotient, rest, divisor, value >= 0, rounding);
}

static int64_t shifted(int64_t value, int places, enum rounding rounding)
{
    int64_t divisor = (int64_t)1 << places, quotient = shift_down(value, places);
    return rounded_up(quotient, value - quotient * divisor, divisor, value >= 0, rounding);
}

static uint8_t rescaled(const rescale_t *rule, int32_t channel, uint32_t sum)
{
    int32_t k = rule->count == 1 ? 0 : channel;
    int64_t value = wrapped(sum);
    if (rule->rounding == EMULATED) {
        int shift = rule->shifts[k];
        value = to_significand(to_significand(value) * rule->multipliers[k]);
        if (rule->quotient != 0) {
            value = quotient(value, rule->quotient, &shift);
        }
        value = emulated(value, shift);
    } else {
        value *= rule->multipliers[k];
        value = rule->divisors == NULL ? shifted(value, rule->shifts[k], rule->rounding)
                                       : divided(value, rule->divisors[k], rule->rounding);
    }
    return (uint8_t)clipped(value + rule->zero, rule->low, rule->high);
}

/* The first tap of a window that lies within an axis of so many positions, and the one behind the last. */
static int32_t first_tap(int32_t start, int32_t dilation)
{
    return start >= 0 ? 0 : (dilation - 1 - start) / dilation;
}

static int32_t end_tap(int32_t start, int32_t dilation, int32_t taps, int32_t size)
{
    int32_t end = start < size ? (size - 1 - start) / dilation + 1 : 0;
    return end < taps ? end : taps;
}

static uint32_t window_sum(const convolution_t *op, const uint8_t *x, const weight_t *weights, int32_t row,
                           int32_t column)
{
    const window_t *w = &op->window;
    int32_t y = row * w->strides[0] - w->pads[0], z = column * w->strides[1] - w->pads[1];
    int32_t top = first_tap(y, w->dilations[0]), bottom = end_tap(y, w->dilations[0], w->kernel[0], w->in[0]);
    int32_t left = first_tap(z, w->dilations[1]), right = end_tap(z, w->dilations[1], w->kernel[1], w->in[1]);
    uint32_t sum = 0;
    int32_t c, i, j;
    for (c = 0; c < op->group_in; c++) {
        for (i = top; i < bottom; i++) {
            const weight_t *taps = weights + (c * w->kernel[0] + i) * w->kernel[1];
            int32_t line = (c * w->in[0] + y + i * w->dilations[0]) * w->in[1] + z;
            for (j = left; j < right; j++) {
                sum += (uint32_t)((x[line + j * w->dilations[1]] - op->zero) * taps[j]);
            }
        }
    }
    return sum;
}

void convolve(const convolution_t *op, const uint8_t *x, uint8_t *y)
{
    const window_t *w = &op->window;
    int32_t channel, row, column, size = op->group_in * w->kernel[0] * w->kernel[1];
    for (channel = 0; channel < op->groups * op->group_out; channel++) {
        const uint8_t *read = x + channel / op->group_out * op->group_in * w->in[0] * w->in[1];
        for (row = 0; row < w->out[0]; row++) {
            for (column = 0; column < w->out[1]; column++) {
                uint32_t sum = window_sum(op, read, op->weights + channel * size, row, column);
                *y++ = rescaled(&op->rescale, channel, sum + (uint32_t)op->bias[channel]);
            }
        }
    }
}

static uint32_t row_sum(const product_t *op, const uint8_t *x, int32_t row)
{
    const weight_t *weights = op->weights + row * op->in;
    uint32_t sum = (uint32_t)op->bias[row];
    int32_t i;
    for (i = 0; i < op->in; i++) {
        sum += (uint32_t)((x[i] - op->zero) * weights[i]);
    }
    return sum;
}

void multiply(const product_t *op, const uint8_t *x, int32_t *sums)
{
    int32_t k;
    for (k = 0; k < op->out; k++) {
        sums[k] = wrapped(row_sum(op, x, k));
    }
}

void multiply_rescaled(const product_t *op, const rescale_t *rescale, const uint8_t *x, uint8_t *y)
{
    int32_t k;
    for (k = 0; k < op->out; k++) {
        y[k] = rescaled(rescale, k, row_sum(op, x, k));
    }
}

void add(const addition_t *op, const uint8_t *a, const uint8_t *b, uint8_t *y)
{
    int32_t k;
    for (k = 0; k < op->size; k++) {
        int64_t value;
        if (op->rounding == EMULATED) {
            value = emulated(to_significand(a[k] * op->multipliers[0] + op->table[b[k]]), op->shift);
        } else {
            value = (a[k] - op->zeros[0]) * op->multipliers[0] + (b[k] - op->zeros[1]) * op->multipliers[1];
            value = divided(value, op->divisor, op->rounding) + op->zero;
        }
        y[k] = (uint8_t)(clipped(value, op->low, op->high) + op->stored);
    }
}

void widen(const widening_t *op, const uint8_t *x, int32_t *sums)
{
    int32_t k;
    for (k = 0; k < op->size; k++) {
        sums[k] = x[k] - op->zero;
    }
}

void average(const average_t *op, const uint8_t *x, uint8_t *y)
{
    int32_t channel, k;
    for (channel = 0; channel < op->channels; channel++) {
        uint32_t sum = 0;
        for (k = 0; k < op->positions; k++) {
            sum += (uint32_t)(*x++ - op->zero);
        }
        y[channel] = rescaled(&op->rescale, channel, sum);
    }
}

void average_windows(const window_average_t *op, const uint8_t *x, uint8_t *y)
{
    const window_t *w = &op->window;
    int32_t channel, row, column, i, j, all = w->kernel[0] * w->kernel[1];
    for (channel = 0; channel < op->channels; channel++, x += w->in[0] * w->in[1]) {
        for (row = 0; row < w->out[0]; row++) {
            for (column = 0; column < w->out[1]; column++) {
                const window_table_t *table = op->tables;
                int32_t sum = 0, positions = 0;
                for (i = 0; i < w->kernel[0]; i++) {
                    int32_t r = row * w->strides[0] + i * w->dilations[0] - w->pads[0];
                    for (j = 0; j < w->kernel[1]; j++) {
                        int32_t c = column * w->strides[1] + j * w->dilations[1] - w->pads[1];
                        if (r >= 0 && r < w->in[0] && c >= 0 && c < w->in[1]) {
                            sum += x[r * w->in[1] + c] - op->zero;
                            positions++;
                        }
                    }
                }
                positions = op->padding_counts ? all : positions;
                while (table->positions != positions) {
                    table++;
                }
                *y++ = table->values[sum + 255 * positions];
            }
        }
    }
}

void transform(const affine_t *op, const uint8_t *const *x, uint8_t *y)
{
    int32_t channel, k, chunk, place = 0;
    for (channel = 0; channel < op->channels; channel++) {
        for (k = 0; k < op->positions; k++, place++) {
            int32_t sum = 0;
            for (chunk = 0; chunk < op->chunks; chunk++) {
                sum += x[chunk][place] - op->zero;
            }
            sum = sum * op->multipliers[channel] + op->offsets[channel];
            y[place] = rescaled(&op->rescale, channel, (uint32_t)sum);
        }
    }
}

void concatenate(const concatenation_t *op, const uint8_t *const *x, uint8_t *y)
{
    int32_t row, part, k;
    for (row = 0; row < op->outer; row++) {
        for (part = 0; part < op->parts; part++) {
            for (k = 0; k < op->sizes[part]; k++) {
                *y++ = op->tables[256 * part + x[part][row * op->sizes[part] + k]];
            }
        }
    }
}

static uint8_t window_maximum(const window_t *w, const uint8_t *x, int32_t row, int32_t column)
{
    uint8_t largest = 0;
    int32_t i, j;
    for (i = 0; i < w->kernel[0]; i++) {
        int32_t y = row * w->strides[0] + i * w->dilations[0] - w->pads[0];
        for (j = 0; j < w->kernel[1]; j++) {
            int32_t z = column * w->strides[1] + j * w->dilations[1] - w->pads[1];
            if (y >= 0 && y < w->in[0] && z >= 0 && z < w->in[1] && x[y * w->in[1] + z] > largest) {
                largest = x[y * w->in[1] + z];
            }
        }
    }
    return largest;
}

void maximum(const maximum_t *op, const uint8_t *x, uint8_t *y)
{
    const window_t *w = &op->window;
    int32_t channel, row, column;
    for (channel = 0; channel < op->channels; channel++, x += w->in[0] * w->in[1]) {
        for (row = 0; row < w->out[0]; row++) {
            for (column = 0; column < w->out[1]; column++) {
                *y++ = window_maximum(w, x, row, column);
            }
        }
    }
}

void transpose(const transposition_t *op, const uint8_t *x, uint8_t *y)
{
    int32_t k, axis;
    for (k = 0; k < op->size; k++) {
        int32_t rest = k, place = 0;
        for (axis = TRANSPOSED_AXES - 1; axis >= 0; axis--) {
            place += rest % op->sizes[axis] * op->steps[axis];
            rest /= op->sizes[axis];
        }
        y[k] = x[place];
    }
}
