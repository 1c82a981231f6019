// Growing segments against a list of rows: append, delete, snapshots that stay as they were,
// refusals that leave no trace, and one writer beside three readers (run it under the thread
// sanitizer).
#include "segment/growing_segment.h"

#include <cmath>
#include <fstream>
#include <map>
#include <thread>
#include <utility>

#include "segment_fixture.h"

namespace elanus {
namespace {

using fixture::append;
using fixture::Bytes;
using fixture::Random;
using fixture::Row;

// Rows with their delete timestamps, by row number.
struct Model {
  std::vector<Row> rows;
  std::vector<int64_t> keys;
  std::vector<uint64_t> deleted_at;

  size_t delete_key(int64_t key, uint64_t timestamp, uint64_t kills_up_to) {
    size_t count = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (keys[i] != key || deleted_at[i] != 0 || rows[i].timestamp > kills_up_to) continue;
      deleted_at[i] = timestamp;
      ++count;
    }
    return count;
  }
};

void check_visible(const SegmentSnapshot& snapshot, const Model& model, uint64_t read_ts) {
  Bitset visible;
  const bool is_all = snapshot.fill_visible(read_ts, &visible);
  CHECK_EQ(visible.size(), snapshot.row_count());
  size_t count = 0;
  for (size_t row = 0; row < model.rows.size(); ++row) {
    const uint64_t deleted_at = model.deleted_at[row];
    const bool expected =
        model.rows[row].timestamp <= read_ts && (deleted_at == 0 || deleted_at > read_ts);
    const bool is_there = row < snapshot.row_count();
    if (!is_there) {
      CHECK(!expected || model.rows[row].timestamp > snapshot.read_ts());
      continue;
    }
    CHECK_EQ(visible.test(row), expected);
    CHECK_EQ(snapshot.is_visible(row, read_ts), expected);
    count += expected;
  }
  if (is_all || snapshot.all_visible(read_ts)) CHECK_EQ(count, snapshot.row_count());
}

void check_norms(const SegmentSnapshot& snapshot) {
  for (size_t c = 0; c < snapshot.chunk_count(); ++c) {
    const float* norms = snapshot.inv_norms(c, fixture::kVector, nullptr);
    const ColumnView vectors = snapshot.column(c, fixture::kVector);
    for (size_t i = 0; i < snapshot.chunk_rows(c); ++i) {
      const float* vector = static_cast<const float*>(vectors.data) + i * fixture::kDim;
      double sum = 0;
      for (uint32_t d = 0; d < fixture::kDim; ++d) sum += std::pow(vector[d], 2);
      const double expected = sum == 0 ? 0 : 1 / std::sqrt(sum);
      CHECK(std::fabs(norms[i] - expected) <= 1e-6 * expected);
    }
  }
}

void run_model(DataType key_type, uint64_t seed) {
  Random random(seed);
  const Schema schema = fixture::make_schema(key_type);
  const auto segment = GrowingSegment::create(schema);
  Model model;
  uint64_t now = 1;
  std::unique_ptr<SegmentSnapshot> old;
  std::vector<Row> old_rows;
  for (int step = 0; step < 150; ++step) {
    now += 1 + random.below(3);
    if (random.chance(3) && !model.rows.empty()) {
      const int64_t key = static_cast<int64_t>(random.below(200));
      const uint64_t kills_up_to = random.chance(3) ? random.below(now) : now - 1;
      CHECK_EQ(fixture::delete_key(*segment, key, now, kills_up_to),
               model.delete_key(key, now, kills_up_to));
    } else {
      std::vector<Row> rows;
      for (uint64_t n = random.below(random.chance(8) ? 700 : 20); n > 0; --n) {
        const int64_t key = static_cast<int64_t>(random.below(200));
        rows.push_back(fixture::random_row(schema, key, now, random, random.chance(2) ? 5 : 0));
        model.keys.push_back(key);
        model.deleted_at.push_back(0);
      }
      CHECK_EQ(append(*segment, fixture::make_batch(schema, rows), now).message(), "");
      model.rows.insert(model.rows.end(), rows.begin(), rows.end());
    }
    if (step == 60) {
      old = segment->snapshot(now);
      old_rows = model.rows;
    }
    if (step % 10 != 0) continue;
    const auto snapshot = segment->snapshot(now);
    CHECK_EQ(snapshot->row_count(), model.rows.size());
    for (const uint64_t read_ts : {now, now / 2, random.below(now + 1), uint64_t{0}}) {
      check_visible(*snapshot, model, read_ts);
      check_visible(*segment->snapshot(read_ts), model, read_ts);
    }
    for (int64_t key = 0; key < 200; key += 7) {
      std::vector<size_t> expected;
      for (size_t row = model.rows.size(); row > 0; --row) {
        if (model.keys[row - 1] == key) expected.push_back(row - 1);
      }
      CHECK(fixture::find_key(*snapshot, key) == expected);
    }
  }
  const auto snapshot = segment->snapshot(now);
  fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), model.rows);
  check_norms(*snapshot);
  CHECK_EQ(old->row_count(), old_rows.size());
  fixture::check_gather({old.get()}, fixture::all_rows(*old), old_rows);
  const SegmentStats stats = segment->stats();
  CHECK_EQ(stats.rows, model.rows.size());
  CHECK_EQ(stats.max_timestamp, model.rows.back().timestamp);
  CHECK_EQ(stats.min_timestamp, model.rows.front().timestamp);
  CHECK(segment->memory_bytes() >= stats.bytes);
  size_t deleted = 0;
  for (const uint64_t at : model.deleted_at) deleted += at != 0;
  CHECK_EQ(stats.deleted_rows, deleted);
}

