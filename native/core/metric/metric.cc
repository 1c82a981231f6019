#include "metric/metric.h"

#include <algorithm>
#include <array>
#include <limits>

namespace elanus {
namespace {

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

void finish_l2(float* values, size_t count, float, const float*, const uint32_t*) {
  for (size_t i = 0; i < count; ++i) values[i] = number(0.0f - values[i]);
}

void finish_ip(float* values, size_t count, float, const float*, const uint32_t*) {
  for (size_t i = 0; i < count; ++i) values[i] = number(values[i]);
}

void finish_cosine(float* values, size_t count, float query_inv_norm, const float* inv_norms,
                   const uint32_t* ids) {
  if (ids == nullptr) {
    for (size_t i = 0; i < count; ++i) values[i] = cosine(values[i], query_inv_norm, inv_norms[i]);
  } else {
    for (size_t i = 0; i < count; ++i)
      values[i] = cosine(values[i], query_inv_norm, inv_norms[ids[i]]);
  }
}

// By number.
constexpr std::array<MetricTraits, 3> kMetrics = {{
    {.metric = Metric::kL2,
     .name = "L2",
     .kernels = &ElementKernels::l2_sq,
     .finish = finish_l2,
     .is_distance = true,
     .needs_norms = false,
     .favours_length = false},
    {.metric = Metric::kIp,
     .name = "IP",
     .kernels = &ElementKernels::inner_product,
     .finish = finish_ip,
     .is_distance = false,
     .needs_norms = false,
     .favours_length = true},
    {.metric = Metric::kCosine,
     .name = "COSINE",
     .kernels = &ElementKernels::inner_product,
     .finish = finish_cosine,
     .is_distance = false,
     .needs_norms = true,
     .favours_length = false},
}};

}  // namespace

const MetricTraits& traits_of(Metric metric) { return kMetrics[static_cast<size_t>(metric)]; }

const MetricTraits* find_metric(std::string_view name) {
  const auto found = std::ranges::find(kMetrics, name, &MetricTraits::name);
  return found == kMetrics.end() ? nullptr : found;
}

const MetricTraits* find_metric(uint32_t number) {
  return number < kMetrics.size() ? &kMetrics[number] : nullptr;
}

}  // namespace elanus
