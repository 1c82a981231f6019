// Row batches: what the writer makes the reader reads at any address; no bytes at all make the
// reader read outside.
#include "segment/row_batch.h"

#include "segment_fixture.h"

namespace elanus {
namespace {

using fixture::Bytes;
using fixture::Random;
using fixture::Row;

std::vector<Row> random_rows(const Schema& schema, size_t count, Random& random) {
  std::vector<Row> rows;
  for (size_t i = 0; i < count; ++i) {
    rows.push_back(fixture::random_row(schema, static_cast<int64_t>(i), 7, random));
  }
  return rows;
}

// Reads everything that a batch offers; under the address sanitizer a bad batch that was accepted
// shows itself.
uint64_t touch(const RowBatch& batch) {
  uint64_t sum = 0;
  for (const BatchColumn& column : batch.columns()) {
    for (size_t row = 0; row < batch.rows(); ++row) {
      const fixture::Cell cell = fixture::cell_at(column, row);
      if (!cell.has_value()) continue;
      for (const char c : *cell) sum += static_cast<uint8_t>(c);
      if (column.type != DataType::kArray) continue;
      // Growing segments keep blobs aligned to 8; do as they do.
      std::vector<uint64_t> aligned(cell->size() / 8 + 1);
      std::memcpy(aligned.data(), cell->data(), cell->size());
      const ArrayValue value = array_from_blob(
          column.element_type, {reinterpret_cast<const char*>(aligned.data()), cell->size()});
      for (size_t i = 0; i < value.count; ++i) {
        sum += value.element_type == DataType::kVarChar
                   ? value.string_at(i).size()
                   : static_cast<uint64_t>(value.double_at(i) != 0);
      }
    }
  }
  return sum;
}

Status open(const Bytes& bytes, RowBatch* batch) {
  return RowBatch::open(bytes.data(), bytes.size(), batch);
}

TEST(batch_reads_back_every_cell_at_any_address) {
  Random random(1);
  const Schema schema = fixture::make_schema();
  for (const size_t count : {0, 1, 8, 9, 100}) {
    const std::vector<Row> rows = random_rows(schema, count, random);
    const Bytes bytes = fixture::make_batch(schema, rows);
    for (size_t shift = 0; shift < 8; ++shift) {
      Bytes moved(shift);
      moved.insert(moved.end(), bytes.begin(), bytes.end());
      RowBatch batch;
      CHECK(RowBatch::open(moved.data() + shift, bytes.size(), &batch).is_ok());
      CHECK_EQ(batch.rows(), count);
      for (const Field& field : schema.fields()) {
        const BatchColumn* column = batch.find(field.field_id);
        CHECK(column != nullptr);
        for (size_t i = 0; i < count; ++i) {
          CHECK(fixture::cell_at(*column, i) == rows[i].cells.at(field.field_id));
        }
      }
      CHECK(batch.find(999) == nullptr);
    }
  }
}

TEST(batch_refuses_every_truncation) {
  Random random(2);
  const Schema schema = fixture::make_schema();
  const Bytes bytes = fixture::make_batch(schema, random_rows(schema, 5, random));
  for (size_t size = 0; size < bytes.size(); ++size) {
    RowBatch batch;
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(open(cut, &batch).code() == StatusCode::kDataIntegrity);
  }
}

TEST(batch_survives_random_damage) {
  Random random(3);
  const Schema schema = fixture::make_schema();
  const Bytes bytes = fixture::make_batch(schema, random_rows(schema, 9, random));
  constexpr size_t kHead = kRowBatchHeaderBytes + kRowBatchColumnBytes * 15;
  const uint64_t extremes[] = {0,     1,          7,          8,          ~0ULL,
                               ~7ULL, 1ULL << 31, 1ULL << 32, 1ULL << 63, bytes.size()};
  uint64_t sum = 0;
  size_t accepted = 0;
  for (int round = 0; round < 100000; ++round) {
    Bytes damaged = bytes;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) {
      const size_t at = random.below(random.chance(2) ? kHead : damaged.size());
      if (random.chance(2)) {
        damaged[at] = static_cast<uint8_t>(random.bits());
      } else {
        const uint64_t value = extremes[random.below(std::size(extremes))];
        const size_t place = std::min(at / 4 * 4, damaged.size() - 8);
        std::memcpy(damaged.data() + place, &value, random.chance(2) ? 4 : 8);
      }
    }
    RowBatch batch;
    if (!open(damaged, &batch).is_ok()) continue;
    ++accepted;
    sum += touch(batch);
  }
  CHECK(accepted > 0);
  CHECK(sum > 0);
}

// A batch of one column whose data bytes the test chooses.
Bytes one_column(DataType type, DataType element_type, const std::vector<uint32_t>& offsets,
                 const std::string& data) {
  RowBatchWriter writer;
  const size_t rows = offsets.empty() ? data.size() : offsets.size() - 1;
  CHECK(writer.layout(rows, {{100, type, element_type, 0, false, data.size()}}).is_ok());
  if (!offsets.empty()) std::memcpy(writer.offsets(0), offsets.data(), 4 * offsets.size());
  if (!data.empty()) std::memcpy(writer.data(0), data.data(), data.size());
  const OwnedBytes owned = writer.take();
  return Bytes(owned.data.get(), owned.data.get() + owned.size);
}

bool accepts(const Bytes& bytes) {
  RowBatch batch;
  return open(bytes, &batch).is_ok();
}

TEST(batch_checks_offsets_and_bools) {
  const DataType text = DataType::kVarChar;
  const DataType none = DataType::kNone;
  CHECK(accepts(one_column(text, none, {0, 1, 1, 4}, "abcd")));
  CHECK(!accepts(one_column(text, none, {1, 1, 1, 4}, "abcd")));
  CHECK(!accepts(one_column(text, none, {0, 3, 2, 4}, "abcd")));
  CHECK(!accepts(one_column(text, none, {0, 1, 1, 3}, "abcd")));
  CHECK(!accepts(one_column(text, none, {0, 1, 1, 5}, "abcd")));
  CHECK(accepts(one_column(DataType::kBool, none, {}, std::string("\0\1\1", 3))));
  CHECK(!accepts(one_column(DataType::kBool, none, {}, std::string("\0\2\1", 3))));
}

TEST(batch_checks_array_blobs) {
  using fixture::raw;
  const auto accepts_blob = [](DataType element, const std::string& blob) {
    return accepts(
        one_column(DataType::kArray, element, {0, static_cast<uint32_t>(blob.size())}, blob));
  };
  const auto words = [](std::initializer_list<uint32_t> values) {
    std::string out;
    for (const uint32_t value : values) out += raw(value);
    return out;
  };
  CHECK(accepts_blob(DataType::kInt32, ""));
  CHECK(accepts_blob(DataType::kInt32, "abcdefgh"));
  CHECK(!accepts_blob(DataType::kInt32, "abcdef"));
  CHECK(!accepts_blob(DataType::kBool, "\2"));
  const DataType text = DataType::kVarChar;
  CHECK(accepts_blob(text, ""));
  CHECK(accepts_blob(text, words({0, 0})));
  CHECK(accepts_blob(text, words({2, 0, 1, 3}) + "abc"));
  CHECK(!accepts_blob(text, words({2, 0, 1, 4}) + "abc"));
  CHECK(!accepts_blob(text, words({2, 0, 1, 2}) + "abc"));
  CHECK(!accepts_blob(text, words({2, 0, 4, 3}) + "abc"));
  CHECK(!accepts_blob(text, words({2, 1, 1, 3}) + "abc"));
  CHECK(!accepts_blob(text, words({3, 0, 1, 3}) + "abc"));
  CHECK(!accepts_blob(text, words({~0u, 0, 1, 3}) + "abc"));
  CHECK(!accepts_blob(text, words({0})));
  CHECK(!accepts_blob(text, "a"));
  CHECK(!accepts_blob(DataType::kJson, "1"));
}

TEST(batch_writer_refuses_what_it_cannot_hold) {
  RowBatchWriter writer;
  const BatchColumnSpec text{100, DataType::kVarChar, DataType::kNone, 0, false, uint64_t{1} << 32};
  CHECK(writer.layout(1, {text}).code() == StatusCode::kInvalidParameter);
  CHECK(writer.layout(uint64_t{1} << 32, {}).code() == StatusCode::kInvalidParameter);
  const BatchColumnSpec number{100, DataType::kInt8, DataType::kNone, 0, false, 0};
  CHECK(writer.layout(1, {number, number}).code() == StatusCode::kInvalidParameter);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