TEST(growing_equals_a_list_of_rows) {
  for (const uint64_t seed : {31, 32, 33}) run_model(DataType::kInt64, seed);
}

TEST(growing_equals_a_list_of_rows_with_string_keys) {
  for (const uint64_t seed : {34, 35, 36}) run_model(DataType::kVarChar, seed);
}

TEST(r21_growing_views_lie_in_chunks_that_begin_at_words) {
  Random random(37);
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  std::vector<Row> rows;
  for (int64_t key = 0; key < 20000; ++key)
    rows.push_back(fixture::random_row(schema, key, 5, random));
  CHECK(append(*segment, fixture::make_batch(schema, rows), 5).is_ok());
  const auto snapshot = segment->snapshot(5);
  size_t next = 0;
  for (size_t c = 0; c < snapshot->chunk_count(); ++c) {
    CHECK_EQ(snapshot->chunk_begin(c), next);
    CHECK_EQ(next % 64, 0u);
    for (size_t i = 0; i < snapshot->chunk_rows(c); ++i) CHECK_EQ(snapshot->chunk_of(next + i), c);
    const ColumnView json = snapshot->column(c, fixture::kJsonField);
    for (size_t i = 0; i < snapshot->chunk_rows(c); ++i) {
      const fixture::Cell& cell = rows[next + i].cells.at(fixture::kJsonField);
      CHECK_EQ(json.is_valid(i), cell.has_value());
      const VariantValue root = VariantValue::open(json.json_variant->string_at(i));
      CHECK_EQ(root.is_missing(), !cell.has_value());
      if (cell.has_value()) {
        uint32_t slot = 0;
        CHECK_EQ(root.find("b", &slot).as_int64(), std::strtoll(cell->c_str() + 6, nullptr, 10));
      }
      const ColumnView keys = snapshot->column(c, fixture::kKey);
      CHECK_EQ(static_cast<const int64_t*>(keys.data)[i], static_cast<int64_t>(next + i));
    }
    next += snapshot->chunk_rows(c);
  }
  CHECK_EQ(next, rows.size());
  const ColumnView unknown = snapshot->column(0, 999);
  CHECK(unknown.all_null);
  CHECK(!unknown.is_valid(0));
}

