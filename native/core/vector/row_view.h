// Vectors of one type as they lie in a segment, one every `stride` bytes. Owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vector/vector_type.h"

namespace elanus {

struct RowView {
  const uint8_t* base = nullptr;
  size_t stride = 0;
  size_t count = 0;
  size_t dim = 0;
  const VectorType* type = nullptr;
  const float* inv_norms = nullptr;  // one a row; null where no metric in use needs them

  const uint8_t* row(size_t i) const { return base + i * stride; }
  size_t row_bytes() const { return type->row_bytes(static_cast<uint32_t>(dim)); }
  // Rows [begin, begin + some).
  RowView part(size_t begin, size_t some) const {
    const float* norms = inv_norms == nullptr ? nullptr : inv_norms + begin;
    return {row(begin), stride, some, dim, type, norms};
  }
};

// Rows one behind the other.
inline RowView dense_rows(const VectorType& type, const void* base, size_t count, size_t dim,
                          const float* inv_norms = nullptr) {
  const size_t stride = type.row_bytes(static_cast<uint32_t>(dim));
  return {static_cast<const uint8_t*>(base), stride, count, dim, &type, inv_norms};
}

// 1 / |row|, or 0 (so that its cosine with anything is 0) for a zero vector, one shorter than
// 3 * 10^-39, whose inverse no float holds, and one with a NaN.
float inverse_norm(const RowView& rows, size_t row);
// out[i] = inverse_norm(rows, i). Used once per row: when it is appended, sealed or indexed.
void compute_inverse_norms(const RowView& rows, float* out);

}  // namespace elanus
