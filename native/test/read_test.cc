// Search and query over growing and sealed segments against a plain model of the rows: visibility,
// filters, repeated keys, ties, ranges and limits, on one thread and on several.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "float_vectors.h"
#include "expr_support.h"
#include "plain_rows.h"
#include "segment_fixture.h"
#include "index/vector_index.h"
#include "read/query.h"
#include "read/search.h"
#include "segment/index_file.h"

namespace elanus {
namespace {

using fixture::Random;
using fixture::Row;

constexpr uint64_t kSeed = 7;

struct ModelRow {
  Row row;
  int64_t key = 0;
  uint64_t deleted_at = 0;
  bool is_visible(uint64_t ts) const {
    return row.timestamp <= ts && (deleted_at == 0 || deleted_at > ts);
  }
};

// Keeps rows whose Int8 field 102 is less than 20.
std::vector<uint8_t> small_int8_plan() {
  test::PlanWriter plan;
  plan.tag(PlanTag::kCompare).field(102, DataType::kInt8).u8(static_cast<int>(CompareOp::kLt));
  plan.u8(static_cast<int>(LiteralKind::kInt64)).put<int64_t>(20);
  return plan.bytes;
}

std::vector<uint8_t> key_list_plan(const Field& primary_key, const KeySpan& keys) {
  test::PlanWriter plan;
  plan.tag(PlanTag::kIn).field(primary_key.field_id, primary_key.type);
  plan.put<uint32_t>(static_cast<uint32_t>(keys.size()));
  for (const int64_t key : keys.ints) plan.integer(key);
  for (const std::string_view key : keys.strings) plan.string(key);
  return plan.bytes;
}

bool passes(const ModelRow& row) {
  const fixture::Cell& cell = row.row.cells.at(102);
  return cell.has_value() && static_cast<int8_t>((*cell)[0]) < 20;
}

// Rows in several segments, and the same rows as a list.
class World {
 public:
  World(DataType key_type, uint64_t seed) : schema(fixture::make_schema(key_type)), random(seed) {}

  void add(size_t rows, size_t keys, bool sealed) {
    auto growing = GrowingSegment::create(schema);
    const size_t first = model.size();
    for (size_t i = 0; i < rows; ++i) {
      const auto key = static_cast<int64_t>(random.below(keys));
      ModelRow row{fixture::random_row(schema, key, ++clock_, random), key, 0};
      if (row.row.cells[fixture::kVector].has_value()) {
        // Few different vectors, so that scores tie.
        std::string vector;
        for (uint32_t d = 0; d < fixture::kDim; ++d)
          vector += fixture::raw(static_cast<float>(random.below(3)) - 1);
        row.row.cells[fixture::kVector] = vector;
      }
      CHECK(fixture::append(*growing, fixture::make_batch(schema, {row.row}), clock_).is_ok());
      model.push_back(std::move(row));
    }
    std::shared_ptr<Segment> segment = growing;
    if (sealed) {
      files_.push_back(std::make_unique<fixture::TemporaryFile>());
      segment = fixture::seal({growing}, schema, files_.back()->path());
    }
    for (size_t i = 0; i < rows / 10; ++i) {
      const auto key = static_cast<int64_t>(random.below(keys));
      const uint64_t killed = clock_;
      fixture::delete_key(*segment, key, ++clock_, killed);
      for (size_t r = first; r < model.size(); ++r) {
        if (model[r].key == key && model[r].deleted_at == 0) model[r].deleted_at = clock_;
      }
    }
    segments.push_back(std::move(segment));
  }

  uint64_t random_time() { return 1 + random.below(clock_ + 2); }

  // Keys in the order in which the segments have them.
  bool key_before(int64_t a, int64_t b) const {
    return fixture::key_cell(schema, a).compare(fixture::key_cell(schema, b)) < 0;
  }
  bool is_key_before(int64_t a, int64_t b) const {
    return schema.has_string_keys() ? key_before(a, b) : a < b;
  }

