// IVF_FLAT: recall floors against exact search, full k under filters, odd data, damage, cancelling.
#include "lists/ivf_flat.h"

#include "index_suite.h"

using namespace elanus;
using namespace elanus::check;

namespace {

IndexSpec ivf_params(Metric metric, uint32_t nlist = 64) {
  return {"IVF_FLAT", metric, ParamBag().set("nlist", nlist)};
}

IndexSearchParams with_nprobe(uint32_t nprobe) {
  IndexSearchParams params;
  params.bag.set("nprobe", nprobe);
  return params;
}

}  // namespace

TEST(ivf_recall_rises_with_nprobe_and_all_lists_are_exact) {
  for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
    const IndexData data(4000, 40, 24, metric, 1);
    const std::vector<uint8_t> image = build_image(ivf_params(metric), data);
    const auto index = open_image(image, data);
    CHECK(recall_of(*index, data, 10, with_nprobe(16)) >= 0.85);
    CHECK_EQ(recall_of(*index, data, 10, with_nprobe(64)), 1.0);
    CHECK_EQ(recall_of(*index, data, 10, with_nprobe(100000)), 1.0);
    CHECK((index->rows().inv_norms != nullptr) == (metric == Metric::kCosine));
  }
}

TEST(ivf_fills_k_from_further_lists) {
  const IndexData data(2000, 10, 8, Metric::kL2, 2);
  const std::vector<uint8_t> image = build_image(ivf_params(Metric::kL2), data);
  const auto index = open_image(image, data);
  const QuerySet queries = data.queries();
  for (const double share : {0.0, 0.002, 0.05, 1.0}) {
    const Bitset visible = random_bits(data.n, share, 3);
    for (size_t q = 0; q < queries.count(); ++q) {
      for (const size_t k : {1u, 50u, 5000u}) {
        size_t found;
        search_index(*index, queries, q, k, with_nprobe(1), &visible, &found);
        CHECK_EQ(found, std::min(k, visible.count()));
      }
    }
  }
}

TEST(ivf_builds_the_same_bytes_on_any_number_of_threads) {
  const IndexData data(3000, 1, 16, Metric::kCosine, 4);
  ThreadPool::Options options;
  options.threads = 2;
  ThreadPool pool(options);
  std::atomic<uint64_t> progress{0};
  IndexBuildControl control;
  control.pool = &pool;
  control.progress = &progress;
  CHECK(build_image(ivf_params(Metric::kCosine), data) ==
        build_image(ivf_params(Metric::kCosine), data, control));
  CHECK_EQ(progress.load(), uint64_t{data.n});
}

TEST(ivf_range_search_keeps_to_the_range) {
  const IndexData data(2000, 5, 8, Metric::kIp, 5);
  const std::vector<uint8_t> image = build_image(ivf_params(Metric::kIp), data);
  const auto index = open_image(image, data);
  const QuerySet queries = data.queries();
  const std::vector<Hit> order = data.naive(queries, 0, 2000, nullptr);
  const ScoreRange range{order[60].score, order[20].score};
  IndexSearchParams params = with_nprobe(64);
  params.range = &range;
  size_t found;
  const std::vector<Hit> hits = search_index(*index, queries, 0, 100, params, nullptr, &found);
  CHECK_EQ(hits.size(), size_t{40});
  CHECK_EQ(found, size_t{40});
  CHECK_EQ(hits.front().id, order[20].id);
}

TEST(ivf_repairs_empty_lists) {
  // Two places only: 16 lists cannot all get a centre of their own at first.
  IndexData data(600, 1, 4, Metric::kL2, 6);
  for (size_t i = 0; i < data.base.size(); ++i) data.base[i] = i / 4 % 2 == 0 ? 1.0f : 5.0f;
  data.prepare();
  const std::vector<uint8_t> image = build_image(ivf_params(Metric::kL2, 16), data);
  const auto index = open_image(image, data);
  size_t found;
  search_index(*index, data.queries(), 0, 600, with_nprobe(1), nullptr, &found);
  CHECK_EQ(found, size_t{600});
}

TEST(ivf_keeps_null_rows_out_of_the_lists) {
  check_absent_rows(ivf_params(Metric::kL2), with_nprobe(32), 0.95);
}

TEST(ivf_survives_odd_data) { check_odd_data(ivf_params(Metric::kL2)); }

TEST(ivf_survives_damaged_files) {
  check_damage_is_survived(ivf_params(Metric::kCosine), IndexData(500, 10, 8, Metric::kCosine, 9));
}

TEST(ivf_build_can_be_canceled) {
  check_build_can_be_canceled(ivf_params(Metric::kL2, 256),
                              IndexData(100000, 1, 32, Metric::kL2, 10));
}

CHECK_MAIN()
