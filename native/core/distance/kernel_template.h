// The loops shared by all instruction sets, written over an `Isa` of a few vector operations.
// Everything is in an unnamed namespace and uses no library code, so that no function compiled with
// wide instructions can be merged with one of another file. The order of summation below is the
// only one: four accumulators take turns over whole vectors, a partial vector goes to the last.
#pragma once

#include <cstddef>
#include <cstdint>

#include "distance/kernels.h"

namespace elanus {
namespace {

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
template <typename Isa, typename Op, int kQueries, bool kPrefetch>
inline void kernel_row(const float* const* queries, const float* row, const float* next, size_t dim,
                       float* out, size_t out_stride) {
  using Reg = typename Isa::Reg;
  constexpr size_t kWidth = Isa::kWidth;
  constexpr size_t kStep = 4 * kWidth;
  constexpr size_t kLineFloats = 16;
  Reg sums[kQueries][4];
  for (int q = 0; q < kQueries; ++q) {
    for (int j = 0; j < 4; ++j) sums[q][j] = Isa::zero();
  }
  size_t i = 0;
  for (; i + kStep <= dim; i += kStep) {
    if constexpr (kPrefetch) {
      if constexpr (kStep >= kLineFloats) {
        for (size_t line = 0; line < kStep; line += kLineFloats)
          __builtin_prefetch(next + i + line);
      } else {
        __builtin_prefetch(next + i);
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const Reg r = Isa::load(row + i + j * kWidth);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        sums[q][j] = Op::step(Isa::load(queries[q] + i + j * kWidth), r, sums[q][j]);
      }
    }
  }
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    if (i + kWidth <= dim) {
      const Reg r = Isa::load(row + i);
      for (int q = 0; q < kQueries; ++q)
        sums[q][j] = Op::step(Isa::load(queries[q] + i), r, sums[q][j]);
      i += kWidth;
    }
  }
  if (i < dim) {
    const Reg r = Isa::load_part(row + i, dim - i);
    for (int q = 0; q < kQueries; ++q) {
      sums[q][3] = Op::step(Isa::load_part(queries[q] + i, dim - i), r, sums[q][3]);
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    out[static_cast<size_t>(q) * out_stride] =
        Isa::reduce(Isa::add(Isa::add(sums[q][0], sums[q][1]), Isa::add(sums[q][2], sums[q][3])));
  }
}

template <typename Isa, typename Op>
float kernel_single(const float* a, const float* b, size_t dim) {
  float out;
  kernel_row<Isa, Op, 1, false>(&a, b, nullptr, dim, &out, 1);
  return out;
}

template <typename Isa, typename Op, int kQueries>
inline void kernel_rows(const float* const* queries, const float* base, const uint32_t* ids,
                        size_t count, size_t dim, float* out, size_t out_stride) {
  if (ids == nullptr) {
    for (size_t i = 0; i < count; ++i) {
      kernel_row<Isa, Op, kQueries, false>(queries, base + i * dim, nullptr, dim, out + i,
                                           out_stride);
    }
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    const float* row = base + size_t{ids[i]} * dim;
    const float* next = i + 1 < count ? base + size_t{ids[i + 1]} * dim : row;
    kernel_row<Isa, Op, kQueries, true>(queries, row, next, dim, out + i, out_stride);
  }
}

template <typename Isa, typename Op>
void kernel_batch(const float* query, const float* base, const uint32_t* ids, size_t count,
                  size_t dim, float* out) {
  kernel_rows<Isa, Op, 1>(&query, base, ids, count, dim, out, 0);
}

// As many queries at a time as there are registers for; the rows' second reading comes from the
// nearest cache.
template <typename Isa, typename Op>
void kernel_batch4(const float* const* queries, const float* base, const uint32_t* ids,
                   size_t count, size_t dim, float* out) {
  if constexpr (Isa::kQueriesPerPass == 4) {
    kernel_rows<Isa, Op, 4>(queries, base, ids, count, dim, out, count);
  } else {
    for (size_t i = 0; i < count; ++i) {
      const float* row = base + (ids == nullptr ? i : size_t{ids[i]}) * dim;
      kernel_row<Isa, Op, 2, false>(queries, row, nullptr, dim, out + i, count);
      kernel_row<Isa, Op, 2, false>(queries + 2, row, nullptr, dim, out + 2 * count + i, count);
    }
  }
}

template <typename Isa>
constexpr KernelSet make_kernel_set(const char* name) {
  return {name,
          kernel_single<Isa, L2SqOp<Isa>>,
          kernel_single<Isa, InnerProductOp<Isa>>,
          kernel_batch<Isa, L2SqOp<Isa>>,
          kernel_batch<Isa, InnerProductOp<Isa>>,
          kernel_batch4<Isa, L2SqOp<Isa>>,
          kernel_batch4<Isa, InnerProductOp<Isa>>};
}

}  // namespace
}  // namespace elanus