TEST(r21_growing_chunks_never_move) {
  Random random(40);
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  std::map<std::pair<size_t, int64_t>, const void*> places;
  for (int64_t step = 0; step < 200; ++step) {
    std::vector<Row> rows;
    for (int64_t i = 0; i < 50; ++i)
      rows.push_back(fixture::random_row(schema, step * 50 + i, 5, random));
    CHECK(append(*segment, fixture::make_batch(schema, rows), 5).is_ok());
    const auto snapshot = segment->snapshot(5);
    for (size_t c = 0; c < snapshot->chunk_count(); ++c) {
      for (const int64_t field : {fixture::kKey, fixture::kVector, int64_t{108}}) {
        const void* data = snapshot->column(c, field).data;
        const auto [place, is_new] = places.try_emplace({c, field}, data);
        CHECK(place->second == data);
      }
    }
  }
  CHECK(places.size() > 3);
}

TEST(r18_growing_takes_batches_at_any_address) {
  Random random(38);
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  std::vector<Row> all;
  for (size_t shift = 0; shift < 8; ++shift) {
    std::vector<Row> rows = {
        fixture::random_row(schema, static_cast<int64_t>(shift), shift + 1, random)};
    const Bytes batch = fixture::make_batch(schema, rows);
    Bytes moved(shift);
    moved.insert(moved.end(), batch.begin(), batch.end());
    CHECK(segment->append(moved.data() + shift, batch.size(), shift + 1).is_ok());
    all.push_back(rows[0]);
  }
  const auto snapshot = segment->snapshot(100);
  fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), all);
}

TEST(growing_refusal_leaves_no_trace) {
  Random random(39);
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  std::vector<Row> rows = {fixture::random_row(schema, 1, 5, random, 0),
                           fixture::random_row(schema, 2, 5, random, 0)};
  CHECK(append(*segment, fixture::make_batch(schema, rows), 5).is_ok());
  const auto refused = [&](const std::vector<Row>& bad, StatusCode code) {
    const Bytes batch = fixture::make_batch(schema, bad);
    CHECK(segment->reserve(batch.data(), batch.size()).code() == code);
    CHECK(append(*segment, batch, 6).code() == code);
    CHECK_EQ(segment->stats().rows, 2u);
  };
  std::vector<Row> bad = {fixture::random_row(schema, 3, 6, random, 0),
                          fixture::random_row(schema, 4, 6, random, 0)};
  bad[1].cells[fixture::kJsonField] = "{\"a\":}";
  refused(bad, StatusCode::kInvalidParameter);
  bad[1].cells[fixture::kJsonField] = "{}";
  bad[1].cells[fixture::kKey] = std::nullopt;
  refused(bad, StatusCode::kDataIntegrity);
  bad[1].cells[fixture::kKey] = fixture::key_cell(schema, 4);
  const Schema other = fixture::make_schema(DataType::kVarChar);
  const Bytes batch = fixture::make_batch(other, {fixture::random_row(other, 1, 6, random)});
  CHECK(append(*segment, batch, 6).code() == StatusCode::kDataIntegrity);
  Bytes cut = fixture::make_batch(schema, bad);
  cut.erase(cut.end() - 8, cut.end());
  CHECK(append(*segment, cut, 6).code() == StatusCode::kDataIntegrity);
  const auto snapshot = segment->snapshot(100);
  fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), rows);
  CHECK(fixture::find_key(*snapshot, 3).empty());
  CHECK(append(*segment, fixture::make_batch(schema, bad), 6).is_ok());
  CHECK_EQ(segment->stats().rows, 4u);
}

TEST(growing_reads_missing_columns_as_their_defaults) {
  Random random(41);
  const Schema schema = fixture::make_schema();
  const auto [wide, defaults] = fixture::add_default_fields(schema);
  // Made with the fields (a replay of older records), and made before they were added.
  const auto replayed = GrowingSegment::create(wide);
  const auto older = GrowingSegment::create(schema);
  std::vector<Row> rows;
  for (int64_t key = 0; key < 300; ++key) {
    const std::vector<Row> one = {fixture::random_row(schema, key, 3, random)};
    for (const auto& segment : {replayed, older})
      CHECK(append(*segment, fixture::make_batch(schema, one), 3).is_ok());
    rows.push_back(one[0]);
  }
  const auto before = older->snapshot(3);
  const size_t bytes = older->memory_bytes();
  CHECK(older->update_schema(wide).is_ok());
  CHECK(before->column(0, 204).all_null);
  CHECK_EQ(older->memory_bytes(), bytes);
  for (Row& row : rows) row.cells.insert(defaults.begin(), defaults.end());
  for (const auto& segment : {replayed, older}) {
    const auto snapshot = segment->snapshot(3);
    fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), rows);
    for (const auto& [id, value] : defaults) {
      CHECK(!snapshot->column(0, id).may_have_nulls());
      CHECK(snapshot->column(0, id).type == wide.find(id)->type);
    }
  }
  CHECK(older->memory_bytes() > bytes);
}

