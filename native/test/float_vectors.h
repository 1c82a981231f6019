// Float vectors and queries as the core takes them.
#pragma once

#include <cstddef>
#include <utility>

#include "index/registry.h"
#include "vector/exact_scorer.h"

namespace elanus::check {

inline const VectorType& float_vectors() { return *find_vector_type(DataType::kFloatVector); }

inline RowView float_rows(const float* base, size_t count, size_t dim,
                          const float* inv_norms = nullptr) {
  return dense_rows(float_vectors(), base, count, dim, inv_norms);
}

inline QuerySet float_queries(const float* data, size_t count, size_t dim, Metric metric) {
  return QuerySet(float_vectors(), dim, metric, data, count);
}

// A pair's score.
inline float score_one(Metric metric, const float* query, const float* row, size_t dim) {
  const float norm = inverse_norm(float_rows(row, 1, dim), 0);
  const QuerySet queries = float_queries(query, 1, dim, metric);
  return ExactScorer::make(float_rows(row, 1, dim, &norm), queries, 0).score(0);
}

// What a build is told, with its kind.
struct IndexSpec : IndexBuildParams {
  const IndexKind* kind;

  IndexSpec(const char* name, Metric metric, ParamBag bag = {})
      : IndexBuildParams{.metric = metric, .bag = std::move(bag)}, kind(find_index_kind(name)) {}

  Status build(const RowView& rows, const IndexBuildControl& control,
               SectionFileWriter* out) const {
    return build_vector_index(*kind, *this, rows, control, out);
  }
};

}  // namespace elanus::check
