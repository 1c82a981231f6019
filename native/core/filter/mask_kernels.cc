// Portable kernels that the compiler vectorises and AVX2 ones, picked once when the library is
// loaded.
#include "filter/mask_kernels.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace elanus {
namespace {

// 64 bytes that are 0 or 1 to 64 bits: the product moves the low bit of byte i to bit 56 + i.
inline uint64_t pack_ones(const uint8_t* ones) {
  uint64_t word = 0;
  for (int i = 0; i < 8; ++i) {
    uint64_t eight;
    std::memcpy(&eight, ones + 8 * i, 8);
    word |= ((eight * 0x0102040810204080u) >> 56) << (8 * i);
  }
  return word;
}

template <typename T>
void full_words_portable(const T* values, size_t count, Interval<T> interval, uint64_t* words) {
  alignas(64) uint8_t ones[64];
  for (size_t w = 0; w < count; ++w, values += 64) {
    for (int i = 0; i < 64; ++i) ones[i] = interval.holds(values[i]) ? 1 : 0;
    words[w] = pack_ones(ones);
  }
}

#if defined(__x86_64__)
#define ELANUS_AVX2 __attribute__((target("avx2")))

// Bits of the values outside or inside, for as many values as one load or two takes.
template <typename T>
struct Avx2;

template <>
struct Avx2<int64_t> {
  static constexpr int kLanes = 4;
  ELANUS_AVX2 static uint64_t inside(const int64_t* v, Interval<int64_t> in) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(v));
    const __m256i out = _mm256_or_si256(_mm256_cmpgt_epi64(_mm256_set1_epi64x(in.lo), x),
                                        _mm256_cmpgt_epi64(x, _mm256_set1_epi64x(in.hi)));
    return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(out))) ^ 0xfu;
  }
};

template <>
struct Avx2<int32_t> {
  static constexpr int kLanes = 8;
  ELANUS_AVX2 static uint64_t inside(const int32_t* v, Interval<int32_t> in) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(v));
    const __m256i out = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(in.lo), x),
                                        _mm256_cmpgt_epi32(x, _mm256_set1_epi32(in.hi)));
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(out))) ^ 0xffu;
  }
};

template <>
struct Avx2<int16_t> {
  static constexpr int kLanes = 32;
  ELANUS_AVX2 static __m256i outside(const int16_t* v, Interval<int16_t> in) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(v));
    return _mm256_or_si256(_mm256_cmpgt_epi16(_mm256_set1_epi16(in.lo), x),
                           _mm256_cmpgt_epi16(x, _mm256_set1_epi16(in.hi)));
  }
  ELANUS_AVX2 static uint64_t inside(const int16_t* v, Interval<int16_t> in) {
    const __m256i packed = _mm256_packs_epi16(outside(v, in), outside(v + 16, in));
    const __m256i ordered = _mm256_permute4x64_epi64(packed, 0xd8);
    return ~static_cast<uint32_t>(_mm256_movemask_epi8(ordered));
  }
};

template <>
struct Avx2<int8_t> {
  static constexpr int kLanes = 32;
  ELANUS_AVX2 static uint64_t inside(const int8_t* v, Interval<int8_t> in) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(v));
    const __m256i out = _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(in.lo), x),
                                        _mm256_cmpgt_epi8(x, _mm256_set1_epi8(in.hi)));
    return ~static_cast<uint32_t>(_mm256_movemask_epi8(out));
  }
};

template <>
struct Avx2<float> {
  static constexpr int kLanes = 8;
  ELANUS_AVX2 static uint64_t inside(const float* v, Interval<float> in) {
    const __m256 x = _mm256_loadu_ps(v);
    const __m256 is = _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(in.lo), _CMP_GE_OQ),
                                    _mm256_cmp_ps(x, _mm256_set1_ps(in.hi), _CMP_LE_OQ));
    return static_cast<uint32_t>(_mm256_movemask_ps(is));
  }
};

template <>
struct Avx2<double> {
  static constexpr int kLanes = 4;
  ELANUS_AVX2 static uint64_t inside(const double* v, Interval<double> in) {
    const __m256d x = _mm256_loadu_pd(v);
    const __m256d is = _mm256_and_pd(_mm256_cmp_pd(x, _mm256_set1_pd(in.lo), _CMP_GE_OQ),
                                     _mm256_cmp_pd(x, _mm256_set1_pd(in.hi), _CMP_LE_OQ));
    return static_cast<uint32_t>(_mm256_movemask_pd(is));
  }
};

