// Reads and layouts that run out of memory, on the calling thread and on helpers: a Status, no
// thread left behind, nothing leaked, and the next one is right. Every allocation is refused once.
#include "failing_new.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "float_vectors.h"
#include "expr_support.h"
#include "plain_rows.h"
#include "segment_fixture.h"
#include "base/guard.h"
#include "index/vector_index.h"
#include "read/query.h"
#include "read/search.h"
#include "segment/segment_writer.h"

namespace elanus {
namespace {

using check::FailingNew;

constexpr uint32_t kDim = 4;
constexpr size_t kRows = 400;

// Keeps rows whose key is less than 350.
std::vector<uint8_t> small_keys_plan() {
  test::PlanWriter plan;
  plan.tag(PlanTag::kCompare).field(plain::kKey, DataType::kInt64);
  plan.u8(static_cast<int>(CompareOp::kLt));
  plan.u8(static_cast<int>(LiteralKind::kInt64)).put<int64_t>(350);
  return plan.bytes;
}

struct Segments {
  Segments() {
    for (size_t s = 0; s < 4; ++s) {
      auto growing = GrowingSegment::create(plain::make_schema(kDim));
      plain::append_rows(
          *growing, kRows, s + 1,
          [s](size_t i) { return static_cast<int64_t>((i * 7 + s * 31) % 500); },
          [s](size_t i, float* vector) {
            for (size_t d = 0; d < kDim; ++d) vector[d] = static_cast<float>((i + s * d) % 5);
          });
      if (s % 2 == 0) {
        all.push_back(growing);
      } else {
        all.push_back(fixture::seal({growing}, plain::make_schema(kDim), files[s / 2].path()));
      }
    }
  }
  fixture::TemporaryFile files[2];
  std::vector<std::shared_ptr<const Segment>> all;
};

// Refuses the first allocation, the second and so on, until `body` succeeds without a refusal.
// `body` says how it ended; `is_right` is asked when it ended well.
template <typename Body, typename IsRight>
void refuse_each(bool only_other_threads, Body&& body, IsRight&& is_right) {
  long refusals = 0;
  for (long allowed = 0;; allowed += 1 + allowed / 16) {
    Status status;
    bool has_refused;
    {
      const FailingNew failing(allowed, only_other_threads);
      status = body();
      has_refused = failing.has_refused();
    }
    if (status.is_ok()) {
      CHECK(is_right());
    } else {
      CHECK(has_refused);
      CHECK(status.code() == StatusCode::kMemoryLimit);
      ++refusals;
    }
    if (!has_refused) break;
  }
  CHECK(only_other_threads || refusals > 3);
}

bool are_equal(const OwnedBytes& a, const OwnedBytes& b) {
  return a.size == b.size && std::memcmp(a.data.get(), b.data.get(), a.size) == 0;
}

TEST(a_search_without_memory_says_so_on_whichever_thread_it_is) {
  const Segments segments;
  Plan plan;
  const std::vector<uint8_t> plan_bytes = small_keys_plan();
  CHECK(Plan::decode(plan_bytes, &plan).is_ok());
  const std::vector<float> queries(40 * kDim, 1.0f);
  SearchRequest request;
  request.field_id = plain::kVector;
  request.nq = 40;
  request.k = 12;
  request.plan = &plan;
  request.read_ts = kReadAll;
  request.queries = {reinterpret_cast<const uint8_t*>(queries.data()),
                     queries.size() * sizeof(float)};
  request.output_fields = {plain::kText};
  ThreadPool pool({.threads = 2});
  SearchResult expected;
  CHECK(search_segments(segments.all, request, &pool, nullptr, &expected).is_ok());
  for (const bool only_helpers : {false, true}) {
    SearchResult result;
    refuse_each(
        only_helpers,
        [&] {
          result = {};
          return search_segments(segments.all, request, &pool, nullptr, &result);
        },
        [&] { return result.scores == expected.scores && are_equal(result.rows, expected.rows); });
  }
}

TEST(a_query_without_memory_says_so_on_whichever_thread_it_is) {
  const Segments segments;
  Plan plan;
  const std::vector<uint8_t> plan_bytes = small_keys_plan();
  CHECK(Plan::decode(plan_bytes, &plan).is_ok());
  QueryRequest request;
  request.plan = &plan;
  request.read_ts = kReadAll;
  request.output_fields = {plain::kText, plain::kVector};
  ThreadPool pool({.threads = 2});
  QueryResult expected;
  CHECK(query_segments(segments.all, request, &pool, nullptr, &expected).is_ok());
  for (const bool only_helpers : {false, true}) {
    QueryResult result;
    refuse_each(
        only_helpers,
        [&] {
          result = {};
          return query_segments(segments.all, request, &pool, nullptr, &result);
        },
        [&] { return are_equal(result.rows, expected.rows); });
  }
}

TEST(a_layout_without_memory_says_so) {
  const Segments segments;
  std::unique_ptr<SegmentWriter> writer;
  refuse_each(
      false,
      // The list of inputs is copied for the call.
      [&] { return guarded([&] { return SegmentWriter::create(segments.all, 0, &writer); }); },
      [&] { return writer->rows() == 4 * kRows; });
}

TEST(an_index_build_without_memory_says_so_on_whichever_thread_it_is) {
  std::vector<float> rows(kRows * kDim);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i * i % 97);
  ThreadPool pool({.threads = 2});
  IndexBuildControl control;
  control.pool = &pool;
  const RowView view = check::float_rows(rows.data(), kRows, kDim);
  for (const char* kind : {"HNSW", "IVF_FLAT"}) {
    const check::IndexSpec params(kind, Metric::kL2,
                                  ParamBag().set("nlist", 8).set("efConstruction", 20));
    for (const bool only_helpers : {false, true}) {
      const fixture::TemporaryFile file;
      refuse_each(
          only_helpers,
          [&] {
            return guarded([&] {
              std::unique_ptr<SectionFileWriter> out;
              Status status = SectionFileWriter::create(file.path(), nullptr, &out);
              if (!status.is_ok()) return status;
              return params.build(view, control, out.get());
            });
          },
          [&] {
            std::shared_ptr<const SectionFile> built;
            std::unique_ptr<VectorIndex> index;
            return SectionFile::open(file.path(), &built).is_ok() &&
                   open_vector_index(built, view, &index).is_ok();
          });
    }
  }
}

TEST(what_is_thrown_becomes_a_status) {
  CHECK(guarded([]() -> Status { throw std::bad_alloc(); }).code() == StatusCode::kMemoryLimit);
  const Status status = guarded([]() -> Status { throw std::length_error("too long for it"); });
  CHECK(status.code() == StatusCode::kInternal);
  CHECK_EQ(status.message(), "native: too long for it");
  CHECK(guarded([]() -> Status { throw 7; }).code() == StatusCode::kInternal);
  // No memory for the message either.
  const Status bare = guarded([]() -> Status {
    throw std::length_error("longer than what a string holds in place");
  });
  CHECK(bare.code() == StatusCode::kInternal);
  Status refused;
  {
    const std::length_error error("longer than what a string holds in place");
    const FailingNew failing(0);
    refused = guarded([&]() -> Status { throw std::length_error(error); });
  }
  CHECK(refused.code() == StatusCode::kMemoryLimit);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
