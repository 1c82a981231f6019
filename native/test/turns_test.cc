// R22: whatever takes long on the search threads gives way to others, and ends when it is canceled.
#include <atomic>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "index/hnsw.h"
#include "index_suite.h"
#include "plain_rows.h"
#include "scalar/scalar_index.h"
#include "segment/gather.h"
#include "segment/query.h"
#include "segment/search.h"
#include "segment/segment_writer.h"
#include "segment_fixture.h"
#include "turns.h"
#include "util/step_sort.h"

namespace elanus {
namespace {

// Rows whose keys are in no order, with few different vectors.
std::shared_ptr<GrowingSegment> many_rows(size_t count) {
  auto segment = GrowingSegment::create(plain::make_schema(4));
  plain::append_rows(
      *segment, count, 1,
      [count](size_t i) { return static_cast<int64_t>(i * 7919 % count); },
      [](size_t i, float* vector) {
        for (size_t d = 0; d < 4; ++d) vector[d] = static_cast<float>((i >> d) % 2);
      });
  return segment;
}

constexpr size_t kMany = 200'000;

TEST(r22_a_query_of_all_rows_gives_way) {
  const std::shared_ptr<const Segment> segment = many_rows(kMany);
  QueryResult result;
  const size_t answered = answered_during([&](ThreadPool* pool) {
    QueryRequest request;
    request.read_ts = kReadAll;
    request.output_fields = {plain::kText};
    CHECK(query_segments({&segment, 1}, request, pool, nullptr, &result).is_ok());
  });
  CHECK_EQ(result.count, uint64_t{kMany});
  CHECK(answered >= 10);
}

TEST(r22_a_query_of_many_keys_gives_way) {
  const std::shared_ptr<const Segment> segment = many_rows(kMany);
  std::vector<int64_t> keys;
  for (size_t i = 0; i < kMany; ++i) keys.push_back(static_cast<int64_t>(2 * i));
  QueryResult result;
  const size_t answered = answered_during([&](ThreadPool* pool) {
    QueryRequest request;
    request.keys = KeySpan::of(std::span<const int64_t>(keys));
    request.read_ts = kReadAll;
    CHECK(query_segments({&segment, 1}, request, pool, nullptr, &result).is_ok());
  });
  CHECK_EQ(result.count, uint64_t{kMany / 2});
  CHECK(answered >= 5);
}

TEST(r22_a_walk_over_a_large_beam_gives_way) {
  const check::IndexData data(20000, 1, 64, Metric::kL2, 3);
  IndexBuildParams params;
  params.ef_construction = 40;
  const std::vector<uint8_t> image = check::build_image(params, data);
  const auto index = check::open_image(image, data);
  const QueryBatch queries = data.queries();
  IndexSearchParams search;
  search.ef = 1000;
  const size_t answered = answered_during([&](ThreadPool*) {
    // The walks of one query do not give way between one another here, only inside.
    for (int i = 0; i < 200; ++i) {
      TopK best(10);
      index->search(queries, 0, search, nullptr, data.n, best, SearchScratch::of_thread());
      CHECK_EQ(best.size(), size_t{10});
    }
  });
  CHECK(answered >= 5);
}

TEST(r22_canceled_reads_and_layouts_end_early) {
  const std::shared_ptr<const Segment> segment = many_rows(kMany);
  const CancelToken token;
  token.cancel();
  QueryRequest query;
  query.read_ts = kReadAll;
  QueryResult rows;
  CHECK(query_segments({&segment, 1}, query, nullptr, &token, &rows).code() ==
        StatusCode::kCanceled);
  std::unique_ptr<SegmentWriter> writer;
  CHECK(SegmentWriter::create({segment}, 0, &writer, &token).code() == StatusCode::kCanceled);
  const std::unique_ptr<SegmentSnapshot> snapshot = segment->snapshot(kReadAll);
  const SegmentSnapshot* source = snapshot.get();
  OwnedBytes bytes;
  const std::vector<RowRef> refs = fixture::all_rows(*snapshot);
  for (const int64_t field : {plain::kText, plain::kVector}) {
    CHECK(gather_rows({&source, 1}, refs, {&field, 1}, &bytes, &token).code() ==
          StatusCode::kCanceled);
  }
}

TEST(r22_a_canceled_scalar_build_ends_early) {
  const std::shared_ptr<const Segment> segment = many_rows(kMany);
  const std::unique_ptr<SegmentSnapshot> rows = segment->snapshot(kReadAll);
  const CancelToken token;
  const auto build = [&](int64_t field, DataType type) {
    std::vector<uint8_t> bytes;
    return fixture::build_bytes(
        [&](SectionFileWriter* out) {
          return build_scalar_index(*rows, field, type, DataType::kNone, out, &token);
        },
        &bytes);
  };
  for (const auto& [field, type] : {std::pair{plain::kKey, DataType::kInt64},
                                    std::pair{plain::kText, DataType::kVarChar}}) {
    CHECK(build(field, type).is_ok());
  }
  token.cancel();
  for (const auto& [field, type] : {std::pair{plain::kKey, DataType::kInt64},
                                    std::pair{plain::kText, DataType::kVarChar}}) {
    CHECK(build(field, type).code() == StatusCode::kCanceled);
  }
}

TEST(r22_a_sort_in_steps_sorts_like_any_other) {
  std::mt19937_64 random(5);
  for (const size_t count : {0u, 1u, 2u, 4095u, 4096u, 4097u, 8192u, 50'000u}) {
    for (const uint64_t values : {uint64_t{3}, uint64_t{1000}, ~uint64_t{0}}) {
      std::vector<uint64_t> items(count);
      for (uint64_t& item : items) item = random() % values;
      std::vector<uint64_t> expected = items;
      std::sort(expected.begin(), expected.end());
      CHECK(sort_in_steps(&items, std::less<uint64_t>(), nullptr));
      CHECK(items == expected);
      CHECK(sort_in_steps(&items, std::less<uint64_t>(), nullptr));
      CHECK(items == expected);
      std::reverse(items.begin(), items.end());
      CHECK(sort_in_steps(&items, std::less<uint64_t>(), nullptr));
      CHECK(items == expected);
    }
  }
  const CancelToken token;
  token.cancel();
  std::vector<uint64_t> items(100'000);
  for (uint64_t& item : items) item = random();
  CHECK(!sort_in_steps(&items, std::less<uint64_t>(), &token));
}

TEST(r22_a_long_sort_gives_way) {
  std::mt19937_64 random(6);
  std::vector<uint64_t> items(1'000'000);
  for (uint64_t& item : items) item = random();
  CHECK(answered_during([&](ThreadPool*) {
          CHECK(sort_in_steps(&items, std::less<uint64_t>(), nullptr));
        }) >= 10);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
