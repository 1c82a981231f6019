#include "segment/index_file.h"

#include <cstring>
#include <memory>
#include <utility>

#include "index/hnsw_format.h"
#include "index/ivf_format.h"
#include "scalar/json_path_format.h"
#include "scalar/json_path_index.h"
#include "scalar/scalar_index.h"
#include "scalar/scalar_index_format.h"
#include "util/mapped_file.h"

namespace elanus {
namespace {

// A vector index with the file it reads and the metric it was built for.
class MappedVectorIndex final : public VectorIndex {
 public:
  MappedVectorIndex(std::unique_ptr<MappedFile> file, std::unique_ptr<VectorIndex> index,
                    Metric metric)
      : file_(std::move(file)), index_(std::move(index)), metric_(metric) {}

  Metric metric() const { return metric_; }
  IndexKind kind() const override { return index_->kind(); }
  const char* name() const override { return index_->name(); }
  size_t rows() const override { return index_->rows(); }
  uint64_t bytes() const override { return index_->bytes(); }
  const float* inverse_norms() const override { return index_->inverse_norms(); }
  double expected_distances(const IndexSearchParams& params, size_t k, size_t kept) const override {
    return index_->expected_distances(params, k, kept);
  }
  size_t search(const QueryBatch& queries, size_t query, const IndexSearchParams& params,
                const uint64_t* visible, size_t kept, TopK& out,
                SearchScratch& scratch) const override {
    return index_->search(queries, query, params, visible, kept, out, scratch);
  }

 private:
  std::unique_ptr<MappedFile> file_;
  std::unique_ptr<VectorIndex> index_;
  Metric metric_;
};

template <typename Index>
struct Mapped {
  std::unique_ptr<MappedFile> file;
  std::unique_ptr<Index> index;
};

Status damaged(const std::string& path, const std::string& why) {
  return {StatusCode::kDataIntegrity, "index file " + path + ": " + why};
}

Status attach_scalar(SealedSegment& segment, int64_t field_id, const std::string& path,
                     std::unique_ptr<MappedFile> file) {
  const auto held = std::make_shared<Mapped<ScalarIndex>>();
  held->file = std::move(file);
  Status status = ScalarIndex::open({held->file->data(), held->file->size()}, &held->index);
  if (!status.is_ok()) return damaged(path, status.message());
  const Field& field = *segment.schema().find(field_id);
  if (held->index->row_count() != segment.row_count() || held->index->type() != field.type ||
      held->index->element_type() != field.element_type) {
    return damaged(path, "rows or type differ from the segment's");
  }
  segment.attach_scalar_index(field_id, {held, held->index.get()});
  return Status::ok();
}

Status attach_json(SealedSegment& segment, int64_t field_id, const std::string& path,
                   std::unique_ptr<MappedFile> file) {
  const auto held = std::make_shared<Mapped<JsonPathIndex>>();
  held->file = std::move(file);
  Status status = JsonPathIndex::open({held->file->data(), held->file->size()}, &held->index);
  if (!status.is_ok()) return damaged(path, status.message());
  if (held->index->values().row_count() != segment.row_count() ||
      segment.schema().find(field_id)->type != DataType::kJson) {
    return damaged(path, "rows or type differ from the segment's");
  }
  segment.attach_json_index(field_id, {held, held->index.get()});
  return Status::ok();
}

Status attach_vector(SealedSegment& segment, int64_t field_id, const std::string& path,
                     std::unique_ptr<MappedFile> file) {
  static_assert(offsetof(HnswHeader, metric) == offsetof(IvfHeader, metric));
  uint32_t metric = 0;
  if (file->size() < sizeof(IvfHeader)) return damaged(path, "too short");
  std::memcpy(&metric, file->data() + offsetof(IvfHeader, metric), sizeof(metric));
  if (!is_valid_metric(metric)) return damaged(path, "unknown metric");
  const Field& field = *segment.schema().find(field_id);
  const ColumnView column = segment.snapshot(kReadAll)->column(0, field_id);
  if (field.type != DataType::kFloatVector || column.all_null) {
    return {StatusCode::kInvalidParameter,
            "field " + std::to_string(field_id) + " has no vectors in this segment"};
  }
  std::unique_ptr<VectorIndex> index;
  const std::span<const uint8_t> bytes(file->data(), file->size());
  Status status =
      open_vector_index(bytes, static_cast<const float*>(column.data), segment.row_count(),
                        field.dim, static_cast<Metric>(metric), &index);
  if (!status.is_ok()) return damaged(path, status.message());
  segment.attach_vector_index(
      field_id, std::make_shared<const MappedVectorIndex>(std::move(file), std::move(index),
                                                          static_cast<Metric>(metric)));
  return Status::ok();
}

}  // namespace

Status attach_index_file(SealedSegment& segment, int64_t field_id, const std::string& path) {
  if (segment.schema().find(field_id) == nullptr) {
    return {StatusCode::kInvalidParameter, "the segment has no field " + std::to_string(field_id)};
  }
  std::unique_ptr<MappedFile> file;
  if (Status status = MappedFile::open(path, &file); !status.is_ok()) return status;
  uint32_t magic = 0;
  if (file->size() >= sizeof(magic)) std::memcpy(&magic, file->data(), sizeof(magic));
  if (magic == kScalarIndexMagic) return attach_scalar(segment, field_id, path, std::move(file));
  if (magic == kJsonPathMagic) return attach_json(segment, field_id, path, std::move(file));
  if (magic == kHnswMagic || magic == kIvfMagic)
    return attach_vector(segment, field_id, path, std::move(file));
  return damaged(path, "not an index file");
}

void detach_index(SealedSegment& segment, int64_t field_id) {
  segment.attach_vector_index(field_id, nullptr);
  segment.attach_scalar_index(field_id, nullptr);
}

std::optional<Metric> metric_of(const VectorIndex& index) {
  const auto* mapped = dynamic_cast<const MappedVectorIndex*>(&index);
  if (mapped == nullptr) return std::nullopt;
  return mapped->metric();
}

}  // namespace elanus