TEST(growing_tells_a_null_from_a_missing_column) {
  const auto [wide, defaults] = fixture::add_default_fields(fixture::make_schema());
  Random random(42);
  const auto segment = GrowingSegment::create(wide);
  std::vector<Row> nulls = {fixture::random_row(wide, 1, 3, random, 1)};
  CHECK(append(*segment, fixture::make_batch(wide, nulls), 3).is_ok());
  std::vector<Row> missing = {fixture::random_row(fixture::make_schema(), 2, 3, random, 0)};
  CHECK(append(*segment, fixture::make_batch(fixture::make_schema(), missing), 3).is_ok());
  missing[0].cells.insert(defaults.begin(), defaults.end());
  const auto snapshot = segment->snapshot(3);
  fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), {nulls[0], missing[0]});
}

TEST(growing_takes_only_schemas_that_add_fields) {
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  CHECK(segment->update_schema(schema).is_ok());
  CHECK(segment->update_schema(fixture::make_schema(DataType::kVarChar)).code() ==
        StatusCode::kInvalidParameter);
  std::vector<Field> fields = schema.fields();
  fields.pop_back();
  Schema fewer;
  CHECK(Schema::create(std::move(fields), &fewer).is_ok());
  CHECK(segment->update_schema(std::move(fewer)).code() == StatusCode::kInvalidParameter);
  CHECK(segment->schema().find(fixture::kVector) != nullptr);
}

TEST(schema_refuses_defaults_that_do_not_fit) {
  const auto code_of = [](DataType type, const std::string& value) {
    Schema schema;
    return Schema::create(
               {{.field_id = fixture::kKey, .type = DataType::kInt64, .is_primary_key = true},
                {.field_id = 101,
                 .type = type,
                 .element_type = DataType::kInt8,
                 .nullable = true,
                 .default_value = value}},
               &schema)
        .code();
  };
  CHECK(code_of(DataType::kInt32, "1234") == StatusCode::kOk);
  CHECK(code_of(DataType::kInt32, "123") == StatusCode::kInvalidParameter);
  CHECK(code_of(DataType::kJson, "{}") == StatusCode::kInvalidParameter);
  CHECK(code_of(DataType::kArray, "") == StatusCode::kInvalidParameter);
}

TEST(growing_reads_missing_columns_as_null_and_drops_unknown_ones) {
  Random random(40);
  const Schema schema = fixture::make_schema();
  Schema narrow;
  CHECK(
      Schema::create({{.field_id = fixture::kKey, .type = DataType::kInt64, .is_primary_key = true},
                      {.field_id = 900, .type = DataType::kInt8, .nullable = true}},
                     &narrow)
          .is_ok());
  const auto segment = GrowingSegment::create(schema);
  std::vector<Row> rows;
  for (int64_t key = 0; key < 100; ++key) {
    const bool is_narrow = key / 10 % 2 == 1;
    std::vector<Row> one = {fixture::random_row(is_narrow ? narrow : schema, key, 3, random, 0)};
    CHECK_EQ(append(*segment, fixture::make_batch(is_narrow ? narrow : schema, one), 3).message(),
             "");
    one[0].cells.erase(900);
    rows.push_back(one[0]);
  }
  const auto snapshot = segment->snapshot(3);
  fixture::check_gather({snapshot.get()}, fixture::all_rows(*snapshot), rows);
}