  Schema schema;
  Random random;
  std::vector<std::shared_ptr<const Segment>> segments;
  std::vector<ModelRow> model;

 private:
  uint64_t clock_ = 0;
  std::vector<std::unique_ptr<fixture::TemporaryFile>> files_;
};

std::vector<std::string> keys_of(const RowBatch& batch) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < batch.rows(); ++i)
    keys.push_back(*fixture::cell_at(*batch.find(fixture::kKey), i));
  return keys;
}

struct ModelHit {
  float score;
  const ModelRow* row;
};

std::vector<ModelHit> model_search(const World& world, const SearchRequest& request,
                                   const float* query) {
  std::vector<ModelHit> hits;
  for (const ModelRow& row : world.model) {
    const fixture::Cell& cell = row.row.cells.at(fixture::kVector);
    if (!cell.has_value() || !row.is_visible(request.read_ts) ||
        (request.plan != nullptr && !passes(row)))
      continue;
    const float* vector = reinterpret_cast<const float*>(cell->data());
    const float score = client_score(
        request.metric, check::score_one(request.metric, query, vector, fixture::kDim));
    const float sign = request.metric == Metric::kL2 ? -1.0f : 1.0f;
    if (request.radius && !(sign * score > sign * *request.radius)) continue;
    if (request.range_filter && !(sign * score <= sign * *request.range_filter)) continue;
    hits.push_back({score, &row});
  }
  const float sign = request.metric == Metric::kL2 ? -1.0f : 1.0f;
  std::sort(hits.begin(), hits.end(), [&](const ModelHit& a, const ModelHit& b) {
    if (a.score != b.score) return sign * a.score > sign * b.score;
    if (a.row->key != b.row->key) return world.is_key_before(a.row->key, b.row->key);
    return a.row->row.timestamp > b.row->row.timestamp;
  });
  std::set<int64_t> seen;
  std::vector<ModelHit> distinct;
  for (const ModelHit& hit : hits) {
    if (distinct.size() < request.k && seen.insert(hit.row->key).second) distinct.push_back(hit);
  }
  return distinct;
}

ReadBounds random_bounds(Random& random, uint64_t reply_bytes, uint64_t gathered_bytes) {
  const auto near = [&](uint64_t bytes) {
    return random.chance(3) ? ReadBounds::kNone : random.below(2 * bytes + 2);
  };
  return {near(reply_bytes), random.below(6), near(gathered_bytes)};
}

// What a read within these bounds says, given what it finds without.
void check_bounded(const Status& status, const ReadBounds& bounds, uint64_t reply_bytes,
                   uint64_t gathered_bytes) {
  const bool is_reply_over = reply_bytes > bounds.reply_bytes_max;
  const bool is_gather_over = gathered_bytes > bounds.gather_bytes_max;
  CHECK_EQ(status.is_ok(), !is_reply_over && !is_gather_over);
  if (status.is_ok()) return;
  CHECK(is_reply_over || status.code() == StatusCode::kMemoryLimit);
  CHECK(is_gather_over || status.code() == StatusCode::kTooLarge);
  CHECK(status.message().find("exceed the maxOutputSize Limit") != std::string::npos);
}

// P6: the same search within random bounds gives the same answer or the right refusal.
void check_bounded_search(World& world, SearchRequest request, const SearchResult& whole,
                          ThreadPool* pool) {
  uint64_t row_bytes = sizeof(int64_t) + sizeof(uint32_t);  // timestamp, offset of field 108
  row_bytes += world.schema.has_string_keys() ? sizeof(uint32_t) : sizeof(int64_t);
  const size_t rows = whole.scores.size();
  request.bounds = random_bounds(world.random, rows * row_bytes, whole.rows.size);
  uint64_t replied = 0;
  for (const int32_t count : whole.counts) {
    replied += static_cast<uint64_t>(count) -
               std::min<uint64_t>(static_cast<uint64_t>(count), request.bounds.spare_rows);
  }
  SearchResult result;
  const Status status = search_segments(world.segments, request, pool, nullptr, &result);
  check_bounded(status, request.bounds, replied * row_bytes, whole.rows.size);
  if (!status.is_ok()) return;
  CHECK(result.counts == whole.counts);
  CHECK(result.scores == whole.scores);
  CHECK_EQ(result.rows.size, whole.rows.size);
  CHECK(std::memcmp(result.rows.data.get(), whole.rows.data.get(), whole.rows.size) == 0);
}

