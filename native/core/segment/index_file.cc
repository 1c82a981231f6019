#include "segment/index_file.h"

#include <memory>
#include <utility>

#include "index/registry.h"
#include "io/section_file.h"
#include "scalar/json_path_index.h"
#include "scalar/scalar_index.h"
#include "scalar/scalar_index_format.h"

namespace elanus {
namespace {

using File = std::shared_ptr<const SectionFile>;

Status not_of_the_segment() {
  return {StatusCode::kDataIntegrity, "index file: rows or type differ from the segment's"};
}

Status attach_scalar(SealedSegment& segment, const Field& field, File file) {
  std::unique_ptr<ScalarIndex> index;
  if (Status status = ScalarIndex::open(std::move(file), &index); !status.is_ok()) return status;
  if (index->row_count() != segment.row_count() || index->type() != field.type ||
      index->element_type() != field.element_type) {
    return not_of_the_segment();
  }
  segment.attach_scalar_index(field.field_id, std::move(index));
  return Status::ok();
}

Status attach_json(SealedSegment& segment, const Field& field, File file) {
  std::unique_ptr<JsonPathIndex> index;
  if (Status status = JsonPathIndex::open(std::move(file), &index); !status.is_ok()) return status;
  if (index->values().row_count() != segment.row_count() || field.type != DataType::kJson)
    return not_of_the_segment();
  segment.attach_json_index(field.field_id, std::move(index));
  return Status::ok();
}

Status attach_vector(SealedSegment& segment, const Field& field, File file) {
  const VectorType* type = find_vector_type(field.type);
  const ColumnView column = segment.snapshot(kReadAll)->column(0, field.field_id);
  if (type == nullptr || column.all_null) {
    return {StatusCode::kInvalidParameter,
            "field " + std::to_string(field.field_id) + " has no vectors in this segment"};
  }
  const RowView rows = dense_rows(*type, column.data, segment.row_count(), field.dim);
  std::unique_ptr<VectorIndex> index;
  Status status = open_vector_index(std::move(file), rows, &index);
  if (status.is_ok()) segment.attach_vector_index(field.field_id, std::move(index));
  return status;
}

Status attach(SealedSegment& segment, const Field& field, File file) {
  const Container container = file->container();
  if (find_index_kind(container) != nullptr) return attach_vector(segment, field, std::move(file));
  if (container == kScalarContainer) return attach_scalar(segment, field, std::move(file));
  if (container == kJsonPathContainer) return attach_json(segment, field, std::move(file));
  return {StatusCode::kDataIntegrity, "index file: unknown container"};
}

}  // namespace

Status attach_index_file(SealedSegment& segment, int64_t field_id, const std::string& path,
                         std::optional<uint32_t> crc) {
  const Field* field = segment.schema().find(field_id);
  if (field == nullptr) {
    return {StatusCode::kInvalidParameter, "the segment has no field " + std::to_string(field_id)};
  }
  File file;
  if (Status status = SectionFile::open(path, &file); !status.is_ok()) return status;
  Status status;
  if (crc.value_or(file->crc32c()) == file->crc32c()) {
    status = attach(segment, *field, std::move(file));
  } else {
    status = {StatusCode::kDataIntegrity, "index file: not the one that was built"};
  }
  if (status.code() != StatusCode::kDataIntegrity) return status;
  return {status.code(), status.message() + " (" + path + ")"};
}

void detach_index(SealedSegment& segment, int64_t field_id) {
  segment.attach_vector_index(field_id, nullptr);
  segment.attach_scalar_index(field_id, nullptr);
}

}  // namespace elanus
