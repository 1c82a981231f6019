// Reader and writer of docs/formats/row-batch.md, the one form in which rows enter and leave native
// code. The reader trusts nothing: after `open` every accessor is in bounds, whatever the bytes
// were. The batch may begin at any address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "segment/column.h"

namespace elanus {

inline constexpr uint32_t kRowBatchMagic = 0x31424C45;  // "ELB1"
inline constexpr size_t kRowBatchHeaderBytes = 32;
inline constexpr size_t kRowBatchColumnBytes = 48;

// Bytes that native made and hands out; `data` is aligned to 16.
struct OwnedBytes {
  std::unique_ptr<uint8_t[]> data;
  size_t size = 0;
};

// One column of an opened batch. Pointers go into the batch and may be unaligned.
struct BatchColumn {
  int64_t field_id = 0;
  DataType type = DataType::kNone;
  DataType element_type = DataType::kNone;
  uint32_t dim = 0;
  const uint8_t* validity = nullptr;  // nullptr = every row has a value
  const uint8_t* offsets = nullptr;   // u32 × (rows + 1); nullptr for fixed width
  const uint8_t* data = nullptr;
  uint64_t data_bytes = 0;

  bool is_valid(size_t row) const {
    return validity == nullptr || ((validity[row >> 3] >> (row & 7)) & 1) != 0;
  }
  uint32_t offset_at(size_t i) const {
    return load<uint32_t>(offsets + 4 * i);
  }
  // VarChar and JSON text, or an Array's blob.
  std::string_view bytes_at(size_t row) const {
    const uint32_t begin = offset_at(row);
    return {reinterpret_cast<const char*>(data) + begin, offset_at(row + 1) - begin};
  }
  // A value of fixed width; T must have the column's width.
  template <typename T>
  T value_at(size_t row) const {
    return load<T>(data + sizeof(T) * row);
  }
};

class RowBatch {
 public:
  // Checks the whole form, each offset and each Array blob, but not UTF-8 and not JSON. The bytes
  // must stay while the batch is read. Cost: O(columns + values of variable width). Errors:
  // kDataIntegrity.
  static Status open(const uint8_t* bytes, size_t size, RowBatch* out);

  size_t rows() const { return rows_; }
  const std::vector<BatchColumn>& columns() const { return columns_; }
  // The column of that field, or nullptr.
  const BatchColumn* find(int64_t field_id) const;

 private:
  size_t rows_ = 0;
  std::vector<BatchColumn> columns_;
};

// What a column of a new batch will hold.
struct BatchColumnSpec {
  int64_t field_id = 0;
  DataType type = DataType::kNone;
  DataType element_type = DataType::kNone;
  uint32_t dim = 0;
  bool has_validity = false;
  uint64_t data_bytes = 0;  // of variable width; computed for fixed width
};

// Lays out a batch of known sizes; the caller then fills each column's parts in place. All bytes
// begin as zero.
class RowBatchWriter {
 public:
  // Specs must ascend by field id. Errors: kInvalidParameter for more than 2^32 - 1 rows or bytes
  // in one variable column, or specs out of order; kMemoryLimit; kTooLarge for a batch of more than
  // `bytes_max`, which `size` then tells.
  Status layout(size_t rows, std::vector<BatchColumnSpec> specs,
                uint64_t bytes_max = ~uint64_t{0});

  uint8_t* validity(size_t column);   // nullptr without one
  uint32_t* offsets(size_t column);   // nullptr for fixed width
  uint8_t* data(size_t column);
  size_t size() const { return bytes_.size; }
  OwnedBytes take() { return std::move(bytes_); }

 private:
  struct Place {
    uint64_t validity = 0;
    uint64_t offsets = 0;
    uint64_t data = 0;
  };
  OwnedBytes bytes_;
  std::vector<Place> places_;
};

}  // namespace elanus