void check_bounded_query(World& world, QueryRequest request, const QueryResult& whole,
                         ThreadPool* pool) {
  uint64_t row_bytes = sizeof(int64_t);
  row_bytes += world.schema.has_string_keys() ? sizeof(uint32_t) : sizeof(int64_t);
  const uint64_t rows = request.count_only ? 0 : whole.count;
  request.bounds = random_bounds(world.random, rows * row_bytes, whole.rows.size);
  const uint64_t replied = rows - std::min(rows, request.bounds.spare_rows);
  QueryResult result;
  const Status status = query_segments(world.segments, request, pool, nullptr, &result);
  check_bounded(status, request.bounds, replied * row_bytes, whole.rows.size);
  if (!status.is_ok()) return;
  CHECK_EQ(result.count, whole.count);
  CHECK_EQ(result.rows.size, whole.rows.size);
  CHECK(std::memcmp(result.rows.data.get(), whole.rows.data.get(), whole.rows.size) == 0);
}

void check_search(World& world, const Plan* plan, ThreadPool* pool) {
  SearchRequest request;
  request.field_id = fixture::kVector;
  request.metric = static_cast<Metric>(world.random.below(3));
  request.nq = 1 + world.random.below(6);
  request.k = 1 + world.random.below(40);
  request.plan = world.random.chance(2) ? plan : nullptr;
  request.read_ts = world.random.chance(3) ? world.random_time() : kReadAll;
  request.output_fields = {108};
  if (world.random.chance(4)) {
    request.radius = request.metric == Metric::kL2 ? 6.0f : 0.1f;
    if (world.random.chance(2)) request.range_filter = request.metric == Metric::kL2 ? 2.0f : 0.8f;
  }
  std::vector<float> queries(request.nq * fixture::kDim);
  for (float& value : queries) value = static_cast<float>(world.random.below(9)) / 4 - 1;
  request.queries = {reinterpret_cast<const uint8_t*>(queries.data()),
                     queries.size() * sizeof(float)};
  SearchResult result;
  const Status status = search_segments(world.segments, request, pool, nullptr, &result);
  CHECK_EQ(status.message(), "");
  check_bounded_search(world, request, result, pool);
  RowBatch batch;
  CHECK(RowBatch::open(result.rows.data.get(), result.rows.size, &batch).is_ok());
  size_t at = 0;
  for (size_t q = 0; q < request.nq; ++q) {
    const std::vector<ModelHit> expected =
        model_search(world, request, queries.data() + q * fixture::kDim);
    CHECK_EQ(static_cast<size_t>(result.counts[q]), expected.size());
    for (const ModelHit& hit : expected) {
      if (at >= batch.rows()) break;
      CHECK_EQ(result.scores[at], hit.score);
      CHECK_EQ(batch.find(kTimestampField)->value_at<uint64_t>(at), hit.row->row.timestamp);
      CHECK(fixture::cell_at(*batch.find(108), at) == hit.row->row.cells.at(108));
      ++at;
    }
  }
  CHECK_EQ(at, batch.rows());
}

