// HNSW: recall floors against exact search, filters, ranges, islands of equal rows, damage,
// cancelling.
#include "graph/hnsw.h"

#include <array>
#include <map>
#include <set>
#include <string>

#include "index_suite.h"

using namespace elanus;
using namespace elanus::check;

namespace {

IndexSpec hnsw_params(Metric metric, uint32_t m = 16, uint32_t ef_construction = 100) {
  return {"HNSW", metric, ParamBag().set("M", m).set("efConstruction", ef_construction)};
}

IndexSearchParams with_ef(uint32_t ef) {
  IndexSearchParams params;
  params.bag.set("ef", ef);
  return params;
}

}  // namespace

TEST(hnsw_recall_rises_with_ef_and_reaches_its_floor_under_each_metric) {
  for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
    const IndexData data(3000, 50, 24, metric, 1);
    const std::vector<uint8_t> image = build_image(hnsw_params(metric), data);
    const auto index = open_image(image, data);
    CHECK_EQ(index->rows().count, data.n);
    CHECK((index->rows().inv_norms != nullptr) == (metric == Metric::kCosine));
    const double low = recall_of(*index, data, 10, with_ef(10));
    const double high = recall_of(*index, data, 10, with_ef(100));
    CHECK(low >= 0.75);
    CHECK(high >= 0.98);
    CHECK(recall_of(*index, data, 100, with_ef(2000)) >= 0.99);  // the heap form
  }
}

TEST(hnsw_cosine_ignores_the_length_of_rows_and_queries) {
  IndexData data(1000, 20, 16, Metric::kCosine, 2);
  std::mt19937_64 random(3);
  for (size_t i = 0; i < data.n; ++i) {
    const float scale = std::exp2(static_cast<float>(random() % 20) - 10);
    for (size_t d = 0; d < 16; ++d) data.base[i * 16 + d] *= scale;
  }
  data.prepare();
  const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kCosine), data);
  const auto index = open_image(image, data);
  CHECK(recall_of(*index, data, 10, with_ef(100)) >= 0.98);
  CHECK(std::equal(data.norms.begin(), data.norms.end(), index->rows().inv_norms));
}

TEST(hnsw_filtered_searches_fill_k_with_visible_rows) {
  const IndexData data(3000, 20, 16, Metric::kL2, 3);
  const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kL2), data);
  const auto index = open_image(image, data);
  const QuerySet queries = data.queries();
  for (const double share : {0.001, 0.01, 0.1, 0.5, 0.99}) {
    const Bitset visible = random_bits(data.n, share, 12);
    CHECK(recall_of(*index, data, 10, with_ef(64), &visible) >= 0.9);
    for (size_t q = 0; q < queries.count(); ++q) {
      size_t found;
      search_index(*index, queries, q, 10, with_ef(64), &visible, &found);
      CHECK_EQ(found, std::min<size_t>(10, visible.count()));
    }
  }
}

TEST(hnsw_range_search_grows_until_it_has_left_the_range) {
  const IndexData data(3000, 20, 16, Metric::kL2, 4);
  const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kL2), data);
  const auto index = open_image(image, data);
  const QuerySet queries = data.queries();
  const Bitset half = random_bits(data.n, 0.5, 5);
  for (const Bitset* visible : {static_cast<const Bitset*>(nullptr), &half}) {
    size_t common_hits = 0;
    size_t true_hits = 0;
    for (size_t q = 0; q < queries.count(); ++q) {
      const std::vector<Hit> order = data.naive(queries, q, data.n, visible);
      const ScoreRange range{order[400].score, order[100].score};
      for (const size_t k : {50u, 1000u}) {
        IndexSearchParams params = with_ef(32);
        params.range = &range;
        size_t found;
        const std::vector<Hit> hits = search_index(*index, queries, q, k, params, visible, &found);
        for (const Hit& hit : hits) CHECK(range.contains(hit.score));
        common_hits += common(hits, data.naive(queries, q, k, visible, &range));
        true_hits += std::min<size_t>(k, 300);
      }
    }
    CHECK(static_cast<double>(common_hits) >= 0.97 * static_cast<double>(true_hits));
  }
}

TEST(hnsw_one_thread_gives_the_same_bytes_and_two_the_same_recall) {
  const IndexData data(2000, 40, 16, Metric::kIp, 5);
  const std::vector<uint8_t> one = build_image(hnsw_params(Metric::kIp), data);
  CHECK(one == build_image(hnsw_params(Metric::kIp), data));
  ThreadPool::Options options;
  options.threads = 2;
  options.low_priority = true;
  ThreadPool pool(options);
  std::atomic<uint64_t> progress{0};
  IndexBuildControl control;
  control.pool = &pool;
  control.progress = &progress;
  const std::vector<uint8_t> many = build_image(hnsw_params(Metric::kIp), data, control);
  CHECK_EQ(progress.load(), uint64_t{data.n});
  const double difference = recall_of(*open_image(one, data), data, 10, with_ef(64)) -
                            recall_of(*open_image(many, data), data, 10, with_ef(64));
  CHECK(std::abs(difference) < 0.03);
}

