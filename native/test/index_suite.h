// What every vector index must do, run by hnsw_test.cc and ivf_flat_test.cc.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>

#include "check.h"
#include "index_data.h"
#include "temporary_file.h"
#include "graph/hnsw_format.h"
#include "read/flat_scan.h"

namespace elanus::check {

// The bytes of the index's file.
inline std::vector<uint8_t> build_image(const IndexSpec& params, const IndexData& data,
                                        const IndexBuildControl& control = {}) {
  std::vector<uint8_t> image;
  const auto build = [&](SectionFileWriter* out) {
    return params.build(data.view(), control, out);
  };
  const Status status = fixture::build_bytes(build, &image);
  if (!status.is_ok()) fail(__FILE__, __LINE__, status.message());
  return image;
}

// `image` outlives the index.
inline Status try_open(const std::vector<uint8_t>& image, const RowView& rows,
                       std::unique_ptr<VectorIndex>* index) {
  std::shared_ptr<const SectionFile> file;
  if (Status status = SectionFile::of_bytes(image, &file); !status.is_ok()) return status;
  return open_vector_index(std::move(file), rows, index);
}

inline std::unique_ptr<VectorIndex> open_image(const std::vector<uint8_t>& image,
                                               const IndexData& data) {
  std::unique_ptr<VectorIndex> index;
  const Status status = try_open(image, data.view(), &index);
  if (!status.is_ok()) fail(__FILE__, __LINE__, status.message());
  return index;
}

inline std::vector<Hit> search_index(const VectorIndex& index, const QuerySet& queries, size_t q,
                                     size_t k, const IndexSearchParams& params,
                                     const Bitset* visible, size_t* found) {
  TopK heap(k);
  *found = index.search(queries, q, params, visible == nullptr ? nullptr : visible->words(),
                        visible == nullptr ? index.rows().count : visible->count(), heap,
                        SearchScratch::of_thread());
  return heap.take_sorted();
}

// Share of the true top k found, over all queries. Checks that scores are exact and the count is
// right.
inline double recall_of(const VectorIndex& index, const IndexData& data, size_t k,
                        const IndexSearchParams& params, const Bitset* visible = nullptr) {
  const QuerySet queries = data.queries();
  size_t hit_count = 0;
  size_t true_count = 0;
  for (size_t q = 0; q < queries.count(); ++q) {
    size_t found;
    const std::vector<Hit> hits = search_index(index, queries, q, k, params, visible, &found);
    const std::vector<Hit> truth = data.naive(queries, q, k, visible);
    CHECK_EQ(found, hits.size());
    const ExactScorer scorer = ExactScorer::make(data.view(), queries, q);
    for (const Hit& hit : hits) {
      CHECK(hit.id < data.n);
      CHECK_EQ(hit.score, scorer.score(static_cast<uint32_t>(hit.id)));
      if (visible != nullptr) CHECK(visible->test(hit.id));
    }
    hit_count += common(hits, truth);
    true_count += truth.size();
  }
  return true_count == 0 ? 1.0 : static_cast<double>(hit_count) / static_cast<double>(true_count);
}

// Every truncation and every flipped bit of the first page is refused; garbage in links and lists
// is, or gives an index that can be searched without harm and whose scores are right. A file whose
// inverse norms are damaged does not open.
inline void check_damage_is_survived(const IndexSpec& params, const IndexData& data) {
  const std::vector<uint8_t> image = build_image(params, data);
  std::unique_ptr<VectorIndex> index;
  const auto code_of = [&](const std::vector<uint8_t>& bytes, size_t n, size_t dim) {
    return try_open(bytes, float_rows(data.base.data(), n, dim), &index).code();
  };
  for (size_t size = 0; size < image.size(); size += 1 + image.size() / 97) {
    const std::vector<uint8_t> cut(image.begin(),
                                   image.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(code_of(cut, data.n, data.dim) == StatusCode::kDataIntegrity);
  }
  CHECK(code_of(image, data.n - 1, data.dim) == StatusCode::kDataIntegrity);
  CHECK(code_of(image, data.n, data.dim + 1) == StatusCode::kDataIntegrity);
  std::shared_ptr<const SectionFile> file;
  CHECK(SectionFile::of_bytes(image, &file).is_ok());
  SectionEntry norms;
  for (const SectionEntry& section : file->sections()) {
    if (section.tag == static_cast<uint32_t>(kInverseNorms)) norms = section;
  }
  const size_t table_end =
      sizeof(SectionFileHeader) + file->sections().size() * sizeof(SectionEntry);
  for (size_t at = 0; at < table_end; ++at) {
    std::vector<uint8_t> bad = image;
    bad[at] ^= 0x40;
    CHECK(code_of(bad, data.n, data.dim) == StatusCode::kDataIntegrity);
  }
  std::mt19937_64 random(77);
  const QuerySet queries = data.queries();
  for (size_t round = 0; round < 60; ++round) {
    std::vector<uint8_t> bad = image;
    for (size_t i = 0; i < 1 + bad.size() / 50; ++i) {
      const size_t at = fixture::random_position(*file, random);
      const bool is_norm = at >= norms.offset && at < norms.offset + norms.bytes;
      if (at >= kSectionAlignment && !is_norm) bad[at] = static_cast<uint8_t>(random());
    }
    if (code_of(bad, data.n, data.dim) != StatusCode::kOk) continue;
    for (size_t q = 0; q < queries.count(); ++q) {
      size_t found;
      const ExactScorer scorer = ExactScorer::make(data.view(), queries, q);
      for (const Hit& hit : search_index(*index, queries, q, 10, {}, nullptr, &found)) {
        CHECK(hit.id < data.n);
        CHECK_EQ(hit.score, scorer.score(static_cast<uint32_t>(hit.id)));
      }
    }
  }
  for (size_t round = 0; round < 200 && norms.bytes > 0; ++round) {
    std::vector<uint8_t> bad = image;
    bad[norms.offset + random() % norms.bytes] ^= static_cast<uint8_t>(1u << (random() % 8));
    CHECK(code_of(bad, data.n, data.dim) == StatusCode::kDataIntegrity);
  }
}

// Raises the token while another thread builds.
inline void check_build_can_be_canceled(const IndexSpec& params, const IndexData& data) {
  const CancelToken token;
  std::atomic<uint64_t> progress{0};
  ThreadPool::Options options;
  options.threads = 1;
  options.low_priority = true;
  ThreadPool pool(options);
  IndexBuildControl control;
  control.pool = &pool;
  control.cancel = &token;
  control.progress = &progress;
  std::vector<uint8_t> image;
  Status status;
  const auto build = [&](SectionFileWriter* out) {
    return params.build(data.view(), control, out);
  };
  std::thread builder([&] { status = fixture::build_bytes(build, &image); });
  while (params.kind->container == kHnswContainer && progress.load() == 0)
    std::this_thread::yield();
  token.cancel();
  builder.join();
  CHECK(status.code() == StatusCode::kCanceled);
  CHECK(image.empty());
  CHECK(progress.load() < data.n);
}

// Null rows are zeros in the base. With `share` of them, recall over the others must not suffer,
// and none may turn up even where only few rows are left.
inline void check_absent_rows(IndexSpec build, const IndexSearchParams& search,
                              double floor) {
  for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
    build.metric = metric;
    for (const double share : {0.3, 0.99, 1.0}) {
      IndexData data(3000, 40, 24, metric, 21);
      const Bitset present = random_bits(data.n, 1 - share, 22);
      for (size_t i = 0; i < data.n; ++i) {
        if (!present.test(i)) std::fill_n(data.base.data() + i * data.dim, data.dim, 0.0f);
      }
      data.prepare();
      IndexBuildControl control;
      control.present = present.words();
      const std::vector<uint8_t> image = build_image(build, data, control);
      const auto index = open_image(image, data);
      CHECK_EQ(index->rows().count, data.n);
      CHECK(recall_of(*index, data, 10, search, &present) >= (share < 0.5 ? floor : 0.999));
      // A filter besides.
      Bitset some = random_bits(data.n, 0.5, 23);
      for (size_t w = 0; w < some.word_count(); ++w) some.words()[w] &= present.words()[w];
      CHECK(recall_of(*index, data, 10, search, &some) >= floor - 0.02);
      // All bits set is the same as none given.
      const Bitset all(data.n, true);
      control.present = all.words();
      CHECK(build_image(build, data, control) == build_image(build, data));
    }
  }
}

// Few, equal, zero and NaN rows; k and ef beyond the number of rows.
inline void check_odd_data(IndexSpec params) {
  for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
    params.metric = metric;
    for (const size_t n : {0u, 1u, 2u, 3u, 40u, 300u}) {
      for (const char* kind : {"random", "equal", "zero", "nan", "islands"}) {
        IndexData data(n, 3, 5, metric, n);
        for (size_t i = 0; i < data.base.size(); ++i) {
          if (std::strcmp(kind, "equal") == 0) data.base[i] = 1.0f;
          if (std::strcmp(kind, "zero") == 0) data.base[i] = 0.0f;
          if (std::strcmp(kind, "nan") == 0 && i % 7 == 0) data.base[i] = std::nanf("");
          if (std::strcmp(kind, "islands") == 0)
            data.base[i] = static_cast<float>(i / 5 % 3) * 1e3f + 1;
        }
        data.prepare();
        const std::vector<uint8_t> image = build_image(params, data);
        const std::unique_ptr<VectorIndex> index = open_image(image, data);
        const Bitset none(n);
        const Bitset half = random_bits(n, 0.5, 1);
        const QuerySet queries = data.queries();
        const std::vector<float> nan(5, std::nanf(""));
        const QuerySet nan_query = float_queries(nan.data(), 1, 5, metric);
        for (const size_t k : {0u, 1u, 10u, 1000u}) {
          for (const Bitset* visible : {static_cast<const Bitset*>(nullptr), &none, &half}) {
            size_t found;
            const std::vector<Hit> hits = search_index(*index, queries, 0, k, {}, visible, &found);
            CHECK(hits.size() <= std::min(k, visible == nullptr ? n : visible->count()));
            for (const Hit& hit : search_index(*index, nan_query, 0, k, {}, visible, &found))
              CHECK(hit.id < n && hit.score == hit.score);
          }
        }
      }
    }
  }
}

}  // namespace elanus::check
