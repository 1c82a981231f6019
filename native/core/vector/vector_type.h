// The types of vector fields as rows of one table: all that code outside the kernels knows of a
// type. How a segment file or a row batch holds a vector is its bytes, one row after another; the
// Arrow form is TypeScript's matter (src/model/vector-type.ts).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/data_type.h"
#include "metric/metric.h"

namespace elanus {

struct VectorType {
  DataType type;
  // What the kernels are chosen by, and what an index file's header says.
  DataType element;
  size_t element_bytes;
  // Whether an element can be a NaN. A query with one is near to nothing.
  bool has_nan;
  std::span<const Metric> metrics;

  size_t row_bytes(uint32_t dim) const { return element_bytes * size_t{dim}; }
  bool has_metric(Metric metric) const;
  // Whether rows keep inverse norms.
  bool has_norms() const;
};

// Null for a type of no vectors.
const VectorType* find_vector_type(DataType type);
inline bool is_vector(DataType type) { return find_vector_type(type) != nullptr; }

// Bytes of one value of fixed width as row batches and growing chunks hold it, vectors included; 0
// for types of variable width.
size_t value_bytes(DataType type, uint32_t dim);

}  // namespace elanus
