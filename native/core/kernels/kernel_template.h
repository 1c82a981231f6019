// The loops shared by all instruction sets and types of elements, written over an `Isa` of a few
// vector operations and over `Rows`, which loads the elements of a row as floats.
// Everything is in an unnamed namespace and uses no library code, so that no function compiled with
// wide instructions can be merged with one of another file. The order of summation below is the
// only one: four accumulators take turns over whole vectors, a partial vector goes to the last.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace elanus {
namespace {

constexpr size_t kLineBytes = 64;
constexpr int kTileRows = 4;

// Rows of 32-bit floats.
template <typename Isa>
struct FloatRows {
  using Value = float;
  static constexpr DataType kElement = DataType::kFloat;
  static inline typename Isa::Reg load(const Value* p) { return Isa::load(p); }
  static inline typename Isa::Reg load_part(const Value* p, size_t count) {
    return Isa::load_part(p, count);
  }
};

template <typename Rows>
inline const typename Rows::Value* row_at(const uint8_t* base, size_t stride, size_t row) {
  return reinterpret_cast<const typename Rows::Value*>(base + row * stride);
}

template <typename Isa>
struct InnerProductOp {
  using Reg = typename Isa::Reg;
  static inline Reg step(Reg a, Reg b, Reg sum) { return Isa::multiply_add(a, b, sum); }
};

template <typename Isa>
struct L2SqOp {
  using Reg = typename Isa::Reg;
  static inline Reg step(Reg a, Reg b, Reg sum) {
    const Reg d = Isa::subtract(a, b);
    return Isa::multiply_add(d, d, sum);
  }
};

// out[q * out_stride] = kernel(queries[q], row). With kPrefetch, `next` is brought into the cache
// meanwhile.
template <typename Isa, typename Rows, typename Op, int kQueries, bool kPrefetch>
inline void kernel_row(const typename Rows::Value* const* queries, const typename Rows::Value* row,
                       const typename Rows::Value* next, size_t dim, float* out,
                       size_t out_stride) {
  using Reg = typename Isa::Reg;
  constexpr size_t kWidth = Isa::kWidth;
  constexpr size_t kStep = 4 * kWidth;
  constexpr size_t kLine = kLineBytes / sizeof(typename Rows::Value);
  Reg sums[kQueries][4];
  for (int q = 0; q < kQueries; ++q) {
    for (int j = 0; j < 4; ++j) sums[q][j] = Isa::zero();
  }
  size_t i = 0;
  for (; i + kStep <= dim; i += kStep) {
    if constexpr (kPrefetch) {
      if constexpr (kStep >= kLine) {
        for (size_t line = 0; line < kStep; line += kLine) __builtin_prefetch(next + i + line);
      } else {
        __builtin_prefetch(next + i);
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const Reg r = Rows::load(row + i + j * kWidth);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        sums[q][j] = Op::step(Rows::load(queries[q] + i + j * kWidth), r, sums[q][j]);
      }
    }
  }
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    if (i + kWidth <= dim) {
      const Reg r = Rows::load(row + i);
      for (int q = 0; q < kQueries; ++q)
        sums[q][j] = Op::step(Rows::load(queries[q] + i), r, sums[q][j]);
      i += kWidth;
    }
  }
  if (i < dim) {
    const Reg r = Rows::load_part(row + i, dim - i);
    for (int q = 0; q < kQueries; ++q) {
      sums[q][3] = Op::step(Rows::load_part(queries[q] + i, dim - i), r, sums[q][3]);
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    out[static_cast<size_t>(q) * out_stride] =
        Isa::reduce(Isa::add(Isa::add(sums[q][0], sums[q][1]), Isa::add(sums[q][2], sums[q][3])));
  }
}

template <typename Isa, typename Rows, typename Op>
float kernel_single(const void* a, const void* b, size_t dim) {
  const auto* query = static_cast<const typename Rows::Value*>(a);
  float out;
  kernel_row<Isa, Rows, Op, 1, false>(&query, static_cast<const typename Rows::Value*>(b), nullptr,
                                      dim, &out, 1);
  return out;
}

template <typename Isa, typename Rows, typename Op, int kQueries>
inline void kernel_queries(const void* const* bytes, const uint8_t* base, size_t stride,
                           const uint32_t* ids, size_t count, size_t dim, float* out,
                           size_t out_stride) {
  const typename Rows::Value* queries[kQueries];
  for (int q = 0; q < kQueries; ++q)
    queries[q] = static_cast<const typename Rows::Value*>(bytes[q]);
  if (ids == nullptr) {
    for (size_t i = 0; i < count; ++i) {
      kernel_row<Isa, Rows, Op, kQueries, false>(queries, row_at<Rows>(base, stride, i), nullptr,
                                                 dim, out + i, out_stride);
    }
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    const auto* row = row_at<Rows>(base, stride, ids[i]);
    const auto* next = i + 1 < count ? row_at<Rows>(base, stride, ids[i + 1]) : row;
    kernel_row<Isa, Rows, Op, kQueries, true>(queries, row, next, dim, out + i, out_stride);
  }
}

template <typename Isa, typename Rows, typename Op>
void kernel_rows(const void* query, const uint8_t* base, size_t stride, const uint32_t* ids,
                 size_t count, size_t dim, float* out) {
  kernel_queries<Isa, Rows, Op, 1>(&query, base, stride, ids, count, dim, out, 0);
}

// As many queries at a time as there are registers for; the rows' second reading comes from the
// nearest cache.
template <typename Isa, typename Rows, typename Op>
void kernel_block(const void* const* queries, size_t query_count, const uint8_t* base,
                  size_t stride, const uint32_t* ids, size_t count, size_t dim, float* out) {
  size_t q = 0;
  for (; Isa::kQueriesPerPass == 4 && q + 4 <= query_count; q += 4) {
    kernel_queries<Isa, Rows, Op, 4>(queries + q, base, stride, ids, count, dim, out + q * count,
                                     count);
  }
  for (; q + 2 <= query_count; q += 2) {
    kernel_queries<Isa, Rows, Op, 2>(queries + q, base, stride, ids, count, dim, out + q * count,
                                     count);
  }
  if (q < query_count) {
    kernel_queries<Isa, Rows, Op, 1>(queries + q, base, stride, ids, count, dim, out + q * count,
                                     0);
  }
}

// A packed group of vectors has, for each of the four accumulators in turn, the registers that it
// adds up, one of each vector side by side. As the accumulators of a pair do not meet before the
// end, taking them one after another changes no bit, and leaves registers for four times as many
// pairs: a loaded register then serves more multiplications, which is what bounds the block above.
template <typename Isa>
inline size_t turn_steps(size_t dim, int turn) {
  constexpr size_t kStep = 4 * Isa::kWidth;
  const size_t rest = dim % kStep;
  const bool has_more = turn < 3 ? static_cast<size_t>(turn) < rest / Isa::kWidth
                                 : rest % Isa::kWidth != 0;
  return dim / kStep + (has_more ? 1 : 0);
}

template <typename Isa>
inline size_t packed_floats(size_t dim) {
  return (dim + Isa::kWidth - 1) / Isa::kWidth * Isa::kWidth;
}

// Packs one group as floats; returns its end.
template <typename Isa, typename Rows, int kGroup>
inline float* pack_group(const typename Rows::Value* const* vectors, size_t dim, float* out) {
  constexpr size_t kWidth = Isa::kWidth;
  const size_t part = dim % kWidth;
  for (int turn = 0; turn < 4; ++turn) {
    const size_t steps = turn_steps<Isa>(dim, turn);
    for (size_t step = 0; step < steps; ++step) {
      const size_t at = (4 * step + static_cast<size_t>(turn)) * kWidth;
      const bool is_part = turn == 3 && part != 0 && step + 1 == steps;
#pragma GCC unroll 8
      for (int v = 0; v < kGroup; ++v) {
        Isa::store(out, is_part ? Rows::load_part(vectors[v] + dim - part, part)
                                : Rows::load(vectors[v] + at));
        out += kWidth;
      }
    }
  }
  return out;
}

// The last group repeats the last row.
template <typename Isa, typename Rows>
void pack_rows(const uint8_t* base, size_t stride, const uint32_t* ids, size_t count, size_t dim,
               float* out) {
  for (size_t i = 0; i < count; i += kTileRows) {
    const typename Rows::Value* rows[kTileRows];
    for (size_t r = 0; r < kTileRows; ++r) {
      const size_t at = i + r < count ? i + r : count - 1;
      rows[r] = row_at<Rows>(base, stride, ids == nullptr ? at : size_t{ids[at]});
    }
    out = pack_group<Isa, Rows, kTileRows>(rows, dim, out);
  }
}

template <typename Rows>
double exact_square(const void* row, size_t dim) {
  const auto* bytes = static_cast<const uint8_t*>(row);
  double sum = 0;
  for (size_t i = 0; i < dim; ++i) {
    typename Rows::Value value;
    __builtin_memcpy(&value, bytes + i * sizeof(value), sizeof(value));
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return sum;
}

template <typename Isa>
inline void reduce_four(const typename Isa::Reg* sums, float* out) {
  if constexpr (requires { Isa::reduce4(sums[0], sums[1], sums[2], sums[3], out); }) {
    Isa::reduce4(sums[0], sums[1], sums[2], sums[3], out);
  } else {
    for (int r = 0; r < 4; ++r) out[r] = Isa::reduce(sums[r]);
  }
}

// What the turns leave for one another.
template <typename Isa>
struct TileSums {
  typename Isa::Reg low[Isa::kTileQueries][kTileRows];   // of turn 0, then of 0 and 1
  typename Isa::Reg high[Isa::kTileQueries][kTileRows];  // of turn 2
};

// One accumulator of all pairs of a tile; moves both pointers past what it read. The last turn
// writes values[q][r].
template <typename Isa, typename Op, int kTurn>
inline void sum_turn(const float** queries, const float** rows, size_t dim, TileSums<Isa>& kept,
                     float (*values)[kTileRows]) {
  using Reg = typename Isa::Reg;
  constexpr size_t kWidth = Isa::kWidth;
  constexpr int kQueries = Isa::kTileQueries;
  Reg sums[kQueries][kTileRows];
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) sums[q][r] = Isa::zero();
  }
  const float* query_at = *queries;
  const float* row_at = *rows;
  for (size_t steps = turn_steps<Isa>(dim, kTurn); steps > 0; --steps) {
    Reg row[kTileRows];
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) row[r] = Isa::load(row_at + r * kWidth);
#pragma GCC unroll 8
    for (int q = 0; q < kQueries; ++q) {
      const Reg query = Isa::load(query_at + q * kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < kTileRows; ++r) sums[q][r] = Op::step(query, row[r], sums[q][r]);
    }
    query_at += kQueries * kWidth;
    row_at += kTileRows * kWidth;
  }
  *queries = query_at;
  *rows = row_at;
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) {
      if constexpr (kTurn == 0) kept.low[q][r] = sums[q][r];
      if constexpr (kTurn == 1) kept.low[q][r] = Isa::add(kept.low[q][r], sums[q][r]);
      if constexpr (kTurn == 2) kept.high[q][r] = sums[q][r];
      if constexpr (kTurn == 3)
        sums[q][r] = Isa::add(kept.low[q][r], Isa::add(kept.high[q][r], sums[q][r]));
    }
    if constexpr (kTurn == 3) reduce_four<Isa>(sums[q], values[q]);
  }
}