// One text in many tenants: far more copies than all lists near them hold, and a filter that shows
// few of them. What is shown is found exactly, as by a scan.
TEST(p4_hnsw_finds_the_visible_ones_of_many_copies_of_a_row) {
  for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
    constexpr size_t kPlaces = 5;
    IndexData data(20000, kPlaces, 8, metric, 6);
    for (size_t i = 0; i < data.n; ++i) {
      // Four of five rows are a copy.
      if (i % 5 == 4) continue;
      std::copy_n(data.query_floats.begin() + static_cast<std::ptrdiff_t>(i % kPlaces * 8), 8,
                  data.base.begin() + static_cast<std::ptrdiff_t>(i * 8));
    }
    data.prepare();
    const std::vector<uint8_t> image = build_image(hnsw_params(metric), data);
    const auto index = open_image(image, data);
    const QuerySet queries = data.queries();
    const Bitset all(data.n, true);
    const Bitset tenth = random_bits(data.n, 0.1, 7);
    const Bitset few = random_bits(data.n, 0.01, 8);
    for (const Bitset* visible : {static_cast<const Bitset*>(nullptr), &all, &tenth, &few}) {
      for (size_t q = 0; q < kPlaces; ++q) {
        size_t found;
        const size_t k = visible == &few ? 20 : 100;
        const std::vector<Hit> hits =
            search_index(*index, queries, q, k, with_ef(64), visible, &found);
        const std::vector<Hit> truth = data.naive(queries, q, k, visible);
        CHECK_EQ(found, k);
        CHECK_EQ(hits.size(), k);
        if (metric == Metric::kIp) continue;  // longer rows may be better
        CHECK_EQ(common(hits, truth), k);
      }
    }
  }
}

TEST(hnsw_takes_nothing_but_copies_of_one_row) {
  IndexData data(5000, 1, 8, Metric::kL2, 9);
  for (size_t i = 0; i < data.n; ++i) {
    const auto row = data.base.begin() + static_cast<std::ptrdiff_t>(i * 8);
    std::copy_n(data.query_floats.begin(), 8, row);
  }
  data.prepare();
  const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kL2), data);
  const auto index = open_image(image, data);
  Bitset visible(data.n);
  for (const size_t row : {17u, 18u, 2000u, 4999u}) visible.set(row);
  size_t found;
  const std::vector<Hit> shown =
      search_index(*index, data.queries(), 0, 3, with_ef(10), &visible, &found);
  CHECK_EQ(found, size_t{3});
  CHECK(shown[0].id == 17 && shown[1].id == 18 && shown[2].id == 2000);
  const std::vector<Hit> all =
      search_index(*index, data.queries(), 0, 3000, with_ef(10), nullptr, &found);
  CHECK_EQ(found, size_t{3000});
  for (size_t i = 0; i < all.size(); ++i) CHECK_EQ(all[i].id, uint64_t{i});
  ScoreRange range{-1.0f, 0.0f};
  IndexSearchParams in_range = with_ef(10);
  in_range.range = &range;
  CHECK_EQ(search_index(*index, data.queries(), 0, 70, in_range, nullptr, &found).size(),
           size_t{70});
}

TEST(twins_are_rows_of_equal_bytes_and_nothing_else) {
  std::mt19937_64 random(11);
  for (const size_t kinds : {1u, 3u, 50u, 100000u}) {
    for (const size_t n : {0u, 1u, 2u, 1000u}) {
      constexpr size_t kDim = 3;
      std::vector<float> base(n * kDim);
      std::vector<uint32_t> nodes;
      for (uint32_t row = 0; row < n; ++row) {
        const size_t kind = random() % kinds;
        for (size_t d = 0; d < kDim; ++d) base[row * kDim + d] = static_cast<float>(kind >> d);
        // 0 and -0 are equal floats of different bytes.
        if (random() % 2 == 0) base[row * kDim + 2] = -base[row * kDim + 2];
        if (row % 7 != 3) nodes.push_back(row);  // some have no vector
      }
      const RowView rows = float_rows(base.data(), n, kDim);
      std::map<std::string, std::vector<uint32_t>> expected;
      for (const uint32_t row : nodes) {
        const char* bytes = reinterpret_cast<const char*>(base.data() + row * kDim);
        expected[std::string(bytes, kDim * sizeof(float))].push_back(row);
      }
      std::vector<uint32_t> left = nodes;
      TwinLists lists;
      CHECK(find_twins(rows, nullptr, &left, &lists));
      CHECK_EQ(left.size(), expected.size());
      CHECK(std::is_sorted(left.begin(), left.end()));
      CHECK(std::is_sorted(lists.heads.begin(), lists.heads.end()));
      const Twins twins(lists.heads, lists.begins.data(), lists.rows);
      size_t found = left.size();
      for (const auto& [bytes, group] : expected) {
        const std::span<const uint32_t> of = twins.of(group[0]);
        CHECK(std::equal(of.begin(), of.end(), group.begin() + 1, group.end()));
        CHECK(std::binary_search(left.begin(), left.end(), group[0]));
        found += of.size();
        for (const uint32_t row : of) CHECK(twins.of(row).empty());
      }
      CHECK_EQ(found, nodes.size());
    }
  }
}

