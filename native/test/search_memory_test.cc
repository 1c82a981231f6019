// P6: what a search holds while it looks for hits does not grow with the number of threads.
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "check.h"
#include "plain_rows.h"
#include "segment_fixture.h"
#include "read/search.h"
#include "threads/thread_pool.h"

namespace {

std::atomic<size_t> held{0};
std::atomic<size_t> most{0};

void* try_new(size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) return nullptr;
  const size_t now = held += malloc_usable_size(memory);
  size_t before = most;
  while (now > before && !most.compare_exchange_weak(before, now)) {
  }
  return memory;
}

void* counted_new(size_t bytes) {
  void* memory = try_new(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void counted_delete(void* memory) {
  if (memory == nullptr) return;
  held -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(size_t bytes) { return counted_new(bytes); }
void* operator new[](size_t bytes) { return counted_new(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return try_new(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return try_new(bytes); }
void operator delete(void* memory) noexcept { counted_delete(memory); }
void operator delete[](void* memory) noexcept { counted_delete(memory); }
void operator delete(void* memory, size_t) noexcept { counted_delete(memory); }
void operator delete[](void* memory, size_t) noexcept { counted_delete(memory); }

namespace elanus {
namespace {

TEST(p6_many_threads_search_for_many_hits_in_the_memory_of_one) {
  constexpr size_t kRows = 200'000;
  constexpr size_t kQueries = 256;
  constexpr size_t kHits = 16'384;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto growing = GrowingSegment::create(plain::make_schema(4));
  plain::append_rows(
      *growing, kRows, 1, [](size_t i) { return static_cast<int64_t>(i); },
      [&](size_t, float* vector) {
        for (size_t d = 0; d < 4; ++d) vector[d] = normal(random);
      });
  std::unique_ptr<SegmentWriter> writer;
  CHECK(SegmentWriter::create({growing}, 0, &writer).is_ok());
  const fixture::TemporaryFile file;
  const auto layouts = fixture::write_file(*writer, file.path());
  std::shared_ptr<SealedSegment> sealed;
  CHECK(SealedSegment::open(growing->schema(), file.path(), kRows, layouts, &sealed).is_ok());
  std::vector<float> queries(4 * kQueries);
  for (float& value : queries) value = normal(random);
  const std::shared_ptr<const Segment> segment = sealed;
  ThreadPool pool({.threads = 24});
  SearchRequest request;
  request.field_id = plain::kVector;
  request.nq = kQueries;
  request.k = kHits;
  request.queries = {reinterpret_cast<const uint8_t*>(queries.data()), queries.size() * 4};
  request.read_ts = kReadAll;
  SearchResult result;
  const size_t before = held;
  most = before;
  CHECK(search_segments({&segment, 1}, request, &pool, nullptr, &result).is_ok());
  CHECK_EQ(result.scores.size(), kQueries * kHits);
  const size_t taken = most - before;
  std::printf("%zu MiB at most\n", taken >> 20);
  // Scores, places and rows of the result take 32 bytes a hit, and twice that while they grow.
  CHECK(taken < kQueries * kHits * 64 + (size_t{160} << 20));
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
