// A segment in a mapped Arrow IPC file. TypeScript has read the file's footer; native gets byte
// ranges, checks that they fit the file, and reads columns in place. Rows ascend by (primary key,
// timestamp). Opening costs O(columns) and touches two pages of each column of variable width. What
// lies inside is taken as it is: until checksums are compared (R16) a damaged file gives wrong or
// empty values, never a read outside. Indexes come and go while readers work: a snapshot keeps
// those it began with.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "io/mapped_file.h"
#include "segment/segment.h"

namespace elanus {

class JsonPathIndex;  // scalar/json_path_index.h
class ScalarIndex;    // scalar/scalar_index.h
struct PathStep;      // filter/plan.h

// A LargeUtf8 or LargeBinary part: int64 × (n + 1) offsets and their bytes. Positions from the
// file's begin.
struct VarLayout {
  uint64_t offsets_offset = 0;
  uint64_t offsets_bytes = 0;
  uint64_t data_offset = 0;
  uint64_t data_bytes = 0;
};

// Where one column lies in the file (NativeColumnLayout of src/index/native.ts); bytes before
// padding. `validity_bytes` 0 = no nulls. Offsets and data must begin at multiples of 8.
struct ColumnLayout {
  int64_t field_id = 0;
  uint64_t validity_offset = 0;
  uint64_t validity_bytes = 0;
  uint64_t offsets_offset = 0;
  uint64_t offsets_bytes = 0;
  uint64_t data_offset = 0;
  uint64_t data_bytes = 0;
  std::optional<VarLayout> variant;  // JSON
  std::optional<VarLayout> child;    // Array of VarChar
};

class SealedSegment final : public Segment {
 public:
  // Maps the file. Layouts of fields that the schema lacks are ignored; fields without a layout
  // read as their default, else null. Errors: kIo, kDataIntegrity (a range does not fit the file or
  // the row count), kInvalidParameter.
  static Status open(Schema schema, const std::string& path, size_t rows,
                     const std::vector<ColumnLayout>& layouts,
                     std::shared_ptr<SealedSegment>* out);
  ~SealedSegment() override;

  bool is_growing() const override { return false; }
  std::unique_ptr<SegmentSnapshot> snapshot(uint64_t read_ts) const override;
  SegmentStats stats() const override;
  size_t memory_bytes() const override;
  size_t row_count() const { return rows_; }

  // Attaches an index over all rows of a field, replacing an earlier one; nullptr detaches. Reads
  // in flight keep what they have. Any thread.
  void attach_vector_index(int64_t field_id, std::shared_ptr<const VectorIndex> index);
  void attach_scalar_index(int64_t field_id, std::shared_ptr<const ScalarIndex> index);
  // A JSON field has one index for each path and cast type.
  void attach_json_index(int64_t field_id, std::shared_ptr<const JsonPathIndex> index);
  // kNone: the path's indexes of every cast type.
  void detach_json_index(int64_t field_id, const std::vector<PathStep>& path, DataType cast_type);
  std::shared_ptr<const VectorIndex> vector_index(int64_t field_id) const;
  std::shared_ptr<const ScalarIndex> scalar_index(int64_t field_id) const;

 protected:
  bool rows_ascend_by_timestamp() const override { return true; }

 private:
  friend class SealedSnapshot;
  struct Column;
  struct Attachments;

  SealedSegment(Schema schema, std::unique_ptr<MappedFile> file, size_t rows);
  Status place_column(const ColumnLayout& layout);
  // These return what is wrong, or nullptr.
  const char* place_variable(const ColumnLayout& layout, Column* column) const;
  const char* place_array(const ColumnLayout& layout, Column* column) const;
  const Column* find_column(int64_t field_id) const;
  std::shared_ptr<const Attachments> attachments() const;
  uint64_t max_timestamp() const;

  std::unique_ptr<MappedFile> file_;
  size_t rows_ = 0;
  size_t column_bytes_ = 0;
  std::vector<std::unique_ptr<Column>> columns_;  // ascending by field id, system columns first
  const Column* key_column_ = nullptr;
  const uint64_t* timestamps_ = nullptr;
  mutable std::once_flag max_timestamp_once_;
  mutable uint64_t max_timestamp_ = 0;
  mutable std::atomic<size_t> norm_bytes_{0};
  mutable std::mutex attach_mutex_;  // guards the pointer only, never held while an index works
  std::shared_ptr<const Attachments> attachments_;
};

}  // namespace elanus
