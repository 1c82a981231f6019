#include "vector/row_view.h"

#include <cmath>
#include <limits>

#include "kernels/dispatch.h"

namespace elanus {

// Squares of floats below 2^-63 lose bits or vanish, those above 2^64 overflow; doubles hold them
// all.
float inverse_norm(const RowView& rows, size_t row) {
  // Above it what squares lose, below 2^-126, is less than a rounding.
  constexpr float kSmallest = 0x1p-100f;
  const ElementKernels& kernels = kernels_of(rows.type->element);
  const uint8_t* bytes = rows.row(row);
  const float square = kernels.inner_product.single(bytes, bytes, rows.dim);
  if (square >= kSmallest && std::isfinite(square)) return 1.0f / std::sqrt(square);
  const double exact = kernels.exact_square(bytes, rows.dim);
  const double inverse = exact > 0 ? 1.0 / std::sqrt(exact) : 0.0;
  return inverse <= std::numeric_limits<float>::max() ? static_cast<float>(inverse) : 0.0f;
}

void compute_inverse_norms(const RowView& rows, float* out) {
  for (size_t i = 0; i < rows.count; ++i) out[i] = inverse_norm(rows, i);
}

}  // namespace elanus
