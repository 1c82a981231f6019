// What the builders of vector indexes share: which rows have a vector, work in pieces on the
// build's threads, inverse norms for COSINE, the file's header. For build_vector_index's callees
// only: one builder, one build.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "base/data_type.h"
#include "index/vector_index.h"

namespace elanus {

class VectorIndexBuilder {
 protected:
  VectorIndexBuilder(const IndexBuildParams& params, const VectorRows& rows,
                     const IndexBuildControl& control)
      : params_(params), rows_(rows), control_(control) {}

  bool is_present(size_t row) const {
    return control_.present == nullptr || ((control_.present[row >> 6] >> (row & 63)) & 1) != 0;
  }

  bool is_canceled() const { return elanus::is_canceled(control_.cancel); }
  static Status canceled() { return {StatusCode::kCanceled, "the index build was canceled"}; }

  // Calls the body for pieces of [0, count) of `grain` each until all are done or the build is
  // canceled.
  void run(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body) {
    if (control_.pool != nullptr) {
      control_.pool->parallel_for(count, grain, body, control_.cancel, control_.max_threads);
      return;
    }
    for (size_t i = 0; i < count && !is_canceled(); i += grain) body(i, std::min(count, i + grain));
  }

  void report(size_t rows) {
    if (control_.progress != nullptr)
      control_.progress->fetch_add(rows, std::memory_order_relaxed);
  }

  // Gives the rows the inverse norms that their metric needs; the caller's are not looked at. False
  // when canceled.
  bool compute_norms() {
    rows_.inv_norms = nullptr;
    if (rows_.metric != Metric::kCosine) return true;
    if (!compute_all_norms(rows_, control_.cancel, &inv_norms_)) return false;
    rows_.inv_norms = inv_norms_.data();
    return true;
  }

  // Writes the header of a file whose sections are put.
  template <typename Parameters>
  Status finish(Container container, const Parameters& parameters, SectionFileWriter* out) const {
    SectionFileHeader header;
    header.container = static_cast<uint32_t>(container);
    header.rows = rows_.rows;
    header.dim = static_cast<uint32_t>(rows_.dim);
    header.element = static_cast<uint32_t>(DataType::kFloat);
    header.metric = static_cast<uint32_t>(rows_.metric);
    header.seed = params_.seed;
    set_parameters(header, parameters);
    return out->finish(header);
  }

  const IndexBuildParams params_;
  VectorRows rows_;
  const IndexBuildControl control_;
  std::vector<float> inv_norms_;  // COSINE
};

}  // namespace elanus