void check_query(World& world, const Plan* plan, ThreadPool* pool) {
  QueryRequest request;
  request.plan = world.random.chance(2) ? plan : nullptr;
  request.read_ts = world.random.chance(3) ? world.random_time() : kReadAll;
  request.limit = world.random.chance(2) ? 1 + world.random.below(50) : 0;
  request.count_only = world.random.chance(4);
  std::vector<int64_t> ints;
  std::vector<std::string> texts;
  std::vector<std::string_view> views;
  if (world.random.chance(2)) {
    for (size_t i = world.random.below(60); i > 0; --i)
      ints.push_back(static_cast<int64_t>(world.random.below(200)));
    for (const int64_t key : ints) texts.push_back(fixture::key_cell(world.schema, key));
    views.assign(texts.begin(), texts.end());
    request.keys = world.schema.has_string_keys()
                       ? KeySpan::of(std::span<const std::string_view>(views))
                       : KeySpan::of(std::span<const int64_t>(ints));
  }
  const auto before = [&](int64_t a, int64_t b) { return world.is_key_before(a, b); };
  std::map<int64_t, const ModelRow*, decltype(before)> newest(before);
  uint64_t count = 0;
  for (const ModelRow& row : world.model) {
    if (!row.is_visible(request.read_ts) || (request.plan != nullptr && !passes(row))) continue;
    if (request.keys && std::find(ints.begin(), ints.end(), row.key) == ints.end()) continue;
    ++count;
    const ModelRow*& known = newest[row.key];
    if (known == nullptr || known->row.timestamp < row.row.timestamp) known = &row;
  }
  Plan key_list;
  if (request.keys && request.plan == nullptr && world.random.chance(2)) {
    const std::vector<uint8_t> bytes = key_list_plan(world.schema.primary_key(), *request.keys);
    CHECK(Plan::decode(bytes, &key_list).is_ok());
    request.plan = &key_list;
    request.keys.reset();
  }
  QueryResult result;
  const Status status = query_segments(world.segments, request, pool, nullptr, &result);
  CHECK_EQ(status.message(), "");
  check_bounded_query(world, request, result, pool);
  RowBatch batch;
  CHECK(RowBatch::open(result.rows.data.get(), result.rows.size, &batch).is_ok());
  if (request.count_only) {
    CHECK_EQ(result.count, count);
    CHECK_EQ(batch.rows(), size_t{0});
    return;
  }
  const size_t expected =
      request.limit == 0 ? newest.size() : std::min<size_t>(newest.size(), request.limit);
  CHECK_EQ(batch.rows(), expected);
  const std::vector<std::string> keys = keys_of(batch);
  size_t at = 0;
  for (const auto& [key, row] : newest) {
    if (at == batch.rows()) break;
    CHECK(keys[at] == fixture::key_cell(world.schema, key));
    CHECK_EQ(batch.find(kTimestampField)->value_at<uint64_t>(at), row->row.timestamp);
    ++at;
  }
}

void check_world(DataType key_type, uint64_t seed) {
  World world(key_type, seed);
  Plan plan;
  CHECK(Plan::decode(small_int8_plan(), &plan).is_ok());
  ThreadPool pool({.threads = 2});
  for (size_t step = 0; step < 5; ++step) {
    world.add(world.random.below(400), 1 + world.random.below(200), world.random.chance(2));
    for (int i = 0; i < 30; ++i) {
      check_search(world, &plan, i % 2 == 0 ? &pool : nullptr);
      check_query(world, &plan, i % 2 == 0 ? &pool : nullptr);
    }
  }
}

TEST(reads_agree_with_the_model_for_int64_keys) {
  for (uint64_t seed = kSeed; seed < kSeed + 6; ++seed) check_world(DataType::kInt64, seed);
}

TEST(reads_agree_with_the_model_for_string_keys) {
  for (uint64_t seed = kSeed; seed < kSeed + 4; ++seed) check_world(DataType::kVarChar, seed);
}