// Differences of 12 bytes that change no CRC: it is linear, so combinations of bits whose own
// changes add up to nothing.
std::vector<std::array<uint8_t, 12>> crc_collisions() {
  using Bytes = std::array<uint8_t, 12>;
  const uint32_t zero = crc32c(Bytes{}.data(), 12);
  std::vector<std::pair<uint32_t, Bytes>> basis;
  std::vector<Bytes> collisions = {Bytes{}};
  for (size_t bit = 0; bit < 96; ++bit) {
    Bytes bytes{};
    bytes[bit / 8] = static_cast<uint8_t>(1u << (bit % 8));
    uint32_t change = crc32c(bytes.data(), 12) ^ zero;
    for (const auto& [other, combination] : basis) {
      if ((change ^ other) >= change) continue;
      change ^= other;
      for (size_t i = 0; i < 12; ++i) bytes[i] ^= combination[i];
    }
    if (change == 0) {
      collisions.push_back(bytes);
    } else {
      basis.emplace_back(change, bytes);
    }
  }
  return collisions;
}

TEST(twins_are_told_apart_when_their_hashes_are_equal) {
  const std::vector<std::array<uint8_t, 12>> kinds = crc_collisions();
  CHECK(kinds.size() > 60);
  for (const std::array<uint8_t, 12>& kind : kinds)
    CHECK_EQ(crc32c(kind.data(), 12), crc32c(kinds[0].data(), 12));
  std::vector<float> base(3 * 1000);
  std::vector<uint32_t> nodes;
  for (uint32_t row = 0; row < 1000; ++row) {
    std::memcpy(base.data() + 3 * row, kinds[row % kinds.size()].data(), 12);
    nodes.push_back(row);
  }
  TwinLists lists;
  CHECK(find_twins(float_rows(base.data(), 1000, 3), nullptr, &nodes, &lists));
  CHECK_EQ(nodes.size(), kinds.size());
  CHECK_EQ(lists.rows.size(), 1000 - kinds.size());
  const Twins twins(lists.heads, lists.begins.data(), lists.rows);
  for (uint32_t row = 0; row < kinds.size(); ++row) {
    for (const uint32_t twin : twins.of(row)) CHECK_EQ(twin % kinds.size(), size_t{row});
  }
}

TEST(hnsw_every_row_can_be_reached_by_searching_for_it) {
  const IndexData data(3000, 1, 12, Metric::kL2, 7);
  const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kL2, 4, 40), data);
  const auto index = open_image(image, data);
  const QuerySet queries = float_queries(data.base.data(), data.n, 12, Metric::kL2);
  std::set<uint64_t> reached;
  size_t found;
  for (const Hit& hit : search_index(*index, queries, 0, data.n, with_ef(3000), nullptr, &found)) {
    reached.insert(hit.id);
  }
  CHECK_EQ(reached.size(), data.n);
}

// Inserted as they lie, clusters that follow one another would be joined by few links.
TEST(hnsw_finds_rows_whose_keys_follow_clusters_as_well_as_shuffled_ones) {
  IndexData data(6000, 100, 24, Metric::kL2, 30);
  std::mt19937_64 random(31);
  std::normal_distribution<float> normal;
  std::vector<float> centres(150 * data.dim);
  for (float& value : centres) value = 3 * normal(random);
  const auto near = [&](size_t cluster, float* out) {
    for (size_t d = 0; d < data.dim; ++d)
      out[d] = centres[cluster * data.dim + d] + 0.3f * normal(random);
  };
  for (size_t i = 0; i < data.n; ++i) near(i / 40, data.base.data() + i * data.dim);
  for (size_t q = 0; q < 100; ++q) near(random() % 150, data.query_floats.data() + q * data.dim);
  const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kL2), data);
  CHECK(recall_of(*open_image(image, data), data, 10, with_ef(128)) >= 0.95);
}

