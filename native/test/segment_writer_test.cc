// Segment files from growing and sealed inputs: the rows, their order, any byte range of any
// buffer.
#include "segment/segment_writer.h"

#include <numeric>

#include "segment_fixture.h"

namespace elanus {
namespace {

using fixture::append;
using fixture::Bytes;
using fixture::Random;
using fixture::Row;

struct ModelRow {
  Row row;
  int64_t key = 0;
  uint64_t deleted_at = 0;
};

// The model's rows in the order of a file: by key (strings by bytes), then timestamp, equal ones as
// they came.
std::vector<ModelRow> in_file_order(std::vector<ModelRow> rows, const Schema& schema) {
  std::stable_sort(rows.begin(), rows.end(), [&](const ModelRow& a, const ModelRow& b) {
    if (a.key != b.key) {
      if (!schema.has_string_keys()) return a.key < b.key;
      return fixture::key_cell(schema, a.key) < fixture::key_cell(schema, b.key);
    }
    return a.row.timestamp < b.row.timestamp;
  });
  return rows;
}

std::vector<Row> only_rows(const std::vector<ModelRow>& model) {
  std::vector<Row> rows;
  for (const ModelRow& row : model) rows.push_back(row.row);
  return rows;
}

// Appends rows in batches of rising timestamps and deletes some of them.
std::shared_ptr<GrowingSegment> fill(const Schema& schema, size_t rows, uint64_t* now,
                                     Random& random, std::vector<ModelRow>* model) {
  const auto segment = GrowingSegment::create(schema);
  const size_t first = model->size();
  while (model->size() - first < rows) {
    ++*now;
    std::vector<Row> batch;
    for (uint64_t n = 1 + random.below(40); n > 0; --n) {
      const int64_t key = static_cast<int64_t>(random.below(rows)) - static_cast<int64_t>(rows / 2);
      batch.push_back(fixture::random_row(schema, key, *now, random));
      model->push_back({batch.back(), key, 0});
    }
    CHECK(append(*segment, fixture::make_batch(schema, batch), *now).is_ok());
    ++*now;
    const int64_t victim = (*model)[first + random.below(model->size() - first)].key;
    fixture::delete_key(*segment, victim, *now, *now - 1);
    for (size_t i = first; i < model->size(); ++i) {
      if ((*model)[i].key == victim && (*model)[i].deleted_at == 0) (*model)[i].deleted_at = *now;
    }
  }
  return segment;
}

void check_same(const SealedSegment& sealed, const std::vector<ModelRow>& model) {
  const auto snapshot = sealed.snapshot(kReadAll);
  CHECK_EQ(snapshot->row_count(), model.size());
  fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), only_rows(model));
  // The binary form of JSON must still be that of the text.
  if (model.empty()) return;
  const ColumnView json = snapshot->column(0, fixture::kJsonField);
  for (size_t i = 0; i < model.size(); ++i) {
    const VariantValue root = VariantValue::open(json.json_variant->string_at(i));
    CHECK_EQ(root.is_missing(), !json.is_valid(i));
    uint32_t slot = 0;
    if (json.is_valid(i)) CHECK_EQ(root.find("a", &slot).size(), 2u);
  }
}

void run_merges(DataType key_type, uint64_t seed) {
  Random random(seed);
  const Schema schema = fixture::make_schema(key_type);
  uint64_t now = 10;
  std::vector<ModelRow> model;
  const auto one = fill(schema, 300, &now, random, &model);
  const auto two = fill(schema, 150, &now, random, &model);
  const uint64_t middle = now / 2;
  const fixture::TemporaryFile merged_file;
  // Delete timestamps up to the middle drop rows; later deletes leave them in.
  const auto merged =
      fixture::seal({one, two}, schema, merged_file.path(), middle, 1000 + random.below(9999));
  std::erase_if(
      model, [&](const ModelRow& row) { return row.deleted_at != 0 && row.deleted_at <= middle; });
  model = in_file_order(model, schema);
  check_same(*merged, model);
  CHECK_EQ(merged->stats().deleted_rows, 0u);
  // A sealed and a growing input, and everything deleted is dropped.
  for (ModelRow& row : model) row.deleted_at = 0;
  for (int64_t key = -100; key < 100; key += 3) {
    ++now;
    fixture::delete_key(*merged, key, now, now - 1);
    for (ModelRow& row : model) {
      if (row.key == key) row.deleted_at = now;
    }
  }
  const auto three = fill(schema, 100, &now, random, &model);
  const fixture::TemporaryFile again_file;
  const auto again = fixture::seal({merged, three}, schema, again_file.path(), now, 777);
  std::erase_if(model, [](const ModelRow& row) { return row.deleted_at != 0; });
  check_same(*again, in_file_order(model, schema));
}

