// Reader and writer of docs/formats/delete-file.md: deletes by primary key as columns. A batch is a
// list of runs; a run is the keys of one delete with its timestamps and partition. The reader
// trusts nothing: what `open` accepts is in bounds. Keys are read once into arrays, so that the
// bytes may begin at any address; a string key stays a view of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "segment/row_batch.h"
#include "segment/schema.h"

namespace elanus {

inline constexpr uint32_t kDeleteBatchMagic = 0x32444C45;  // "ELD2"
inline constexpr size_t kDeleteBatchHeaderBytes = 32;
inline constexpr size_t kDeleteBatchChecksumAt = 4;
inline constexpr size_t kDeleteBatchChecksumFrom = 8;
inline constexpr uint32_t kInt64Keys = 0;
inline constexpr uint32_t kStringKeys = 1;

// Primary keys of one kind.
class KeyColumn {
 public:
  // Keys as a WAL message holds them (docs/formats/wal-message.md). Errors: kDataIntegrity.
  static Status open(std::span<const uint8_t> bytes, KeyColumn* out);

  bool is_string() const { return is_string_; }
  size_t size() const { return is_string_ ? strings_.size() : ints_.size(); }
  int64_t int_at(size_t i) const { return ints_[i]; }
  std::string_view string_at(size_t i) const { return strings_[i]; }
  KeySpan span(size_t from, size_t end) const;

 private:
  friend class DeleteBatch;
  void read_ints(const uint8_t* values, size_t count);
  // `offsets`: count + 1. False when they are not those of a text of `text_bytes`.
  bool read_strings(const uint8_t* offsets, size_t count, const uint8_t* text, size_t text_bytes);

  bool is_string_ = false;
  std::vector<int64_t> ints_;
  std::vector<std::string_view> strings_;
};

struct DeleteRun {
  uint64_t timestamp = 0;
  uint64_t kills_up_to = 0;
  int64_t partition_id = 0;  // 0 = every partition
  size_t key_end = 0;        // its keys end before this one, and begin where the run before ends
};

class DeleteBatch {
 public:
  // Checks the checksum and the whole form. The bytes must stay while string keys are read. May
  // throw bad_alloc. Cost: O(runs + keys). Errors: kDataIntegrity.
  static Status open(std::span<const uint8_t> bytes, DeleteBatch* out);

  // Ascending by timestamp.
  const std::vector<DeleteRun>& runs() const { return runs_; }
  const KeyColumn& keys() const { return keys_; }
  size_t first_key(size_t run) const { return run == 0 ? 0 : runs_[run - 1].key_end; }

 private:
  std::vector<DeleteRun> runs_;
  KeyColumn keys_;
};

// Joins batches, given in the order of time, and leaves out what is not later than `after`. May
// throw bad_alloc. Errors: kInvalidParameter (kinds of keys that differ, more than 2^32 - 1 runs,
// keys or bytes of text).
Status merge_delete_batches(std::span<const DeleteBatch> batches, uint64_t after, OwnedBytes* out);

}  // namespace elanus