TEST(growing_takes_timestamps_from_the_batch_when_asked) {
  Random random(41);
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  Model model;
  for (const uint64_t timestamp : {10, 30, 20, 40}) {
    model.keys.push_back(static_cast<int64_t>(timestamp % 20));
    model.deleted_at.push_back(0);
    model.rows.push_back(fixture::random_row(schema, model.keys.back(), timestamp, random));
  }
  const Bytes without = fixture::make_batch(schema, model.rows);
  CHECK(append(*segment, without, 0).code() == StatusCode::kDataIntegrity);
  CHECK(append(*segment, fixture::make_batch(schema, model.rows, true), 0).is_ok());
  CHECK_EQ(segment->stats().min_timestamp, 10u);
  CHECK_EQ(segment->stats().max_timestamp, 40u);
  CHECK_EQ(fixture::delete_key(*segment, 0, 50, 30), model.delete_key(0, 50, 30));
  CHECK_EQ(fixture::delete_key(*segment, 10, 60, 20), model.delete_key(10, 60, 20));
  CHECK_EQ(fixture::delete_key(*segment, 10, 70, 60), model.delete_key(10, 70, 60));
  for (uint64_t read_ts = 0; read_ts < 80; read_ts += 5) {
    check_visible(*segment->snapshot(kReadAll), model, read_ts);
    check_visible(*segment->snapshot(read_ts), model, read_ts);
  }
}

TEST(growing_begins_small) {
  Schema schema;
  CHECK(Schema::create({{.field_id = 100, .type = DataType::kInt64, .is_primary_key = true},
                        {.field_id = 101, .type = DataType::kFloatVector, .dim = 8}},
                       &schema)
            .is_ok());
  const auto segment = GrowingSegment::create(schema);
  CHECK(segment->memory_bytes() <= 4 * 1024);
  Random random(42);
  CHECK(append(*segment,
               fixture::make_batch(schema, {fixture::random_row(schema, 1, 1, random, 0)}), 1)
            .is_ok());
  CHECK(segment->memory_bytes() <= 8 * 1024);
}

// Anonymous memory of the process that is in its page tables.
size_t resident_bytes() {
  size_t size = 0;
  size_t resident = 0;
  size_t shared = 0;
  std::ifstream("/proc/self/statm") >> size >> resident >> shared;
  return (resident - shared) * 4096;
}

Bytes wide_batch(const Schema& schema, int64_t first, size_t rows, Random& random) {
  std::vector<Row> batch;
  for (size_t i = 0; i < rows; ++i) {
    const int64_t key = first + static_cast<int64_t>(i);
    batch.push_back(fixture::random_row(schema, key, 1, random, 0));
  }
  return fixture::make_batch(schema, batch);
}

// Compares what the segments say with what the system gave, within a tenth and what the heap may
// have had already.
void check_memory(const std::vector<std::shared_ptr<GrowingSegment>>& segments, size_t before) {
  const double held = static_cast<double>(resident_bytes() - before);
  double counted = 0;
  for (const auto& segment : segments) counted += static_cast<double>(segment->memory_bytes());
  const double slack = 0.1 * held + 1e6 + 2048.0 * static_cast<double>(segments.size());
  CHECK(counted >= held - slack);
  CHECK(counted <= held + slack);
}

TEST(r19_growing_segments_count_what_the_system_holds_for_them) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  Schema schema;
  CHECK(Schema::create({{.field_id = 100, .type = DataType::kInt64, .is_primary_key = true},
                        {.field_id = 101, .type = DataType::kFloatVector, .dim = 768}},
                       &schema)
            .is_ok());
  Random random(43);
  const Bytes one_row = wide_batch(schema, 1, 1, random);
  const Bytes many_rows = wide_batch(schema, 10, 3000, random);
  std::vector<std::shared_ptr<GrowingSegment>> segments;
  segments.reserve(1000);
  size_t before = resident_bytes();
  for (int i = 0; i < 1000; ++i) {
    segments.push_back(GrowingSegment::create(schema));
    CHECK(append(*segments.back(), one_row, 1).is_ok());
    // A row of 3 KiB: what it takes, not what the chunk has room for.
    CHECK(segments.back()->memory_bytes() <= 16 * 1024);
  }
  check_memory(segments, before);
  segments.resize(1);
  before = resident_bytes();
  const size_t of_first = segments[0]->memory_bytes();
  CHECK(append(*segments[0], many_rows, 1).is_ok());
  check_memory(segments, before - of_first);
  // All of it is the system's again, at once.
  before = resident_bytes();
  const size_t bytes = segments[0]->memory_bytes();
  segments.clear();
  CHECK(before - resident_bytes() >= bytes * 9 / 10);
