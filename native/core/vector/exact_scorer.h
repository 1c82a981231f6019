// Scores of queries against rows under a metric. Every score that a client sees comes from here,
// whatever found the candidate: brute force, a graph or inverted lists give the same bits for the
// same pair. Type and metric are looked at once, when a scorer is made: below it nothing branches
// on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "metric/metric.h"
#include "vector/query_set.h"
#include "vector/row_view.h"

namespace elanus {

// One query against rows by number. `rows` must have inverse norms where the metric needs them.
class ExactScorer {
 public:
  static ExactScorer make(const RowView& rows, Metric metric, const Query& query);
  static ExactScorer make(const RowView& rows, const QuerySet& queries, size_t i) {
    return make(rows, queries.metric(), queries.query(i));
  }
  // The same for another query: nothing is looked up.
  ExactScorer with(const Query& query) const {
    ExactScorer scorer = *this;
    scorer.query_ = query;
    return scorer;
  }

  float score(uint32_t row) const {
    float out;
    score_ids(&row, 1, &out);
    return out;
  }
  // out[i] = score of row ids[i].
  void score_ids(const uint32_t* ids, size_t count, float* out) const {
    kernel_(query_.bytes, base_, stride_, ids, count, dim_, out);
    finish_(out, count, query_.inv_norm, inv_norms_, ids);
  }
  // out[i] = score of row begin + i.
  void score_range(size_t begin, size_t count, float* out) const;

 private:
  const uint8_t* base_ = nullptr;
  size_t stride_ = 0;
  size_t dim_ = 0;
  const float* inv_norms_ = nullptr;
  Query query_;
  Kernels::Rows kernel_ = nullptr;
  MetricTraits::Finish finish_ = nullptr;
};

// Some rows against many queries: rows `ids`, or begin, begin + 1, ... when ids is null. When there
// are enough queries the rows are copied once into the form that the kernels like best, which
// should stay in the second-level cache. Not shared between threads; reuse it for its memory.
class RowBlock {
 public:
  // Queries that score takes at most.
  static constexpr size_t kQueries = 12;

  // `rows` and `ids` must outlive the calls of score.
  void assign(const RowView& rows, Metric metric, const uint32_t* ids, size_t begin, size_t count,
              size_t query_count);
  // out[q * count + i] for `query_count` queries of the set from `first` on.
  void score(const QuerySet& queries, size_t first, size_t query_count, float* out);
  // The same for vectors anywhere, and as the metric's kernel computes it: no score yet.
  void compute(const void* const* queries, size_t query_count, float* out);

 private:
  RowView rows_;  // from the first one on
  const uint32_t* ids_ = nullptr;
  size_t count_ = 0;
  const Kernels* kernels_ = nullptr;
  MetricTraits::Finish finish_ = nullptr;
  bool is_packed_ = false;
  std::vector<float> packed_;
  std::vector<float> scratch_;
};

}  // namespace elanus
