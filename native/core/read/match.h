// A row that a read has found, with what orders it: by key, of a repeated key the newest first. For
// answers that are rows and not scores; larger ones are sorted faster with all of it at hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "read/reduce.h"
#include "segment/segment.h"

namespace elanus {

struct Match {
  int64_t key = 0;
  std::string_view text;  // VarChar keys
  uint64_t timestamp = 0;
  RowRef ref;

  static Match of(const SegmentSnapshot& rows, uint32_t source, size_t row) {
    Match match;
    if (rows.schema().has_string_keys()) {
      match.text = rows.key_string_at(row);
    } else {
      match.key = rows.key_at(row);
    }
    match.timestamp = rows.timestamp_at(row);
    match.ref = {source, static_cast<uint32_t>(row)};
    return match;
  }
};

inline bool is_same_key(const Match& a, const Match& b) {
  return a.key == b.key && a.text == b.text;
}

struct MatchOrder {
  static constexpr bool kByKey = true;
  static float score(const Match&) { return 0; }
  static int compare_keys(const Match& a, const Match& b) {
    return a.key != b.key ? order_of(a.key, b.key) : a.text.compare(b.text);
  }
  static uint64_t timestamp(const Match& match) { return match.timestamp; }
  static RowRef ref(const Match& match) { return match.ref; }
};

}  // namespace elanus
