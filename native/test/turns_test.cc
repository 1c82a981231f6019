// R22: whatever takes long on the search threads gives way to others, and ends when it is canceled.
#include <atomic>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "index_suite.h"
#include "plain_rows.h"
#include "segment_fixture.h"
#include "turns.h"
#include "graph/hnsw.h"
#include "index/index_builder.h"
#include "read/gather.h"
#include "read/query.h"
#include "read/search.h"
#include "scalar/scalar_index.h"
#include "segment/segment_writer.h"
#include "threads/step_sort.h"

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
  const check::IndexSpec params("HNSW", Metric::kL2, ParamBag().set("efConstruction", 40));
  const std::vector<uint8_t> image = check::build_image(params, data);
  const auto index = check::open_image(image, data);
  const QuerySet queries = data.queries();
  IndexSearchParams search;
  search.bag.set("ef", 1000);
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

TEST(r22_the_first_search_by_cosine_gives_way_while_it_measures_the_rows) {
  constexpr uint32_t kDim = 256;
  constexpr size_t kRows = 60'000;
  const fixture::TemporaryFile file;
  std::shared_ptr<SealedSegment> sealed;
  {
    auto growing = GrowingSegment::create(plain::make_schema(kDim));
    plain::append_rows(
        *growing, kRows, 1, [](size_t i) { return static_cast<int64_t>(i); },
        [](size_t i, float* vector) { vector[i % kDim] = 2.0f; });
    std::unique_ptr<SegmentWriter> writer;
    CHECK(SegmentWriter::create({growing}, 0, &writer).is_ok());
    const auto layouts = fixture::write_file(*writer, file.path(), 1 << 20);
    CHECK(SealedSegment::open(growing->schema(), file.path(), kRows, layouts, &sealed).is_ok());
  }
  const auto rows = sealed->snapshot(kReadAll);
  const CancelToken canceled;
  canceled.cancel();
  CHECK(rows->inv_norms(0, plain::kVector, &canceled) == nullptr);
  // Readers that come together share the work.
  std::vector<std::thread> others;
  std::atomic<size_t> wrong{0};
  const auto measure = [&](ThreadPool*) {
    const float* norms = rows->inv_norms(0, plain::kVector, nullptr);
    for (size_t i = 0; i < kRows; ++i) wrong += norms[i] == 0.5f ? 0 : 1;
  };
  CHECK(answered_during(measure) >= 1);
  for (int i = 0; i < 3; ++i) others.emplace_back([&] { measure(nullptr); });
  for (std::thread& other : others) other.join();
  CHECK_EQ(wrong.load(), size_t{0});
  CHECK_EQ(sealed->memory_bytes(), kRows * sizeof(float));
}

TEST(r22_a_build_gives_way_while_it_measures_the_rows) {
  const check::IndexData data(60'000, 1, 256, Metric::kCosine, 3);
  std::vector<float> norms;
  CHECK(answered_during([&](ThreadPool*) {
          CHECK(compute_all_norms(data.view(), nullptr, &norms));
        }) >= 1);
  CHECK(norms == data.norms);
  const CancelToken canceled;
  canceled.cancel();
  CHECK(!compute_all_norms(data.view(), &canceled, &norms));
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
