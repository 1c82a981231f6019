// The kinds of vector indexes, one row each: what a kind is called, which files are its own, how
// one is built and opened. Whoever builds or opens an index asks here and knows no kind.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/cancel.h"
#include "base/param_bag.h"
#include "base/status.h"
#include "index/vector_index.h"
#include "io/section_file.h"
#include "threads/thread_pool.h"
#include "vector/row_view.h"

namespace elanus {

struct IndexBuildControl {
  ThreadPool* pool = nullptr;           // null: the calling thread only
  size_t max_threads = 0;               // 0: all of the pool and the caller
  const CancelToken* cancel = nullptr;  // raised: kCanceled within about a millisecond a thread
  std::atomic<uint64_t>* progress = nullptr;  // rows done
  // Bit i: row i has a vector. The others (nulls) stay out of the index, and searches must hide
  // them. Null: every row has one.
  const uint64_t* present = nullptr;
};

// What a build is told besides the rows.
struct IndexBuildParams {
  Metric metric = Metric::kL2;
  ParamBag bag;  // the kind's own entry reads it
  uint64_t seed = 42;
};

struct IndexKind {
  const char* name;
  Container container;
  // Whether it can hold vectors of that type.
  bool (*takes)(const VectorType& type);
  Status (*build)(const IndexBuildParams& params, const RowView& rows,
                  const IndexBuildControl& control, SectionFileWriter* out);
  // Upper bound of the memory that the build takes besides the rows.
  uint64_t (*build_bytes)(const ParamBag& bag, size_t n, size_t dim);
  // `rows` are those of the file's header, with inverse norms where the metric needs them.
  Status (*open)(std::shared_ptr<const SectionFile> file, const RowView& rows, Metric metric,
                 std::unique_ptr<VectorIndex>* out);
};

// Null for a name or a container of no vector index.
const IndexKind* find_index_kind(std::string_view name);
const IndexKind* find_index_kind(Container container);

// Builds the index and writes its file, to the end. Same input, params and one thread: same bytes.
// Inverse norms are computed, those of `rows` are not looked at. Errors: kInvalidParameter,
// kCanceled, the writer's.
Status build_vector_index(const IndexKind& kind, const IndexBuildParams& params,
                          const RowView& rows, const IndexBuildControl& control,
                          SectionFileWriter* out);

// `rows` outlive the index. Reads the file's first page, the inverse norms and what the kind must
// see before it is searched. Errors: kDataIntegrity (damaged, no vector index, other rows, another
// dimension).
Status open_vector_index(std::shared_ptr<const SectionFile> file, const RowView& rows,
                         std::unique_ptr<VectorIndex>* out);

}  // namespace elanus
