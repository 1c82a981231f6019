// A segment that takes rows: chunked columns in anonymous memory, searchable as soon as `append`
// returns (R21). Chunks never move; `published_rows_` is stored last with release order, so a
// reader that loads it sees every byte of the rows below it. Chunk c begins at row 64 * (2^c - 1)
// until chunks have their full size.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "segment/arena.h"
#include "segment/growing_chunk.h"
#include "segment/json_variant.h"
#include "segment/primary_key_table.h"
#include "segment/row_batch.h"
#include "segment/segment.h"
#include "segment/stable_array.h"

namespace elanus {

class GrowingSegment final : public Segment {
 public:
  static std::shared_ptr<GrowingSegment> create(Schema schema);
  ~GrowingSegment() override;

  // Checks a batch against the schema, encodes its JSON and allocates all that `append` of it
  // needs, so that the append cannot fail (R8). Reservations add up; each ends with the append of
  // the same bytes at the same address with a timestamp, in the order of the reservations, or with
  // `cancel`. Any other append ends all reservations: theirs become appends that may fail. Errors:
  // kDataIntegrity (form, type, null key), kInvalidParameter (JSON text), kMemoryLimit.
  Status reserve(const uint8_t* bytes, size_t size);
  // Ends a reservation without an append; what it allocated stays for later ones. Does nothing when
  // there is none.
  void cancel(const uint8_t* bytes);
  // Appends a row batch (docs/formats/row-batch.md) at any address; visible on return. Either all
  // rows or, with an error as above, none. All rows get `timestamp`; 0 = each row its own from the
  // batch's field 1. Columns that the batch lacks become their default, else null (row ids 0);
  // columns that the segment lacks are dropped: a segment has those of the schema that it was
  // created with.
  Status append(const uint8_t* bytes, size_t size, uint64_t timestamp);

  bool is_growing() const override { return true; }
  std::unique_ptr<SegmentSnapshot> snapshot(uint64_t read_ts) const override;
  SegmentStats stats() const override;
  size_t memory_bytes() const override;
  // The same with pages that were never written: what `append` after `reserve` does not raise. The
  // writer only.
  size_t allocated_bytes() const;
  // No row's values of these fields take more bytes together. Those that no row has count 0.
  size_t row_bytes_max(std::span<const int64_t> field_ids) const;

 protected:
  bool rows_ascend_by_timestamp() const override {
    return ascending_.load(std::memory_order_acquire);
  }

 private:
  friend class GrowingSnapshot;
  struct Pending;
  // Rows of a batch, from `source`, that go to one chunk from its row `at`.
  struct Target {
    GrowingChunk* chunk = nullptr;
    size_t at = 0;
    size_t source = 0;
    size_t rows = 0;
  };

  explicit GrowingSegment(Schema schema);
  size_t chunk_of(size_t row) const;
  size_t chunk_begin(size_t chunk) const;
  size_t chunk_capacity(size_t chunk) const;
  const GrowingChunk* chunk(size_t index) const;
  size_t slot_of(int64_t field_id) const;
  uint64_t timestamp_at(size_t row) const;
  int64_t key_at(size_t row) const;
  std::string_view key_string_at(size_t row) const;
  uint32_t next_row(size_t row) const;

  void choose_chunk_size();
  Status prepare(const uint8_t* bytes, size_t size, uint64_t timestamp, Pending* pending);
  std::unique_ptr<Pending> take_reserved(const uint8_t* bytes);
  Status check(const Pending& pending) const;
  Status encode_json(Pending* pending);
  void allocate(Pending* pending);
  void reserve_validity(const Pending& pending, size_t slot, size_t first, size_t end);
  void copy_column(const Pending& pending, size_t slot, const Target& target);
  void fill_missing(size_t slot, const Target& target);
  void copy_fixed(const Pending& pending, size_t slot, const Target& target);
  void copy_variable(const Pending& pending, size_t slot, const Target& target);
  void link_keys(size_t first, size_t rows);
  void note_timestamps(size_t first, size_t rows);
  void note_held(size_t rows);

  std::vector<Field> columns_;  // row id, timestamp, then the schema's fields
  // By slot, of variable width: bytes of the longest value so far.
  std::vector<std::atomic<uint32_t>> longest_;
  size_t key_slot_ = 0;
  size_t doubling_chunks_ = 0;  // chunks before those of full size
  size_t full_chunk_rows_ = 0;
  StableArray<std::atomic<GrowingChunk*>, 32> chunks_;
  size_t chunk_end_ = 0;  // the writer's count of chunks
  Arena arena_;
  PrimaryKeyTable keys_;
  VariantEncoder encoder_;
  // Batches that are reserved and not yet appended, in that order, and what they need in all.
  std::vector<std::unique_ptr<Pending>> reserved_;
  size_t reserved_rows_ = 0;
  size_t reserved_bytes_ = 0;
  std::atomic<size_t> published_rows_{0};
  std::atomic<bool> ascending_{true};
  std::atomic<uint64_t> min_timestamp_{~uint64_t{0}};
  std::atomic<uint64_t> max_timestamp_{0};
  // The writer's count of what chunks hold.
  size_t full_chunks_ = 0;
  size_t full_chunk_bytes_ = 0;
  size_t validity_bytes_ = 0;
  size_t allocated_chunk_bytes_ = 0;
  std::atomic<size_t> chunk_bytes_{0};
};

}  // namespace elanus