// values[q][r] = kernel(query q, row r) of two packed groups.
template <typename Isa, typename Op>
inline void kernel_tile(const float* queries, const float* rows, size_t dim,
                        float (*values)[kTileRows]) {
  TileSums<Isa> kept;
  sum_turn<Isa, Op, 0>(&queries, &rows, dim, kept, values);
  sum_turn<Isa, Op, 1>(&queries, &rows, dim, kept, values);
  sum_turn<Isa, Op, 2>(&queries, &rows, dim, kept, values);
  sum_turn<Isa, Op, 3>(&queries, &rows, dim, kept, values);
}

template <typename Isa, typename Rows, typename Op>
void kernel_packed(const void* const* queries, size_t query_count, const float* rows, size_t count,
                   size_t dim, float* scratch, float* out) {
  constexpr size_t kQueries = Isa::kTileQueries;
  const size_t group_floats = kTileRows * packed_floats<Isa>(dim);
  for (size_t q = 0; q < query_count; q += kQueries) {
    const typename Rows::Value* group[kQueries];
    for (size_t j = 0; j < kQueries; ++j) {
      const size_t at = q + j < query_count ? q + j : query_count - 1;
      group[j] = static_cast<const typename Rows::Value*>(queries[at]);
    }
    pack_group<Isa, Rows, Isa::kTileQueries>(group, dim, scratch);
    for (size_t i = 0; i < count; i += kTileRows) {
      float values[kQueries][kTileRows];
      kernel_tile<Isa, Op>(scratch, rows + i / kTileRows * group_floats, dim, values);
      for (size_t j = 0; j < kQueries && q + j < query_count; ++j) {
        for (size_t r = 0; r < kTileRows && i + r < count; ++r)
          out[(q + j) * count + i + r] = values[j][r];
      }
    }
  }
}

template <typename Isa, typename Rows, typename Op>
constexpr Kernels make_kernels() {
  return {kernel_single<Isa, Rows, Op>, kernel_rows<Isa, Rows, Op>, kernel_block<Isa, Rows, Op>,
          kernel_packed<Isa, Rows, Op>};
}

template <typename Isa, typename Rows>
constexpr ElementKernels make_element_kernels() {
  return {Rows::kElement, make_kernels<Isa, Rows, L2SqOp<Isa>>(),
          make_kernels<Isa, Rows, InnerProductOp<Isa>>(), pack_rows<Isa, Rows>,
          exact_square<Rows>};
}

template <typename Isa>
constexpr KernelSet make_kernel_set(const char* name) {
  return {name,
          Isa::kTileQueries,
          packed_floats<Isa>,
          {make_element_kernels<Isa, FloatRows<Isa>>()}};
}

}  // namespace
}  // namespace elanus
