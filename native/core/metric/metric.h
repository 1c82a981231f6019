// The three float metrics and the one convention inside the core: a larger score is better.
// L2 scores are the negated squared distance; client_score turns a score into what a client sees.
#pragma once

#include <cstdint>

namespace elanus {

enum class Metric : uint8_t { kL2 = 0, kIp = 1, kCosine = 2 };

inline bool is_valid_metric(uint32_t value) { return value <= 2; }

// L2: the squared distance. IP and COSINE: the score itself. Never -0.
inline float client_score(Metric metric, float score) {
  return metric == Metric::kL2 ? 0.0f - score : score + 0.0f;
}

// The inverse of client_score: for radius and range_filter, which clients give in their own terms.
inline float internal_score(Metric metric, float client) {
  return metric == Metric::kL2 ? 0.0f - client : client;
}

// A range search keeps scores with above < score <= at_most.
struct ScoreRange {
  float above;
  float at_most;
  bool contains(float score) const { return score > above && score <= at_most; }
};

}  // namespace elanus
