// The metrics as rows of one table, and the one convention inside the core: a larger score is
// better. What a kernel computes becomes a score here; client_score turns a score into what a
// client sees. Under every metric equal scores come in the order of their primary keys
// (read/reduce.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/kernels.h"

namespace elanus {

// With the numbers of index files (io/section_file.h).
enum class Metric : uint8_t { kL2 = 0, kIp = 1, kCosine = 2 };

struct MetricTraits {
  // Turns kernel values into scores, in place: never NaN, and a cosine lies in [-1, 1]. `inv_norms`
  // has one for each value, those of `ids` when there are any; read where norms are needed.
  using Finish = void (*)(float* values, size_t count, float query_inv_norm,
                          const float* inv_norms, const uint32_t* ids);

  Metric metric;
  const char* name;
  Kernels ElementKernels::* kernels;
  Finish finish;
  // Clients see a distance, the negated score; else the score itself.
  bool is_distance;
  // Scores take the inverse norms of query and row.
  bool needs_norms;
  // Of two rows of one direction the longer has the better score, so that near and good differ.
  bool favours_length;
};

const MetricTraits& traits_of(Metric metric);
// Null for a name, for a number that is none.
const MetricTraits* find_metric(std::string_view name);
const MetricTraits* find_metric(uint32_t number);

// Never -0.
inline float client_score(Metric metric, float score) {
  return traits_of(metric).is_distance ? 0.0f - score : score + 0.0f;
}

// The inverse of client_score: for radius and range_filter, which clients give in their own terms.
inline float internal_score(Metric metric, float client) {
  return traits_of(metric).is_distance ? 0.0f - client : client;
}

// A range search keeps scores with above < score <= at_most.
struct ScoreRange {
  float above;
  float at_most;
  bool contains(float score) const { return score > above && score <= at_most; }
};

}  // namespace elanus
