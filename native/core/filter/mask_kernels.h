// Kernels that turn 64 rows of a column into one word of bits. Every numeric comparison and range
// is one closed interval by the time it gets here, so there is one kernel a type. They never read a
// value past `rows`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "segment/column.h"

namespace elanus {

// lo <= x <= hi. Empty when lo > hi; a NaN value is never inside.
template <typename T>
struct Interval {
  T lo;
  T hi;
  bool holds(T x) const { return (x >= lo) & (x <= hi); }
};

// Words that `rows` bits take.
constexpr size_t words_of(size_t rows) { return (rows + 63) / 64; }

// Bit i of `words` = values[i] lies in the interval; bits from `rows` to the end of the last word
// are 0. T: int8_t, int16_t, int32_t, int64_t, float, double.
template <typename T>
void interval_words(const T* values, size_t rows, Interval<T> interval, uint64_t* words);

// The kernel for processors without AVX2, for whole words; here so that a test can compare it with
// the one in use.
template <typename T>
void interval_words_portable(const T* values, size_t word_count, Interval<T> interval,
                             uint64_t* words);

// Bit i = bytes[i] is not zero.
void nonzero_words(const uint8_t* bytes, size_t rows, uint64_t* words);

// Bit i = bit first + i of an LSB-first bitmap; `first` is a multiple of 64.
void bitmap_words(const uint8_t* bits, size_t first, size_t rows, uint64_t* words);

// Bit i = row first + i of the column has a value; `first` is a multiple of 64.
void valid_words(const ColumnView& column, size_t first, size_t rows, uint64_t* words);

// Bit i = row first + i of a Bool column is true (whatever a null row holds).
void bool_words(const ColumnView& column, size_t first, size_t rows, uint64_t* words);

}  // namespace elanus
