// An index over one field of one sealed segment. Vector storage is not inside: the index holds
// links or lists over rows [0, n) that the caller keeps mapped at `base`. A damaged file gives a
// Status or worse recall, never a crash and never a wrong score: ids read from it are compared with
// n before use, and what enters scores unseen (inverse norms) is read against its checksum once,
// when the file is opened.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "base/top_k.h"
#include "io/section_file.h"
#include "threads/thread_pool.h"
#include "vector/score.h"

namespace elanus {

enum class IndexKind : uint8_t { kHnsw = 1, kIvfFlat = 2 };

struct IndexSearchParams {
  uint32_t ef = 64;                     // HNSW: raised to k when smaller
  uint32_t nprobe = 8;                  // IVF: cut to nlist
  const ScoreRange* range = nullptr;    // null: no bounds
  const CancelToken* cancel = nullptr;  // when raised the heap is incomplete
};

// Working memory of a search. Not shared between threads; reuse it.
class SearchScratch {
 public:
  // This thread's own, kept while the thread lives.
  static SearchScratch& of_thread();

  // Forgets all marks and makes room for `rows`.
  void prepare_visited(size_t rows);
  // Marks the row; whether it was not marked before.
  bool visit(uint32_t row) {
    uint64_t& word = visited[row >> 6];
    const uint64_t bit = uint64_t{1} << (row & 63);
    if ((word & bit) != 0) return false;
    if (word == 0) touched.push_back(row >> 6);
    word |= bit;
    return true;
  }

  std::vector<uint64_t> visited;
  std::vector<uint32_t> touched;  // words of `visited` that are not 0
  std::vector<uint32_t> nodes;
  std::vector<uint32_t> rows;
  std::vector<float> scores;
  std::vector<Hit> candidates;
  std::vector<Hit> results;
  std::vector<uint64_t> beam;
};

class VectorIndex {
 public:
  virtual ~VectorIndex() = default;
  virtual IndexKind kind() const = 0;
  virtual const char* name() const = 0;  // "HNSW", "IVF_FLAT"
  virtual Metric metric() const = 0;
  virtual size_t rows() const = 0;
  virtual uint64_t bytes() const = 0;  // of the file
  // 1 / |row| for each row under COSINE, from the file; null for other metrics.
  virtual const float* inverse_norms() const = 0;
  // Distances that one search for k computes when `kept` rows are visible (an estimate).
  virtual double expected_distances(const IndexSearchParams& params, size_t k,
                                    size_t kept) const = 0;

  // Pushes the best visible rows found for query `query` of the batch into `out` (ids are rows of
  // the segment) and returns how many rows it found, at most out.k(). `visible`: bit i shows row i,
  // null shows all, and no row that the build took for absent may be shown; `kept`: number of
  // visible rows. Fewer hits than min(out.k(), kept) without a range means that the caller must
  // scan exactly.
  virtual size_t search(const QueryBatch& queries, size_t query, const IndexSearchParams& params,
                        const uint64_t* visible, size_t kept, TopK& out,
                        SearchScratch& scratch) const = 0;
};

// What is cheaper and good enough for a filtered search.
enum class FilterPlan : uint8_t { kIndex, kScan };
// For the k best of `kept` visible rows (kept = index.rows() without a filter): kScan when reading
// the visible rows costs no more than the search would, or when k is at least half of them.
FilterPlan plan_filtered(const VectorIndex& index, const IndexSearchParams& params, size_t k,
                         size_t kept);

// `n` rows at `base`, which outlive the index. Reads the file's first page, the inverse norms and
// the bounds of IVF lists: about 4 bytes a row. Errors: kDataIntegrity (damaged, no vector index,
// other rows, another dimension).
Status open_vector_index(std::shared_ptr<const SectionFile> file, const float* base, size_t n,
                         size_t dim, std::unique_ptr<VectorIndex>* out);

struct IndexBuildParams {
  IndexKind kind = IndexKind::kHnsw;
  Metric metric = Metric::kL2;
  uint32_t m = 16;                 // HNSW, 2 to 2,048
  uint32_t ef_construction = 200;  // HNSW, at least 1
  uint32_t nlist = 128;            // IVF, cut to the number of rows
  uint64_t seed = 42;
};

struct IndexBuildControl {
  ThreadPool* pool = nullptr;           // null: the calling thread only
  size_t max_threads = 0;               // 0: all of the pool and the caller
  const CancelToken* cancel = nullptr;  // raised: kCanceled within about a millisecond a thread
  std::atomic<uint64_t>* progress = nullptr;  // rows done
  // Bit i: row i has a vector. The others (nulls) stay out of the index, and searches must hide
  // them. Null: every row has one.
  const uint64_t* present = nullptr;
};

// Builds the index and writes its file, to the end. Same input, params and one thread: same bytes.
// Errors: kInvalidParameter, kCanceled, the writer's.
Status build_vector_index(const IndexBuildParams& params, const float* base, size_t n, size_t dim,
                          const IndexBuildControl& control, SectionFileWriter* out);

// For builds: norms[i] = inverse_norm(row i). False when canceled.
bool compute_all_norms(const VectorRows& rows, const CancelToken* cancel,
                       std::vector<float>* norms);

// Upper bound of the memory that the build takes besides `base`.
uint64_t index_build_bytes(const IndexBuildParams& params, size_t n, size_t dim);

}  // namespace elanus