// By their products long rows would be everybody's only neighbours.
TEST(hnsw_ip_takes_long_rows_among_others) {
  for (const size_t every : {10000u, 100u}) {
    IndexData data(6000, 100, 32, Metric::kIp, 32);
    for (size_t i = 7; i < data.n; i += every) {
      for (size_t d = 0; d < data.dim; ++d) data.base[i * data.dim + d] *= 100;
    }
    const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kIp), data);
    CHECK(recall_of(*open_image(image, data), data, 10, with_ef(64)) >= 0.95);
  }
}

TEST(hnsw_takes_small_and_large_degrees_and_any_ef_construction) {
  const IndexData data(400, 10, 8, Metric::kL2, 8);
  for (const uint32_t m : {2u, 3u, 16u, 100u, 2048u}) {
    for (const uint32_t ef_construction : {1u, 8u, 2048u}) {
      const std::vector<uint8_t> image =
          build_image(hnsw_params(Metric::kL2, m, ef_construction), data);
      const auto index = open_image(image, data);
      // Insertions that see one candidate join the rows to a chain that leads one way.
      CHECK(recall_of(*index, data, 10, with_ef(400)) >= (ef_construction == 1 ? 0.3 : 0.999));
    }
  }
  std::vector<uint8_t> image;
  const auto build = [&](SectionFileWriter* out) {
    return hnsw_params(Metric::kL2, 1).build(data.view(), {}, out);
  };
  CHECK(fixture::build_bytes(build, &image).code() == StatusCode::kInvalidParameter);
}

TEST(hnsw_keeps_null_rows_out_of_the_graph) {
  check_absent_rows(hnsw_params(Metric::kL2), with_ef(100), 0.98);
}

TEST(hnsw_survives_odd_data) { check_odd_data(hnsw_params(Metric::kL2)); }

TEST(hnsw_survives_damaged_files) {
  IndexData data(500, 10, 8, Metric::kCosine, 9);
  check_damage_is_survived(hnsw_params(Metric::kCosine), data);
  // With copies.
  for (size_t i = 0; i < data.n / 2; ++i)
    std::copy_n(data.base.begin(), 8, data.base.begin() + static_cast<std::ptrdiff_t>(i / 9 * 72));
  data.prepare();
  check_damage_is_survived(hnsw_params(Metric::kCosine), data);
}

TEST(hnsw_refuses_a_header_that_leaves_no_node) {
  IndexData data(300, 1, 8, Metric::kL2, 9);
  std::copy_n(data.base.begin(), 100 * 8, data.base.begin() + 100 * 8);
  data.prepare();
  std::vector<uint8_t> image = build_image(hnsw_params(Metric::kL2), data);
  SectionFileHeader header;
  std::memcpy(&header, image.data(), sizeof(header));
  auto hnsw = get_parameters<HnswParameters>(header);
  CHECK_EQ(hnsw.twin_rows, 100u);
  hnsw.absent_rows = 200;
  set_parameters(header, hnsw);
  std::memcpy(image.data(), &header, sizeof(header));
  fixture::sign_again(&image);
  std::unique_ptr<VectorIndex> index;
  CHECK(try_open(image, data.view(), &index).code() ==
        StatusCode::kDataIntegrity);
}

TEST(hnsw_build_can_be_canceled) {
  check_build_can_be_canceled(hnsw_params(Metric::kL2, 16, 400),
                              IndexData(20000, 1, 32, Metric::kL2, 10));
}

TEST(hnsw_search_can_be_canceled) {
  const IndexData data(2000, 1, 8, Metric::kL2, 11);
  const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kL2), data);
  const auto index = open_image(image, data);
  const CancelToken token;
  token.cancel();
  IndexSearchParams params = with_ef(64);
  params.cancel = &token;
  size_t found;
  search_index(*index, data.queries(), 0, 10, params, nullptr, &found);
  CHECK(found < 10);
}

TEST(plan_scans_when_few_rows_are_visible) {
  const IndexData data(3000, 1, 8, Metric::kL2, 12);
  const std::vector<uint8_t> image = build_image(hnsw_params(Metric::kL2), data);
  const auto index = open_image(image, data);
  CHECK(plan_filtered(*index, with_ef(16), 10, 5) == FilterPlan::kScan);
  CHECK(plan_filtered(*index, with_ef(16), 10, 300) == FilterPlan::kScan);
  CHECK(plan_filtered(*index, with_ef(16), 10, 2900) == FilterPlan::kIndex);
  CHECK(plan_filtered(*index, with_ef(16), 1500, 2900) == FilterPlan::kScan);
}

CHECK_MAIN()