TEST(a_search_through_an_index_asks_on_until_k_keys_are_distinct) {
  World world(DataType::kInt64, kSeed);
  auto growing = GrowingSegment::create(world.schema);
  std::vector<float> vectors;
  for (int64_t i = 0; i < 6000; ++i) {
    Row row;
    row.timestamp = 1;
    row.cells[fixture::kKey] = fixture::raw(i / 30);  // 30 rows a key
    std::string vector;
    for (uint32_t d = 0; d < fixture::kDim; ++d) {
      vector += fixture::raw(static_cast<float>(i / 30) +
                             static_cast<float>(world.random.below(1000)) / 1e5f);
    }
    row.cells[fixture::kVector] = vector;
    CHECK(fixture::append(*growing, fixture::make_batch(world.schema, {row}), 1).is_ok());
  }
  fixture::TemporaryFile file;
  const std::shared_ptr<SealedSegment> sealed = fixture::seal({growing}, world.schema, file.path());
  const std::unique_ptr<SegmentSnapshot> rows = sealed->snapshot(kReadAll);
  const float* base = static_cast<const float*>(rows->column(0, fixture::kVector).data);
  const check::IndexSpec params("HNSW", Metric::kL2);
  fixture::TemporaryFile index;
  std::unique_ptr<SectionFileWriter> writer;
  CHECK(SectionFileWriter::create(index.path(), nullptr, &writer).is_ok());
  CHECK(params.build(check::float_rows(base, 6000, fixture::kDim), {}, writer.get()).is_ok());
  CHECK(attach_index_file(*sealed, fixture::kVector, index.path()).is_ok());
  const std::vector<float> query(fixture::kDim, 100.0f);
  SearchRequest request;
  request.field_id = fixture::kVector;
  request.nq = 1;
  request.k = 9;
  request.read_ts = kReadAll;
  request.queries = {reinterpret_cast<const uint8_t*>(query.data()), query.size() * sizeof(float)};
  SearchResult result;
  const std::shared_ptr<const Segment> segment = sealed;
  CHECK(search_segments({&segment, 1}, request, nullptr, nullptr, &result).is_ok());
  RowBatch batch;
  CHECK(RowBatch::open(result.rows.data.get(), result.rows.size, &batch).is_ok());
  std::set<int64_t> keys;
  for (size_t i = 0; i < batch.rows(); ++i)
    keys.insert(batch.find(fixture::kKey)->value_at<int64_t>(i));
  CHECK_EQ(keys.size(), size_t{9});
  CHECK_EQ(*keys.begin(), 96);
  CHECK_EQ(*keys.rbegin(), 104);
}

// All rows at one place, each key twice: equal scores everywhere, whatever the lists hold.
std::shared_ptr<const Segment> equal_rows(size_t count, int64_t first_key, bool is_sealed,
                                          const std::string& path) {
  auto growing = GrowingSegment::create(plain::make_schema(4));
  const auto key_of = [=](size_t i) {
    return first_key + 2 * static_cast<int64_t>(i * 7919 % count);
  };
  const auto fill = [](size_t, float* vector) { std::fill_n(vector, 4, 1.0f); };
  plain::append_rows(*growing, count, 5, key_of, fill);
  plain::append_rows(*growing, count, 7, key_of, fill);
  return is_sealed ? fixture::seal({growing}, plain::make_schema(4), path)
                   : std::shared_ptr<const Segment>(growing);
}

