// Scores of queries against rows under a metric. Every score that a client sees comes from here,
// whatever found the candidate: brute force, a graph or inverted lists give the same bits for the
// same pair. A score is never NaN, and a cosine lies in [-1, 1], before anything compares it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "metric/metric.h"

namespace elanus {

// 1 / |v|, or 0 (so that its cosine with anything is 0) for a zero vector, one shorter than
// 3 * 10^-39, whose inverse no float holds, and one with a NaN.
float inverse_norm(const float* v, size_t dim);
// out[i] = inverse_norm(rows + i * dim). Used once per row: when it is appended, sealed or indexed.
void compute_inverse_norms(const float* rows, size_t row_count, size_t dim, float* out);

// Contiguous rows under a metric. `inv_norms` (one per row) is needed for COSINE and ignored
// otherwise.
struct VectorRows {
  const float* base = nullptr;
  size_t rows = 0;
  size_t dim = 0;
  Metric metric = Metric::kL2;
  const float* inv_norms = nullptr;
};

// The queries of one request, prepared once and shared by all its scans. Keeps pointers to the
// caller's floats, which may be unaligned (straight from the wire) and must outlive it.
class QueryBatch {
 public:
  QueryBatch(const float* data, size_t count, size_t dim, Metric metric);
  size_t count() const { return count_; }
  size_t dim() const { return dim_; }
  Metric metric() const { return metric_; }
  const float* query(size_t i) const { return data_ + i * dim_; }
  float inv_norm(size_t i) const { return metric_ == Metric::kCosine ? inv_norms_[i] : 1.0f; }

 private:
  const float* data_;
  size_t count_;
  size_t dim_;
  Metric metric_;
  std::vector<float> inv_norms_;
};

// Score of one pair. `query_inv_norm` and `row_inv_norm` are read for COSINE only.
float score_one(Metric metric, const float* query, float query_inv_norm, const float* row,
                float row_inv_norm, size_t dim);

// One query with everything chosen: scores rows of `rows` by id.
class Scorer {
 public:
  Scorer(const VectorRows& rows, const float* query, float query_inv_norm)
      : rows_(rows), query_(query), query_inv_norm_(query_inv_norm), set_(&kernels_in_use()) {}
  Scorer(const VectorRows& rows, const QueryBatch& queries, size_t index)
      : Scorer(rows, queries.query(index), queries.inv_norm(index)) {}

  float score(uint32_t row) const;
  // out[i] = score of row ids[i].
  void score_ids(const uint32_t* ids, size_t count, float* out) const;
  // out[i] = score of row begin + i.
  void score_range(size_t begin, size_t count, float* out) const;

 private:
  static const KernelSet& kernels_in_use();
  VectorRows rows_;
  const float* query_;
  float query_inv_norm_;
  const KernelSet* set_;
};

// Some rows against many queries: rows `ids`, or begin, begin + 1, ... when ids is null. When there
// are enough queries the rows are copied once into the form that the kernels like best, which
// should stay in the second-level cache. Not shared between threads; reuse it for its memory.
class RowBlock {
 public:
  // Queries that score takes at most.
  static constexpr size_t kQueries = 12;

  // `rows` and `ids` must outlive the calls of score.
  void assign(const VectorRows& rows, const uint32_t* ids, size_t begin, size_t count,
              size_t query_count);
  // out[q * count + i] for `query_count` queries of the batch from `first` on.
  void score(const QueryBatch& queries, size_t first, size_t query_count, float* out);
  // The same without a metric: inner products.
  void inner_products(const float* const* queries, size_t query_count, float* out) {
    run(queries, query_count, false, out);
  }

 private:
  void run(const float* const* queries, size_t query_count, bool is_l2, float* out);

  VectorRows rows_;
  const uint32_t* ids_ = nullptr;
  size_t begin_ = 0;
  size_t count_ = 0;
  bool is_packed_ = false;
  std::vector<float> packed_;
  std::vector<float> scratch_;
};

}  // namespace elanus
