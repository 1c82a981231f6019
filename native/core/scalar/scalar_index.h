// The one scalar index of sealed segments, whatever type the user asked for (INVERTED, BITMAP,
// STL_SORT, Trie, AUTOINDEX): a sorted dictionary of distinct values, and for each the rows that
// have it, as a list or, where that is smaller, as a bitmap. An Array field has an entry for each
// distinct element of a row. Null rows have no entry.
//
// File: sections whose sizes follow from the header's counts (scalar_index_format.h), so opening
// reads the first page only. A damaged body gives errors or wrong rows, never a bad access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/bitset.h"
#include "base/cancel.h"
#include "base/status.h"
#include "io/section_file.h"
#include "segment/column.h"
#include "segment/row_source.h"

namespace elanus {

class ScalarIndex {
 public:
  // A run of the dictionary: keys begin..end-1.
  struct Keys {
    uint64_t begin = 0;
    uint64_t end = 0;
    bool empty() const { return begin >= end; }
  };

  // Compares the sections with the header's counts. Errors: kDataIntegrity.
  static Status open(std::shared_ptr<const SectionFile> file, std::unique_ptr<ScalarIndex>* index);

  DataType type() const { return type_; }
  DataType element_type() const { return element_type_; }
  bool is_multi_valued() const { return type_ == DataType::kArray; }
  uint64_t row_count() const { return rows_; }
  uint64_t value_count() const { return values_; }  // rows that are not null
  uint64_t key_count() const { return key_count_; }

  // Lookups in the dictionary: O(log keys), no rows are touched. Of a type that the index does not
  // have: empty.
  Keys all() const { return {0, key_count_}; }
  Keys find(int64_t low, int64_t high) const;  // Bool (0, 1) and integers: low <= key <= high
  Keys find(double low, double high) const;    // Float, Double: the same; no NaN is inside
  // VarChar by bytes; an absent bound does not bound.
  Keys find(std::optional<std::string_view> lower, bool lower_inclusive,
            std::optional<std::string_view> upper, bool upper_inclusive) const;
  Keys find_prefix(std::string_view prefix) const;
  // A VarChar key, key < key_count().
  std::string_view string_key(uint64_t key) const;

  // Rows that have a key of the run (an Array row counts once for each of its keys).
  uint64_t estimate(Keys keys) const;
  // What add_rows costs, in rows set one by one.
  uint64_t cost(Keys keys) const;

  // Sets the bit of every row that has a key of the run. `rows` has row_count() bits.
  Status add_rows(Keys keys, Bitset* rows) const;
  // Sets `rows` to the rows that are not null.
  void not_null(Bitset* rows) const;

 private:
  ScalarIndex() = default;

  bool holds_strings() const;
  template <typename Before>
  uint64_t partition(Before before) const;
  // Bitmap keys of the run: positions in bitmap_keys_.
  std::pair<uint64_t, uint64_t> bitmaps_of(Keys keys) const;
  Keys clamp(Keys keys) const;
  uint64_t listed(Keys keys) const;

  DataType type_ = DataType::kNone;
  DataType element_type_ = DataType::kNone;
  uint64_t rows_ = 0;
  uint64_t values_ = 0;
  uint64_t key_count_ = 0;
  uint64_t entry_count_ = 0;
  uint64_t bitmap_count_ = 0;
  uint64_t char_bytes_ = 0;
  std::shared_ptr<const SectionFile> file_;
  const uint64_t* valid_ = nullptr;         // absent: no null
  const int64_t* numbers_ = nullptr;        // ascending, mapped keys
  const uint64_t* char_offsets_ = nullptr;  // VarChar: key_count + 1
  const char* chars_ = nullptr;
  const uint32_t* list_begins_ = nullptr;  // key_count + 1, into lists_
  const uint32_t* lists_ = nullptr;        // rows, ascending within a key
  const uint64_t* bitmap_keys_ =
      nullptr;  // pairs: key, rows before it in all bitmaps; one more pair at the end
  const uint64_t* bitmaps_ = nullptr;
};

// Builds the index over all rows of the source, in the source's row order, and writes its file to
// the end. Memory: about 16 bytes for each entry (24 for strings), half as much again while
// sorting. Types: Bool, Int8 to Int64, Float, Double, VarChar, and Array of them. `cancel` may be
// null. Errors: kInvalidParameter, kCanceled, the writer's.
Status build_scalar_index(const RowSource& source, int64_t field_id, DataType type,
                          DataType element_type, SectionFileWriter* out,
                          const CancelToken* cancel = nullptr);

// What an index over a JSON path says besides, for json_path_index.cc.
struct PathSection {
  std::span<const uint8_t> path;
  bool is_exact = true;
};
// The same over a column of the path's values, which has the cast type.
Status build_scalar_index_of_path(const RowSource& source, int64_t field_id, DataType cast_type,
                                  const PathSection& path, SectionFileWriter* out,
                                  const CancelToken* cancel = nullptr);

}  // namespace elanus
