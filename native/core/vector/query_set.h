// The queries of one request under a metric, prepared once and shared by all its scans. Keeps a
// pointer to the caller's bytes, which may be unaligned (straight from the wire) and must outlive
// it. One dense vector a query; what reads queries takes them as Query, whatever a set is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vector/row_view.h"

namespace elanus {

struct Query {
  const uint8_t* bytes = nullptr;
  float inv_norm = 1.0f;  // 1 where the metric needs none
};

class QuerySet {
 public:
  QuerySet(const VectorType& type, size_t dim, Metric metric, const void* data, size_t count);

  size_t count() const { return rows_.count; }
  size_t dim() const { return rows_.dim; }
  const VectorType& type() const { return *rows_.type; }
  Metric metric() const { return metric_; }
  Query query(size_t i) const {
    return {rows_.row(i), inv_norms_.empty() ? 1.0f : inv_norms_[i]};
  }
  // Whether a number is missing, so that the query is near to nothing.
  bool is_near_nothing(size_t i) const;
  // Queries [first, first + some), as a set of its own.
  QuerySet part(size_t first, size_t some) const;

 private:
  QuerySet(const RowView& rows, Metric metric) : rows_(rows), metric_(metric) {}

  RowView rows_;
  Metric metric_;
  std::vector<float> inv_norms_;
};

}  // namespace elanus