TEST(writer_merges_and_drops_deleted_rows) {
  for (const uint64_t seed : {61, 62, 63}) run_merges(DataType::kInt64, seed);
}

TEST(writer_merges_segments_with_string_keys) {
  for (const uint64_t seed : {64, 65, 66}) run_merges(DataType::kVarChar, seed);
}

constexpr SegmentBuffer kBuffers[] = {SegmentBuffer::kValidity,    SegmentBuffer::kOffsets,
                                      SegmentBuffer::kData,        SegmentBuffer::kVariantOffsets,
                                      SegmentBuffer::kVariantData, SegmentBuffer::kChildOffsets,
                                      SegmentBuffer::kChildData};

uint64_t planned_bytes(const ColumnPlan& plan, SegmentBuffer buffer) {
  const uint64_t bytes[] = {plan.validity_bytes,     plan.offsets_bytes,
                            plan.data_bytes,         plan.variant_offsets_bytes,
                            plan.variant_data_bytes, plan.child_offsets_bytes,
                            plan.child_data_bytes};
  return bytes[static_cast<size_t>(buffer)];
}

TEST(writer_yields_any_range_of_any_buffer) {
  Random random(67);
  const Schema schema = fixture::make_schema();
  uint64_t now = 1;
  std::vector<ModelRow> model;
  const auto growing = fill(schema, 200, &now, random, &model);
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({growing}, schema, file.path());
  for (const std::shared_ptr<const Segment>& input : {std::shared_ptr<const Segment>(growing),
                                                      std::shared_ptr<const Segment>(sealed)}) {
    std::unique_ptr<SegmentWriter> writer;
    CHECK(SegmentWriter::create({input}, 0, &writer).is_ok());
    CHECK_EQ(writer->rows(), model.size());
    for (const ColumnPlan& plan : writer->columns()) {
      const int64_t id = plan.field.field_id;
      for (const SegmentBuffer buffer : kBuffers) {
        const uint64_t bytes = planned_bytes(plan, buffer);
        Bytes whole(bytes);
        CHECK(writer->read_buffer(id, buffer, 0, bytes, whole.data()).is_ok());
        for (int round = 0; round < 200 && bytes != 0; ++round) {
          const uint64_t begin = random.below(bytes + 1);
          const uint64_t length = random.below(std::min<uint64_t>(bytes - begin, 50) + 1);
          Bytes part(length);
          CHECK(writer->read_buffer(id, buffer, begin, length, part.data()).is_ok());
          CHECK(std::equal(part.begin(), part.end(),
                           whole.begin() + static_cast<std::ptrdiff_t>(begin)));
        }
        uint8_t byte = 0;
        CHECK(!writer->read_buffer(id, buffer, bytes, 1, &byte).is_ok());
        CHECK(!writer->read_buffer(id, buffer, bytes + 1, 0, &byte).is_ok());
        CHECK(!writer->read_buffer(id, buffer, 0, ~uint64_t{0}, &byte).is_ok());
        CHECK(!writer->read_buffer(id, buffer, ~uint64_t{0}, 2, &byte).is_ok());
      }
      uint8_t byte = 0;
      CHECK(!writer->read_buffer(12345, SegmentBuffer::kData, 0, 1, &byte).is_ok());
    }
  }
}

