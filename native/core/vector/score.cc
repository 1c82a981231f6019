#include "vector/score.h"

#include <array>
#include <cmath>
#include <limits>

#include "kernels/dispatch.h"

namespace elanus {
namespace {

constexpr size_t kPackQueries = 16;

// A score is a number: sums of finite products overflow to infinities, and two of those of
// different sign make a NaN, which would order like nothing. It counts as the worst.
inline float number(float score) {
  return score == score ? score : -std::numeric_limits<float>::infinity();
}

// The product's order is fixed: every form below must round alike. Three roundings leave up to
// 2 * 10^-7 above 1 for a vector's cosine with itself; NaN becomes -1.
inline float cosine(float inner_product, float query_inv_norm, float row_inv_norm) {
  const float product = inner_product * query_inv_norm * row_inv_norm;
  const float low = product > -1.0f ? product : -1.0f;
  return low < 1.0f ? low : 1.0f;
}

KernelSet::Batch batch_kernel(const KernelSet& set, Metric metric) {
  return metric == Metric::kL2 ? set.l2_sq_batch : set.inner_product_batch;
}

// Turns kernel values of `count` rows (ids, or from `begin` on) into scores.
void finish(const VectorRows& rows, float query_inv_norm, const uint32_t* ids, size_t begin,
            size_t count, float* out) {
  if (rows.metric == Metric::kL2) {
    for (size_t i = 0; i < count; ++i) out[i] = number(0.0f - out[i]);
  } else if (rows.metric == Metric::kIp) {
    for (size_t i = 0; i < count; ++i) out[i] = number(out[i]);
  } else if (ids != nullptr) {
    for (size_t i = 0; i < count; ++i)
      out[i] = cosine(out[i], query_inv_norm, rows.inv_norms[ids[i]]);
  } else {
    for (size_t i = 0; i < count; ++i)
      out[i] = cosine(out[i], query_inv_norm, rows.inv_norms[begin + i]);
  }
}

}  // namespace

// Squares of floats below 2^-63 lose bits or vanish, those above 2^64 overflow; doubles hold them
// all.
float inverse_norm(const float* v, size_t dim) {
  // Above it what squares lose, below 2^-126, is less than a rounding.
  constexpr float kSmallest = 0x1p-100f;
  const float square = kernels().inner_product(v, v, dim);
  if (square >= kSmallest && std::isfinite(square)) return 1.0f / std::sqrt(square);
  double exact = 0;
  for (size_t i = 0; i < dim; ++i) exact += static_cast<double>(v[i]) * v[i];
  const double inverse = exact > 0 ? 1.0 / std::sqrt(exact) : 0.0;
  return inverse <= std::numeric_limits<float>::max() ? static_cast<float>(inverse) : 0.0f;
}

void compute_inverse_norms(const float* rows, size_t row_count, size_t dim, float* out) {
  for (size_t i = 0; i < row_count; ++i) out[i] = inverse_norm(rows + i * dim, dim);
}

QueryBatch::QueryBatch(const float* data, size_t count, size_t dim, Metric metric)
    : data_(data), count_(count), dim_(dim), metric_(metric) {
  if (metric != Metric::kCosine) return;
  inv_norms_.resize(count);
  compute_inverse_norms(data, count, dim, inv_norms_.data());
}

float score_one(Metric metric, const float* query, float query_inv_norm, const float* row,
                float row_inv_norm, size_t dim) {
  const KernelSet& set = kernels();
  if (metric == Metric::kL2) return number(0.0f - set.l2_sq(query, row, dim));
  const float product = set.inner_product(query, row, dim);
  return metric == Metric::kIp ? number(product) : cosine(product, query_inv_norm, row_inv_norm);
}

const KernelSet& Scorer::kernels_in_use() { return kernels(); }

float Scorer::score(uint32_t row) const {
  float out;
  score_ids(&row, 1, &out);
  return out;
}

void Scorer::score_ids(const uint32_t* ids, size_t count, float* out) const {
  batch_kernel(*set_, rows_.metric)(query_, rows_.base, ids, count, rows_.dim, out);
  finish(rows_, query_inv_norm_, ids, 0, count, out);
}

void Scorer::score_range(size_t begin, size_t count, float* out) const {
  batch_kernel(*set_, rows_.metric)(query_, rows_.base + begin * rows_.dim, nullptr, count,
                                    rows_.dim, out);
  finish(rows_, query_inv_norm_, nullptr, begin, count, out);
}

void RowBlock::assign(const VectorRows& rows, const uint32_t* ids, size_t begin, size_t count,
                      size_t query_count) {
  const KernelSet& set = kernels();
  rows_ = rows;
  ids_ = ids;
  begin_ = begin;
  count_ = count;
  // Copying a row costs about as much as two queries do.
  is_packed_ = count >= 4 && query_count >= kPackQueries;
  if (!is_packed_) return;
  const size_t floats = set.packed_floats(rows.dim);
  packed_.resize((count + 3) / 4 * 4 * floats);
  scratch_.resize(set.tile_queries * floats);
  set.pack(ids == nullptr ? rows.base + begin * rows.dim : rows.base, ids, count, rows.dim,
           packed_.data());
}

void RowBlock::run(const float* const* queries, size_t query_count, bool is_l2, float* out) {
  const KernelSet& set = kernels();
  size_t packed = 0;
  if (is_packed_) {
    // A last tile that is less than half full is better served without.
    packed = query_count / set.tile_queries * set.tile_queries;
    if ((query_count - packed) * 2 >= set.tile_queries) packed = query_count;
    (is_l2 ? set.l2_sq_packed : set.inner_product_packed)(queries, packed, packed_.data(), count_,
                                                          rows_.dim, scratch_.data(), out);
  }
  if (packed == query_count) return;
  const float* base = ids_ == nullptr ? rows_.base + begin_ * rows_.dim : rows_.base;
  (is_l2 ? set.l2_sq_block : set.inner_product_block)(queries + packed, query_count - packed, base,
                                                      ids_, count_, rows_.dim,
                                                      out + packed * count_);
}

void RowBlock::score(const QueryBatch& queries, size_t first, size_t query_count, float* out) {
  std::array<const float*, kQueries> some{};
  for (size_t q = 0; q < query_count; ++q) some[q] = queries.query(first + q);
  run(some.data(), query_count, rows_.metric == Metric::kL2, out);
  for (size_t q = 0; q < query_count; ++q)
    finish(rows_, queries.inv_norm(first + q), ids_, begin_, count_, out + q * count_);
}

}  // namespace elanus
