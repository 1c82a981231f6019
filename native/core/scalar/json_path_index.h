// A scalar index over the values at one path of a JSON field, read as one type (bool, double,
// string). The rows are those of a nullable column of that type in which every other value (a
// missing key, JSON null, another type) is a null row: what a filter's leaf makes of a path
// (docs/formats/plan.md), so index and scan agree bit by bit.
//
// File: that of a scalar index and the path (scalar_index_format.h). A damaged body gives errors or
// wrong rows, never a bad access.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "filter/plan.h"
#include "scalar/scalar_index.h"
#include "segment/row_source.h"

namespace elanus {

class JsonPathIndex {
 public:
  // Bool, Double and VarChar.
  static bool is_cast_type(DataType type);
  // Compares the sections with the header's counts and reads the path against its checksum.
  // Errors: kDataIntegrity.
  static Status open(std::shared_ptr<const SectionFile> file,
                     std::unique_ptr<JsonPathIndex>* index);

  const std::vector<PathStep>& path() const { return path_; }
  DataType cast_type() const { return values_->type(); }
  const ScalarIndex& values() const { return *values_; }

  // Whether comparing the indexed value with this literal, which has the cast type's kind, gives
  // what comparing the document's value gives. False only for some int64 literals: JSON integers
  // compare with them as int64, the index compares as doubles.
  bool can_compare(const Literal& literal) const;

 private:
  JsonPathIndex() = default;

  bool is_exact_ = true;
  std::vector<PathStep> path_;  // keys point into the file
  std::unique_ptr<ScalarIndex> values_;
};

// Builds the index over all rows of the source and writes its file to the end. Memory: that of
// build_scalar_index, and 17 bytes a row. `cancel` may be null. Errors: kInvalidParameter (not a
// JSON field's column, not a cast type, a path of more than 65535 steps), kCanceled, the writer's.
Status build_json_path_index(const RowSource& source, int64_t field_id,
                             const std::vector<PathStep>& path, DataType cast_type,
                             SectionFileWriter* out, const CancelToken* cancel = nullptr);

}  // namespace elanus