TEST(p4_r7_of_very_many_equal_scores_those_with_the_smallest_keys_are_shown) {
  ThreadPool pool({.threads = 2});
  constexpr size_t kCount = 10007;
  for (const bool first_sealed : {false, true}) {
    for (const bool second_sealed : {false, true}) {
      fixture::TemporaryFile files[2];
      const std::vector<std::shared_ptr<const Segment>> segments = {
          equal_rows(kCount, 0, first_sealed, files[0].path()),
          equal_rows(kCount, 1, second_sealed, files[1].path())};
      const std::vector<float> queries(3 * 4, 0.5f);
      for (const size_t k : {1u, 10u, 5000u}) {
        SearchRequest request;
        request.field_id = plain::kVector;
        request.nq = 3;
        request.k = k;
        request.read_ts = kReadAll;
        request.queries = {reinterpret_cast<const uint8_t*>(queries.data()),
                           queries.size() * sizeof(float)};
        SearchResult result;
        CHECK(search_segments(segments, request, &pool, nullptr, &result).is_ok());
        RowBatch batch;
        CHECK(RowBatch::open(result.rows.data.get(), result.rows.size, &batch).is_ok());
        CHECK_EQ(batch.rows(), 3 * k);
        size_t wrong = 0;
        for (size_t i = 0; i < batch.rows(); ++i) {
          const bool is_right =
              batch.find(plain::kKey)->value_at<int64_t>(i) == static_cast<int64_t>(i % k) &&
              batch.find(kTimestampField)->value_at<uint64_t>(i) == 7;
          wrong += is_right ? 0 : 1;
        }
        CHECK_EQ(wrong, size_t{0});
      }
    }
  }
}

TEST(a_limited_query_over_many_growing_rows_has_the_smallest_keys_and_newest_rows) {
  fixture::TemporaryFile file;
  const std::shared_ptr<const Segment> segment = equal_rows(10007, 3, false, file.path());
  for (const uint64_t limit : {1u, 10u, 6000u, 20000u}) {
    QueryRequest request;
    request.read_ts = kReadAll;
    request.limit = limit;
    QueryResult result;
    CHECK(query_segments({&segment, 1}, request, nullptr, nullptr, &result).is_ok());
    RowBatch batch;
    CHECK(RowBatch::open(result.rows.data.get(), result.rows.size, &batch).is_ok());
    CHECK_EQ(batch.rows(), std::min<size_t>(limit, 10007));
    size_t wrong = 0;
    for (size_t i = 0; i < batch.rows(); ++i) {
      const bool is_right =
          batch.find(plain::kKey)->value_at<int64_t>(i) == 3 + 2 * static_cast<int64_t>(i) &&
          batch.find(kTimestampField)->value_at<uint64_t>(i) == 7;
      wrong += is_right ? 0 : 1;
    }
    CHECK_EQ(wrong, size_t{0});
  }
}

TEST(a_query_with_a_nan_finds_nothing_beside_one_that_finds) {
  fixture::TemporaryFile file;
  const std::shared_ptr<const Segment> segment = equal_rows(50, 0, false, file.path());
  std::vector<float> queries(2 * 4, 1.0f);
  queries[2] = std::nanf("");
  for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
    SearchRequest request;
    request.field_id = plain::kVector;
    request.metric = metric;
    request.nq = 2;
    request.k = 5;
    request.read_ts = kReadAll;
    request.queries = {reinterpret_cast<const uint8_t*>(queries.data()),
                       queries.size() * sizeof(float)};
    SearchResult result;
    CHECK(search_segments({&segment, 1}, request, nullptr, nullptr, &result).is_ok());
    CHECK_EQ(result.counts[0], 0);
    CHECK_EQ(result.counts[1], 5);
  }
}

TEST(p4_rows_whose_score_overflows_are_hits) {
  auto growing = GrowingSegment::create(plain::make_schema(4));
  plain::append_rows(
      *growing, 20, 1, [](size_t i) { return static_cast<int64_t>(i); },
      [](size_t i, float* vector) {
        for (size_t d = 0; d < 4; ++d) vector[d] = (i + d) % 2 == 0 ? 3e38f : -3e38f;
        if (i < 10) std::fill_n(vector, 4, static_cast<float>(i));
      });
  const std::shared_ptr<const Segment> segment = growing;
  const std::vector<float> query = {3e38f, 3e38f, 1.0f, 1.0f};
  for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
    SearchRequest request;
    request.field_id = plain::kVector;
    request.metric = metric;
    request.nq = 1;
    request.k = 20;
    request.read_ts = kReadAll;
    request.queries = {reinterpret_cast<const uint8_t*>(query.data()), 4 * sizeof(float)};
    SearchResult result;
    CHECK(search_segments({&segment, 1}, request, nullptr, nullptr, &result).is_ok());
    CHECK_EQ(result.counts[0], 20);
    for (const float score : result.scores) CHECK(score == score);
  }
}

