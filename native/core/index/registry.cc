#include "index/registry.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "graph/hnsw.h"
#include "lists/ivf_flat.h"

namespace elanus {
namespace {

constexpr std::array kKinds = {kHnswKind, kIvfFlatKind};

template <typename Value, typename Member>
const IndexKind* find_kind(const Value& value, Member member) {
  const auto found = std::ranges::find(kKinds, value, member);
  return found == kKinds.end() ? nullptr : found;
}

Status damaged(const char* what) {
  return {StatusCode::kDataIntegrity, std::string("index file: ") + what};
}

}  // namespace

const IndexKind* find_index_kind(std::string_view name) {
  return find_kind(name, &IndexKind::name);
}
const IndexKind* find_index_kind(Container container) {
  return find_kind(container, &IndexKind::container);
}

Status build_vector_index(const IndexKind& kind, const IndexBuildParams& params,
                          const RowView& rows, const IndexBuildControl& control,
                          SectionFileWriter* out) {
  if (rows.dim == 0) return {StatusCode::kInvalidParameter, "the dimension must not be 0"};
  if (rows.count >= (size_t{1} << 31)) {
    return {StatusCode::kInvalidParameter,
            "a segment of 2^31 rows or more cannot be indexed"};
  }
  if (!kind.takes(*rows.type) || !rows.type->has_metric(params.metric)) {
    return {StatusCode::kInvalidParameter,
            std::string(kind.name) + " takes no vectors of this type under " +
                traits_of(params.metric).name};
  }
  return kind.build(params, rows, control, out);
}

Status open_vector_index(std::shared_ptr<const SectionFile> file, const RowView& rows,
                         std::unique_ptr<VectorIndex>* out) {
  const SectionFileHeader& header = file->header();
  const IndexKind* kind = find_index_kind(file->container());
  if (kind == nullptr) return damaged("not a vector index");
  const MetricTraits* metric = find_metric(header.metric);
  if (metric == nullptr || header.element != static_cast<uint32_t>(rows.type->element))
    return damaged("unknown metric or element type");
  if (header.rows != rows.count || header.dim != rows.dim)
    return damaged("rows or dimension differ from the segment's");
  // Exact scans use them too. 4 bytes a row: 1M rows take 1 ms when they are in memory.
  if (Status status = file->compare(kInverseNorms); !status.is_ok()) return status;
  RowView known = rows;
  known.inv_norms = metric->needs_norms ? file->section<float>(kInverseNorms) : nullptr;
  return kind->open(std::move(file), known, metric->metric, out);
}

}  // namespace elanus