#endif
}

TEST(growing_refuses_keys_of_the_wrong_kind_and_deletes_without_timestamp) {
  const auto segment = GrowingSegment::create(fixture::make_schema());
  const std::string_view text = "a";
  const int64_t key = 1;
  size_t count = 0;
  CHECK(segment->delete_keys(KeySpan::of({&text, 1}), 5, 5, &count).code() ==
        StatusCode::kInvalidParameter);
  CHECK(segment->delete_keys(KeySpan::of({&key, 1}), 0, 5, &count).code() ==
        StatusCode::kInvalidParameter);
  CHECK(segment->delete_keys(KeySpan::of({&key, 1}), 5, 5, &count).is_ok());
  CHECK_EQ(count, 0u);
}

TEST(growing_deletes_of_one_hot_key_stay_fast) {
  Schema schema;
  CHECK(
      Schema::create({{.field_id = 100, .type = DataType::kInt64, .is_primary_key = true}}, &schema)
          .is_ok());
  const auto segment = GrowingSegment::create(schema);
  Random random(43);
  const Bytes batch = fixture::make_batch(schema, {fixture::random_row(schema, 1, 1, random)});
  // 40,000 upserts of one key: a walk over all versions each time would be 800 million steps.
  size_t deleted = 0;
  for (uint64_t timestamp = 1; timestamp <= 40000; ++timestamp) {
    deleted += fixture::delete_key(*segment, 1, timestamp + 1, timestamp);
    CHECK(append(*segment, batch, timestamp + 1).is_ok());
  }
  CHECK_EQ(deleted, 39999u);
}