TEST(a_search_for_more_hits_than_a_result_holds_is_refused_before_it_begins) {
  fixture::TemporaryFile file;
  const std::shared_ptr<const Segment> segment = equal_rows(10007, 0, false, file.path());
  const std::vector<float> queries(16384 * 4, 1.0f);
  SearchRequest request;
  request.field_id = plain::kVector;
  request.nq = 16384;
  request.k = 16384;
  request.read_ts = kReadAll;
  request.queries = {reinterpret_cast<const uint8_t*>(queries.data()),
                     queries.size() * sizeof(float)};
  SearchResult result;
  const Status status = search_segments({&segment, 1}, request, nullptr, nullptr, &result);
  CHECK(status.code() == StatusCode::kMemoryLimit);
  CHECK_EQ(status.message(),
           "a search may find 268435456 hits, at most 67108864 fit into one result");
}

TEST(r21_reads_go_on_beside_a_writer) {
  World world(DataType::kInt64, kSeed);
  auto growing = GrowingSegment::create(world.schema);
  const std::shared_ptr<const Segment> segment = growing;
  std::vector<fixture::Bytes> batches;
  for (int64_t i = 0; i < 600; ++i) {
    batches.push_back(
        fixture::make_batch(world.schema, {fixture::random_row(world.schema, i, 0, world.random)}));
  }
  std::atomic<uint64_t> clock{1};
  std::thread writer([&] {
    for (size_t i = 0; i < batches.size(); ++i) {
      CHECK(fixture::append(*growing, batches[i], 2 * i + 2).is_ok());
      if (i % 7 == 0) fixture::delete_key(*growing, static_cast<int64_t>(i), 2 * i + 3, 2 * i + 2);
      clock.store(2 * i + 3, std::memory_order_release);
    }
  });
  Plan plan;
  CHECK(Plan::decode(small_int8_plan(), &plan).is_ok());
  const std::vector<float> query(fixture::kDim, 1.0f);
  for (uint64_t now = 1; now < 2 * batches.size() + 1;
       now = clock.load(std::memory_order_acquire)) {
    SearchRequest search;
    search.field_id = fixture::kVector;
    search.nq = 1;
    search.k = 10;
    search.plan = &plan;
    search.read_ts = now;
    search.queries = {reinterpret_cast<const uint8_t*>(query.data()), query.size() * sizeof(float)};
    search.output_fields = {108, 109, 112};
    SearchResult found;
    CHECK(search_segments({&segment, 1}, search, nullptr, nullptr, &found).is_ok());
    QueryRequest query_request;
    query_request.read_ts = now;
    query_request.count_only = true;
    QueryResult counted;
    CHECK(query_segments({&segment, 1}, query_request, nullptr, nullptr, &counted).is_ok());
    const uint64_t appended = (now - 1) / 2;
    CHECK_EQ(counted.count, appended - (appended + 6) / 7);
  }
  writer.join();
}

TEST(a_bounded_search_over_no_segments_finds_nothing) {
  const std::vector<float> query(4, 1.0f);
  SearchRequest request;
  request.nq = 1;
  request.k = 10;
  request.queries = {reinterpret_cast<const uint8_t*>(query.data()), 16};
  request.read_ts = kReadAll;
  request.bounds.reply_bytes_max = 1000;
  SearchResult result;
  CHECK(search_segments({}, request, nullptr, nullptr, &result).is_ok());
  CHECK_EQ(result.counts.size(), size_t{1});
  CHECK_EQ(result.scores.size(), size_t{0});
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
