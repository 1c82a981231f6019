// Following a path into a JSON document: the one rule that filters, and indexes over a path, share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <vector>

#include "filter/plan.h"
#include "segment/json_variant.h"

namespace elanus {

// The value at the path of a document in binary form; missing when a key is not there, an element
// is past the end, or a step meets a value of another kind.
inline VariantValue value_at(std::string_view blob, const std::vector<PathStep>& path) {
  // By depth of the path: a block of rows is read with one path after another.
  thread_local uint32_t slots[8] = {};
  VariantValue value = VariantValue::open(blob);
  size_t depth = 0;
  for (const PathStep& step : path) {
    if (step.is_key) {
      value = value.find(step.key, &slots[depth]);
    } else {
      value = value.type() == VariantType::kArray ? value.at(step.index) : VariantValue();
    }
    depth = (depth + 1) % std::size(slots);
  }
  return value;
}

inline bool is_same_path(const std::vector<PathStep>& a, const std::vector<PathStep>& b) {
  const auto is_same = [](const PathStep& x, const PathStep& y) {
    return x.is_key == y.is_key && (x.is_key ? x.key == y.key : x.index == y.index);
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), is_same);
}

}  // namespace elanus