// The writer appends pairs of rows (2k, 2k + 1) and sometimes deletes the pair of an even key in
// one call; a reader at the last applied timestamp must see both rows of a pair or none, and every
// value as it was written.
TEST(r21_growing_readers_beside_a_writer) {
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  constexpr uint64_t kSteps = 1500;
  std::atomic<uint64_t> applied{0};
  std::atomic<size_t> wrong{0};
  std::thread writer([&] {
    Random random(44);
    for (uint64_t step = 1; step <= kSteps; ++step) {
      std::vector<Row> rows;
      const int64_t pair = static_cast<int64_t>(step);
      for (const int64_t key : {2 * pair, 2 * pair + 1}) {
        Row row = fixture::random_row(schema, key, 2 * step, random, 9);
        row.cells[108] = std::to_string(key);
        rows.push_back(row);
      }
      wrong += !append(*segment, fixture::make_batch(schema, rows), 2 * step).is_ok();
      applied.store(2 * step);
      if (step % 3 != 0) continue;
      const int64_t victim = static_cast<int64_t>(1 + random.below(step));
      const int64_t keys[] = {2 * victim, 2 * victim + 1};
      size_t count = 0;
      wrong += !segment->delete_keys(KeySpan::of(keys), 2 * step + 1, 2 * step, &count).is_ok();
      applied.store(2 * step + 1);
    }
  });
  std::vector<std::thread> readers;
  for (uint64_t r = 0; r < 3; ++r) {
    readers.emplace_back([&, r] {
      Random random(50 + r);
      uint64_t read_ts = 0;
      while (read_ts < 2 * kSteps) {
        read_ts = applied.load();
        const auto snapshot = segment->snapshot(read_ts);
        wrong += snapshot->row_count() != read_ts / 2 * 2;
        if (snapshot->row_count() == 0) continue;
        Bitset visible;
        snapshot->fill_visible(read_ts, &visible);
        for (size_t row = 0; row < visible.size(); row += 2)
          wrong += visible.test(row) != visible.test(row + 1);
        const size_t row = random.below(snapshot->row_count());
        const int64_t key = static_cast<int64_t>(row) + 2;
        wrong += fixture::find_key(*snapshot, key) != std::vector<size_t>{row};
        wrong +=
            !fixture::find_key(*snapshot, static_cast<int64_t>(snapshot->row_count()) + 2).empty();
        const size_t chunk = snapshot->chunk_of(row);
        const size_t at = row - snapshot->chunk_begin(chunk);
        wrong += snapshot->column(chunk, 108).string_at(at) != std::to_string(key);
        const ColumnView json = snapshot->column(chunk, fixture::kJsonField);
        if (json.is_valid(at))
          wrong += VariantValue::open(json.json_variant->string_at(at)).size() != 2;
        OwnedBytes bytes;
        const SegmentSnapshot* source = snapshot.get();
        const RowRef ref{0, static_cast<uint32_t>(row)};
        const int64_t fields[] = {103, 112, fixture::kVector};
        wrong += !gather_rows({&source, 1}, {&ref, 1}, fields, &bytes).is_ok();
        (void)segment->stats();
        (void)segment->memory_bytes();
      }
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
  CHECK_EQ(wrong.load(), 0u);
}

// Reserve, cancel and append in any order, beside a segment that only appends.
TEST(growing_reserved_appends_take_no_memory_and_equal_plain_ones_R8) {
  Random random(81);
  const Schema schema = fixture::make_schema();
  for (size_t round = 0; round < 6; ++round) {
    const auto reserving = GrowingSegment::create(schema);
    const auto plain = GrowingSegment::create(schema);
    // The rows of each reserved batch, and the batch.
    std::vector<std::pair<std::vector<Row>, std::unique_ptr<Bytes>>> waiting;
    std::vector<Row> expected;
    uint64_t timestamp = 1;
    for (size_t step = 0; step < 120; ++step) {
      if (random.chance(2) || waiting.empty()) {
        std::vector<Row> rows;
        const uint64_t null_in = random.chance(2) ? 0 : 6;
        for (size_t n = 1 + random.below(30); n > 0; --n) {
          const int64_t key = static_cast<int64_t>(random.below(500));
          rows.push_back(fixture::random_row(schema, key, 1, random, null_in));
        }
        auto batch = std::make_unique<Bytes>(fixture::make_batch(schema, rows));
        CHECK(reserving->reserve(batch->data(), batch->size()).is_ok());
        waiting.emplace_back(std::move(rows), std::move(batch));
        continue;
      }
      const bool is_cancel = random.chance(4);
      const bool is_next = round % 2 == 0 && !is_cancel;
      const size_t at = is_next ? 0 : random.below(waiting.size());
      auto [rows, batch] = std::move(waiting[at]);
      waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(at));
      if (is_cancel) {
        reserving->cancel(batch->data());
        continue;
      }
      const size_t before = reserving->allocated_bytes();
      CHECK(append(*reserving, *batch, ++timestamp).is_ok());
      if (is_next) CHECK_EQ(reserving->allocated_bytes(), before);
      CHECK(append(*plain, *batch, timestamp).is_ok());
      for (Row& row : rows) {
        row.timestamp = timestamp;
        expected.push_back(std::move(row));
      }
    }
    const auto a = reserving->snapshot(kReadAll);
    const auto b = plain->snapshot(kReadAll);
    const SegmentSnapshot* source = a.get();
    fixture::check_gather({source}, fixture::all_rows(*a), expected);
    for (int64_t key = 0; key < 500; ++key) {
      CHECK(fixture::find_key(*a, key) == fixture::find_key(*b, key));
    }
  }
}

TEST(growing_reservation_of_a_bad_batch_is_refused) {
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  Random random(82);
  Row row = fixture::random_row(schema, 1, 1, random, 0);
  row.cells[fixture::kJsonField] = "{not json";
  const Bytes batch = fixture::make_batch(schema, {row});
  CHECK(segment->reserve(batch.data(), batch.size()).code() == StatusCode::kInvalidParameter);
  CHECK(segment->reserve(batch.data(), 7).code() == StatusCode::kDataIntegrity);
  row.cells[fixture::kJsonField] = "{}";
  CHECK(append(*segment, fixture::make_batch(schema, {row}), 1).is_ok());
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