template <typename T>
ELANUS_AVX2 void full_words_avx2(const T* values, size_t count, Interval<T> interval,
                                 uint64_t* words) {
  for (size_t w = 0; w < count; ++w, values += 64) {
    uint64_t word = 0;
    for (int i = 0; i < 64; i += Avx2<T>::kLanes) {
      word |= Avx2<T>::inside(values + i, interval) << i;
    }
    words[w] = word;
  }
}
#endif

template <typename T>
using FullWords = void (*)(const T*, size_t, Interval<T>, uint64_t*);

template <typename T>
FullWords<T> pick_full_words() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return full_words_avx2<T>;
#endif
  return full_words_portable<T>;
}

template <typename T>
const FullWords<T> kFullWords = pick_full_words<T>();

// Bits 0..count-1.
constexpr uint64_t low_bits(size_t count) { return (uint64_t{1} << count) - 1; }

}  // namespace

template <typename T>
void interval_words(const T* values, size_t rows, Interval<T> interval, uint64_t* words) {
  const size_t full = rows / 64;
  kFullWords<T>(values, full, interval, words);
  if (const size_t tail = rows % 64; tail != 0) {
    T last[64] = {};
    std::memcpy(last, values + full * 64, tail * sizeof(T));
    kFullWords<T>(last, 1, interval, words + full);
    words[full] &= low_bits(tail);
  }
}

template <typename T>
void interval_words_portable(const T* values, size_t word_count, Interval<T> interval,
                             uint64_t* words) {
  full_words_portable(values, word_count, interval, words);
}

template void interval_words(const int8_t*, size_t, Interval<int8_t>, uint64_t*);
template void interval_words(const int16_t*, size_t, Interval<int16_t>, uint64_t*);
template void interval_words(const int32_t*, size_t, Interval<int32_t>, uint64_t*);
template void interval_words(const int64_t*, size_t, Interval<int64_t>, uint64_t*);
template void interval_words(const float*, size_t, Interval<float>, uint64_t*);
template void interval_words(const double*, size_t, Interval<double>, uint64_t*);

template void interval_words_portable(const int8_t*, size_t, Interval<int8_t>, uint64_t*);
template void interval_words_portable(const int16_t*, size_t, Interval<int16_t>, uint64_t*);
template void interval_words_portable(const int32_t*, size_t, Interval<int32_t>, uint64_t*);
template void interval_words_portable(const int64_t*, size_t, Interval<int64_t>, uint64_t*);
template void interval_words_portable(const float*, size_t, Interval<float>, uint64_t*);
template void interval_words_portable(const double*, size_t, Interval<double>, uint64_t*);

void nonzero_words(const uint8_t* bytes, size_t rows, uint64_t* words) {
  // Zero is what lies in [0, 0].
  interval_words<int8_t>(reinterpret_cast<const int8_t*>(bytes), rows, {0, 0}, words);
  for (size_t w = 0; w < words_of(rows); ++w) words[w] = ~words[w];
  if (rows % 64 != 0) words[rows / 64] &= low_bits(rows % 64);
}

void bitmap_words(const uint8_t* bits, size_t first, size_t rows, uint64_t* words) {
  if (rows == 0) return;
  words[words_of(rows) - 1] = 0;
  std::memcpy(words, bits + first / 8, (rows + 7) / 8);
  if (rows % 64 != 0) words[rows / 64] &= low_bits(rows % 64);
}

void valid_words(const ColumnView& column, size_t first, size_t rows, uint64_t* words) {
  const size_t count = words_of(rows);
  if (column.all_null) {
    std::fill_n(words, count, 0);
  } else if (column.valid_bytes != nullptr) {
    nonzero_words(column.valid_bytes + first, rows, words);
  } else if (column.valid_bits != nullptr) {
    bitmap_words(column.valid_bits, first, rows, words);
  } else {
    std::fill_n(words, count, ~uint64_t{0});
    if (rows % 64 != 0) words[count - 1] = low_bits(rows % 64);
  }
}

void bool_words(const ColumnView& column, size_t first, size_t rows, uint64_t* words) {
  const auto* bytes = static_cast<const uint8_t*>(column.data);
  if (column.bool_bits) {
    bitmap_words(bytes, first, rows, words);
  } else {
    nonzero_words(bytes + first, rows, words);
  }
}

}  // namespace elanus
