// Many rows of few fields, for tests of what takes long or must not.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "segment/growing_segment.h"
#include "segment/row_batch.h"

namespace elanus::plain {

inline constexpr int64_t kKey = 100;
inline constexpr int64_t kText = 101;
inline constexpr int64_t kVector = 102;

inline Schema make_schema(uint32_t dim) {
  std::vector<Field> fields = {
      {.field_id = kKey, .type = DataType::kInt64, .is_primary_key = true},
      {.field_id = kText, .type = DataType::kVarChar},
      {.field_id = kVector, .type = DataType::kFloatVector, .dim = dim},
  };
  Schema schema;
  CHECK(Schema::create(std::move(fields), &schema).is_ok());
  return schema;
}

// `count` rows in one batch, all of one timestamp. Row i has key_of(i), the text "<key>" repeated
// to some 20 bytes, and the vector that `fill` writes.
inline void append_rows(GrowingSegment& segment, size_t count, uint64_t timestamp,
                        const std::function<int64_t(size_t)>& key_of,
                        const std::function<void(size_t, float*)>& fill) {
  const uint32_t dim = segment.schema().find(kVector)->dim;
  std::string texts;
  std::vector<uint32_t> ends = {0};
  for (size_t i = 0; i < count; ++i) {
    const std::string key = std::to_string(key_of(i));
    for (size_t at = 0; at < 20; at += key.size()) texts += key;
    ends.push_back(static_cast<uint32_t>(texts.size()));
  }
  RowBatchWriter writer;
  CHECK(writer
            .layout(count, {{.field_id = kKey, .type = DataType::kInt64},
                            {.field_id = kText, .type = DataType::kVarChar,
                             .data_bytes = texts.size()},
                            {.field_id = kVector, .type = DataType::kFloatVector, .dim = dim}})
            .is_ok());
  for (size_t i = 0; i < count; ++i) {
    const int64_t key = key_of(i);
    std::memcpy(writer.data(0) + 8 * i, &key, 8);
    std::vector<float> vector(dim);
    fill(i, vector.data());
    std::memcpy(writer.data(2) + 4 * dim * i, vector.data(), 4 * dim);
  }
  std::memcpy(writer.offsets(1), ends.data(), 4 * ends.size());
  std::memcpy(writer.data(1), texts.data(), texts.size());
  const OwnedBytes batch = writer.take();
  CHECK(segment.append(batch.data.get(), batch.size, timestamp).is_ok());
}

}  // namespace elanus::plain
