#include "vector/vector_type.h"

#include <algorithm>
#include <array>

namespace elanus {
namespace {

constexpr std::array kFloatMetrics = {Metric::kL2, Metric::kIp, Metric::kCosine};

constexpr std::array kTypes = {
    VectorType{.type = DataType::kFloatVector,
               .element = DataType::kFloat,
               .element_bytes = sizeof(float),
               .has_nan = true,
               .metrics = kFloatMetrics},
};

}  // namespace

bool VectorType::has_metric(Metric metric) const {
  return std::ranges::find(metrics, metric) != metrics.end();
}

bool VectorType::has_norms() const {
  return std::ranges::any_of(metrics, [](Metric metric) { return traits_of(metric).needs_norms; });
}

const VectorType* find_vector_type(DataType type) {
  const auto found = std::ranges::find(kTypes, type, &VectorType::type);
  return found == kTypes.end() ? nullptr : found;
}

size_t value_bytes(DataType type, uint32_t dim) {
  const VectorType* vector = find_vector_type(type);
  return vector != nullptr ? vector->row_bytes(dim) : fixed_width(type);
}

}  // namespace elanus
