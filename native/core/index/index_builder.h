// What the builders of vector indexes share: which rows have a vector, work in pieces on the
// build's threads, inverse norms, the file's header. For the kinds' own code only: one builder, one
// build.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "index/registry.h"
#include "threads/steps.h"

namespace elanus {

// norms[i] = inverse_norm(row i), in turns. False when canceled.
inline bool compute_all_norms(const RowView& rows, const CancelToken* cancel,
                              std::vector<float>* norms) {
  constexpr size_t kPieceElements = size_t{1} << 18;
  const size_t piece = std::max<size_t>(1, kPieceElements / rows.dim);
  Steps steps(cancel);
  norms->resize(rows.count);
  for (size_t begin = 0; begin < rows.count; begin += piece) {
    const size_t count = std::min(piece, rows.count - begin);
    compute_inverse_norms(rows.part(begin, count), norms->data() + begin);
    if (!steps.take(count * rows.dim)) return false;
  }
  return true;
}

class IndexBuilder {
 protected:
  IndexBuilder(const IndexBuildParams& params, const RowView& rows,
               const IndexBuildControl& control)
      : params_(params), rows_(rows), control_(control) {
    rows_.inv_norms = nullptr;
  }

  Metric metric() const { return params_.metric; }
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

  // Gives the rows the inverse norms that their metric needs. False when canceled.
  bool compute_norms() {
    if (!traits_of(metric()).needs_norms) return true;
    if (!compute_all_norms(rows_, control_.cancel, &inv_norms_)) return false;
    rows_.inv_norms = inv_norms_.data();
    return true;
  }

  void put_norms(SectionFileWriter* out) const {
    out->put_section(kInverseNorms, std::span<const float>(inv_norms_));
  }

  // Writes the header of a file whose sections are put.
  template <typename Parameters>
  Status finish(Container container, const Parameters& parameters, SectionFileWriter* out) const {
    SectionFileHeader header;
    header.container = static_cast<uint32_t>(container);
    header.rows = rows_.count;
    header.dim = static_cast<uint32_t>(rows_.dim);
    header.element = static_cast<uint32_t>(rows_.type->element);
    header.metric = static_cast<uint32_t>(metric());
    header.seed = params_.seed;
    set_parameters(header, parameters);
    return out->finish(header);
  }

  const IndexBuildParams params_;
  RowView rows_;
  const IndexBuildControl control_;
  std::vector<float> inv_norms_;  // where the metric needs them
};

}  // namespace elanus
