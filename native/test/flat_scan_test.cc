// The blocked scan against scoring one row at a time: same ids, same bits.
#include <algorithm>

#include "check.h"
#include "index_data.h"
#include "read/flat_scan.h"

using namespace elanus;
using check::IndexData;

namespace {

bool are_equal(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Hit& x, const Hit& y) { return x.id == y.id && x.score == y.score; });
}

}  // namespace

TEST(finds_what_a_naive_scan_finds_for_all_metrics_batches_and_masks) {
  for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
    for (const size_t dim : {3u, 100u}) {
      const IndexData data(1000, 6, dim, metric, 5);
      for (const size_t query_count : {1u, 4u, 6u}) {
        const QuerySet queries =
            check::float_queries(data.query_floats.data(), query_count, dim, metric);
        for (const double share : {-1.0, 0.0, 0.002, 0.3, 1.0}) {
          const Bitset visible = check::random_bits(data.n, share, 9);
          const Bitset* mask = share < 0 ? nullptr : &visible;
          FlatScanArgs args;
          args.rows = data.view();
          args.visible = mask == nullptr ? nullptr : mask->words();
          std::vector<TopK> heaps(query_count, TopK(10));
          flat_scan(args, queries, heaps.data());
          for (size_t q = 0; q < query_count; ++q) {
            CHECK(are_equal(heaps[q].take_sorted(), data.naive(queries, q, 10, mask)));
          }
        }
      }
    }
  }
}

TEST(chunks_at_any_first_row_add_up_to_the_whole) {
  const IndexData data(777, 5, 16, Metric::kCosine, 3);
  const QuerySet queries = data.queries();
  const Bitset visible = check::random_bits(data.n, 0.5, 4);
  std::vector<TopK> heaps(5, TopK(20));
  size_t begin = 0;
  for (const size_t rows : {1u, 63u, 100u, 300u, 313u}) {
    FlatScanArgs args;
    args.rows = data.view().part(begin, rows);
    args.row_begin = begin;
    args.visible = visible.words();
    flat_scan(args, queries, heaps.data());
    begin += rows;
  }
  CHECK_EQ(begin, data.n);
  for (size_t q = 0; q < 5; ++q) {
    CHECK(are_equal(heaps[q].take_sorted(), data.naive(queries, q, 20, &visible)));
  }
}

TEST(a_range_keeps_the_best_inside_its_bounds) {
  for (const Metric metric : {Metric::kL2, Metric::kIp}) {
    const IndexData data(2000, 4, 24, metric, 6);
    const QuerySet queries = data.queries();
    const std::vector<Hit> order = data.naive(queries, 0, 2000, nullptr);
    const ScoreRange range{order[300].score, order[50].score};
    FlatScanArgs args;
    args.rows = data.view();
    args.range = &range;
    std::vector<TopK> heaps(4, TopK(500));
    flat_scan(args, queries, heaps.data());
    const std::vector<Hit> hits = heaps[0].take_sorted();
    CHECK_EQ(hits.size(),
             size_t{250});  // ranks 50 to 299: the far bound is open, the near one closed
    CHECK_EQ(hits.front().id, order[50].id);
    CHECK_EQ(hits.back().id, order[299].id);
  }
}

TEST(a_parallel_scan_gives_the_same_hits) {
  const IndexData data(60000, 5, 100, Metric::kL2, 8);
  const QuerySet queries = data.queries();
  ThreadPool::Options options;
  options.threads = 2;
  ThreadPool pool(options);
  for (const double share : {-1.0, 0.4}) {
    const Bitset visible = check::random_bits(data.n, share, 2);
    FlatScanArgs args;
    args.rows = data.view();
    args.visible = share < 0 ? nullptr : visible.words();
    std::vector<TopK> heaps(5, TopK(30));
    std::vector<TopK> parallel(5, TopK(30));
    flat_scan(args, queries, heaps.data());
    flat_scan_parallel(pool, args, queries, parallel.data());
    for (size_t q = 0; q < 5; ++q) {
      CHECK(are_equal(heaps[q].take_sorted(), parallel[q].take_sorted()));
    }
  }
}

TEST(canceled_scans_stop) {
  const IndexData data(500, 1, 8, Metric::kIp, 1);
  FlatScanArgs args;
  args.rows = data.view();
  TopK heap(10);
  const CancelToken token;
  token.cancel();
  args.cancel = &token;
  const QuerySet good = data.queries();
  flat_scan(args, good, &heap);
  CHECK_EQ(heap.size(), size_t{0});
}

CHECK_MAIN()