TEST(writer_plans_what_arrow_expects) {
  Random random(68);
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  std::vector<Row> rows;
  for (int64_t key = 0; key < 13; ++key)
    rows.push_back(fixture::random_row(schema, key, 4, random, 0));
  rows[3].cells[108] = std::nullopt;
  CHECK(append(*segment, fixture::make_batch(schema, rows), 4).is_ok());
  std::unique_ptr<SegmentWriter> writer;
  CHECK(SegmentWriter::create({segment}, 0, &writer).is_ok());
  std::vector<int64_t> ids;
  for (const ColumnPlan& plan : writer->columns()) {
    ids.push_back(plan.field.field_id);
    const bool has_null = plan.field.field_id == 108;
    CHECK_EQ(plan.null_count, has_null ? 1u : 0u);
    CHECK_EQ(plan.validity_bytes, has_null ? 2u : 0u);
    if (is_variable_width(plan.field.type)) CHECK_EQ(plan.offsets_bytes, 14u * 8);
    if (plan.field.type == DataType::kBool) CHECK_EQ(plan.data_bytes, 2u);
    if (plan.field.type == DataType::kFloatVector) CHECK_EQ(plan.data_bytes, 13u * 20);
    if (plan.field.field_id == 110) CHECK_EQ(plan.data_bytes, plan.child_rows * 4);
    if (plan.field.field_id == 111) CHECK_EQ(plan.data_bytes, (plan.child_rows + 7) / 8);
    if (plan.field.field_id == 112) {
      CHECK_EQ(plan.data_bytes, 0u);
      CHECK_EQ(plan.child_offsets_bytes, 8 * (plan.child_rows + 1));
    }
  }
  const std::vector<int64_t> expected = {0,   1,   100, 101, 102, 103, 104, 105, 106,
                                         107, 108, 109, 110, 111, 112, 113, 120};
  CHECK(ids == expected);
  uint8_t validity[2];
  CHECK(writer->read_buffer(108, SegmentBuffer::kValidity, 0, 2, validity).is_ok());
  CHECK_EQ(validity[0], 0xF7);
  CHECK_EQ(validity[1], 0x1F);
}

TEST(writer_makes_an_empty_segment) {
  const Schema schema = fixture::make_schema();
  const auto growing = GrowingSegment::create(schema);
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({growing}, schema, file.path());
  CHECK_EQ(sealed->row_count(), 0u);
  const auto snapshot = sealed->snapshot(5);
  Bitset visible;
  CHECK(snapshot->fill_visible(5, &visible));
  CHECK_EQ(visible.size(), 0u);
  CHECK(fixture::find_key(*snapshot, 1).empty());
  CHECK_EQ(snapshot->chunk_count(), 0u);
}

TEST(writer_does_not_see_what_comes_after_it) {
  Random random(69);
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  std::vector<Row> rows;
  for (int64_t key = 0; key < 100; ++key)
    rows.push_back(fixture::random_row(schema, key, 4, random));
  CHECK(append(*segment, fixture::make_batch(schema, rows), 4).is_ok());
  std::unique_ptr<SegmentWriter> writer;
  CHECK(SegmentWriter::create({segment}, 100, &writer).is_ok());
  fixture::delete_key(*segment, 5, 6, 5);
  CHECK(append(*segment, fixture::make_batch(schema, rows), 7).is_ok());
  const fixture::TemporaryFile file;
  const std::vector<ColumnLayout> layouts = fixture::write_file(*writer, file.path());
  std::shared_ptr<SealedSegment> sealed;
  CHECK(SealedSegment::open(schema, file.path(), writer->rows(), layouts, &sealed).is_ok());
  const auto snapshot = sealed->snapshot(kReadAll);
  fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), rows);
}

TEST(writer_joins_schemas_and_refuses_those_that_differ) {
  Random random(70);
  const Schema schema = fixture::make_schema();
  Schema older;
  CHECK(
      Schema::create({{.field_id = fixture::kKey, .type = DataType::kInt64, .is_primary_key = true},
                      {.field_id = 101, .type = DataType::kBool, .nullable = true}},
                     &older)
          .is_ok());
  const auto a = GrowingSegment::create(older);
  const auto b = GrowingSegment::create(schema);
  std::vector<Row> rows;
  for (int64_t key = 0; key < 50; ++key)
    rows.push_back(fixture::random_row(key % 2 == 0 ? older : schema, key, 4, random));
  for (const Row& row : rows) {
    const bool is_older = row.cells.size() == 2;
    CHECK(append(is_older ? *a : *b, fixture::make_batch(is_older ? older : schema, {row}), 4)
              .is_ok());
  }
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({a, b}, schema, file.path());
  const auto snapshot = sealed->snapshot(kReadAll);
  fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), rows);

  Schema other;
  CHECK(
      Schema::create({{.field_id = fixture::kKey, .type = DataType::kInt64, .is_primary_key = true},
                      {.field_id = 101, .type = DataType::kInt8, .nullable = true}},
                     &other)
          .is_ok());
  std::unique_ptr<SegmentWriter> writer;
  CHECK(!SegmentWriter::create({a, GrowingSegment::create(other)}, 0, &writer).is_ok());
  CHECK(!SegmentWriter::create(
             {a, GrowingSegment::create(fixture::make_schema(DataType::kVarChar))}, 0, &writer)
             .is_ok());
  CHECK(!SegmentWriter::create({}, 0, &writer).is_ok());
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
