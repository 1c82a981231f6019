#include "segment/delete_batch.h"

#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace elanus {
namespace {

constexpr size_t kMax32 = std::numeric_limits<uint32_t>::max();

Status damaged(const char* why) {
  return {StatusCode::kDataIntegrity, std::string("deletes: ") + why};
}

// Where the parts of a batch begin, from its begin.
struct Places {
  Places(bool is_string, size_t runs, size_t keys, size_t text_bytes)
      : timestamps(kDeleteBatchHeaderBytes),
        kills_up_to(timestamps + 8 * runs),
        partition_ids(kills_up_to + 8 * runs),
        key_ends(partition_ids + 8 * runs),
        values(key_ends + padded(4 * runs)),
        text(values + (is_string ? padded(4 * (keys + 1)) : 8 * keys)),
        end(text + text_bytes) {}

  size_t timestamps;
  size_t kills_up_to;
  size_t partition_ids;
  size_t key_ends;
  size_t values;  // int64 keys, or the offsets of string keys
  size_t text;
  size_t end;
};

}  // namespace

KeySpan KeyColumn::span(size_t from, size_t end) const {
  if (is_string_) return KeySpan::of(std::span(strings_).subspan(from, end - from));
  return KeySpan::of(std::span(ints_).subspan(from, end - from));
}

void KeyColumn::read_ints(const uint8_t* values, size_t count) {
  is_string_ = false;
  ints_.resize(count);
  if (count != 0) std::memcpy(ints_.data(), values, 8 * count);
}

bool KeyColumn::read_strings(const uint8_t* offsets, size_t count, const uint8_t* text,
                             size_t text_bytes) {
  is_string_ = true;
  strings_.reserve(count);
  uint32_t begin = load<uint32_t>(offsets);
  if (begin != 0) return false;
  for (size_t i = 1; i <= count; ++i) {
    const uint32_t end = load<uint32_t>(offsets + 4 * i);
    if (end < begin || end > text_bytes) return false;
    strings_.emplace_back(reinterpret_cast<const char*>(text) + begin, end - begin);
    begin = end;
  }
  return begin == text_bytes;
}

Status KeyColumn::open(std::span<const uint8_t> bytes, KeyColumn* out) {
  constexpr size_t kHead = 8;
  if (bytes.size() < kHead) return damaged("the keys are cut short");
  const uint32_t kind = load<uint32_t>(bytes.data());
  const size_t count = load<uint32_t>(bytes.data() + 4);
  const uint8_t* values = bytes.data() + kHead;
  if (kind == kInt64Keys) {
    if (bytes.size() != kHead + 8 * count) return damaged("the keys are cut short");
    out->read_ints(values, count);
    return Status::ok();
  }
  if (kind != kStringKeys) return damaged("the keys are of no known kind");
  const size_t text_at = kHead + 4 * (count + 1);
  if (bytes.size() < text_at ||
      !out->read_strings(values, count, bytes.data() + text_at, bytes.size() - text_at)) {
    return damaged("the offsets of the keys do not fit them");
  }
  return Status::ok();
}

Status DeleteBatch::open(std::span<const uint8_t> bytes, DeleteBatch* out) {
  const uint8_t* data = bytes.data();
  if (bytes.size() < kDeleteBatchHeaderBytes || load<uint32_t>(data) != kDeleteBatchMagic) {
    return damaged("the magic number is wrong");
  }
  const uint32_t checksum = crc32c(data + kDeleteBatchChecksumFrom,
                                   bytes.size() - kDeleteBatchChecksumFrom);
  if (load<uint32_t>(data + kDeleteBatchChecksumAt) != checksum) {
    return damaged("the checksum is wrong");
  }
  const uint32_t kind = load<uint32_t>(data + 8);
  const size_t runs = load<uint32_t>(data + 12);
  const size_t keys = load<uint32_t>(data + 16);
  const uint64_t text_bytes = load<uint64_t>(data + 24);
  const bool is_string = kind == kStringKeys;
  if (!is_string && (kind != kInt64Keys || text_bytes != 0)) return damaged("the kind is unknown");
  const Places at(is_string, runs, keys, text_bytes);
  if (text_bytes > kMax32 || at.end != bytes.size()) return damaged("the length is wrong");
  out->runs_.resize(runs);
  size_t key_end = 0;
  uint64_t timestamp = 0;
  for (size_t i = 0; i < runs; ++i) {
    DeleteRun& run = out->runs_[i];
    run.timestamp = load<uint64_t>(data + at.timestamps + 8 * i);
    run.kills_up_to = load<uint64_t>(data + at.kills_up_to + 8 * i);
    run.partition_id = load<int64_t>(data + at.partition_ids + 8 * i);
    run.key_end = load<uint32_t>(data + at.key_ends + 4 * i);
    if (run.timestamp == 0 || run.timestamp < timestamp || run.key_end < key_end) {
      return damaged("the runs are out of order");
    }
    key_end = run.key_end;
    timestamp = run.timestamp;
  }
  if (key_end != keys) return damaged("the runs do not cover the keys");
  if (!is_string) {
    out->keys_.read_ints(data + at.values, keys);
  } else if (!out->keys_.read_strings(data + at.values, keys, data + at.text, text_bytes)) {
    return damaged("the offsets of the keys do not fit them");
  }
  return Status::ok();
}

namespace {

// What of several batches goes into one.
struct Selection {
  bool is_string = false;
  size_t runs = 0;
  size_t keys = 0;
  size_t text_bytes = 0;
};

// The first run later than `after`: runs ascend by timestamp.
size_t first_run(const DeleteBatch& batch, uint64_t after) {
  size_t run = 0;
  while (run < batch.runs().size() && batch.runs()[run].timestamp <= after) ++run;
  return run;
}

Status select(std::span<const DeleteBatch> batches, uint64_t after, Selection* out) {
  bool is_first = true;
  for (const DeleteBatch& batch : batches) {
    const size_t run = first_run(batch, after);
    if (run == batch.runs().size()) continue;
    const bool is_string = batch.keys().is_string();
    if (!is_first && is_string != out->is_string) {
      return {StatusCode::kInvalidParameter, "deletes: the keys are of different kinds"};
    }
    is_first = false;
    out->is_string = is_string;
    out->runs += batch.runs().size() - run;
    out->keys += batch.keys().size() - batch.first_key(run);
    for (size_t i = batch.first_key(run); is_string && i < batch.keys().size(); ++i) {
      out->text_bytes += batch.keys().string_at(i).size();
    }
  }
  if (out->runs > kMax32 || out->keys > kMax32 || out->text_bytes > kMax32) {
    return {StatusCode::kInvalidParameter, "deletes: too many for one file"};
  }
  return Status::ok();
}

}  // namespace

Status merge_delete_batches(std::span<const DeleteBatch> batches, uint64_t after, OwnedBytes* out) {
  Selection chosen;
  if (Status status = select(batches, after, &chosen); !status.is_ok()) return status;
  const Places at(chosen.is_string, chosen.runs, chosen.keys, chosen.text_bytes);
  out->size = at.end;
  out->data = std::make_unique<uint8_t[]>(at.end);
  uint8_t* data = out->data.get();
  size_t run = 0;
  size_t key = 0;
  size_t text = 0;
  for (const DeleteBatch& batch : batches) {
    for (size_t i = first_run(batch, after); i < batch.runs().size(); ++i, ++run) {
      const DeleteRun& from = batch.runs()[i];
      store(data + at.timestamps + 8 * run, from.timestamp);
      store(data + at.kills_up_to + 8 * run, from.kills_up_to);
      store(data + at.partition_ids + 8 * run, from.partition_id);
      for (size_t k = batch.first_key(i); k < from.key_end; ++k, ++key) {
        if (!chosen.is_string) {
          store(data + at.values + 8 * key, batch.keys().int_at(k));
          continue;
        }
        const std::string_view value = batch.keys().string_at(k);
        if (!value.empty()) std::memcpy(data + at.text + text, value.data(), value.size());
        text += value.size();
        store(data + at.values + 4 * (key + 1), static_cast<uint32_t>(text));
      }
      store(data + at.key_ends + 4 * run, static_cast<uint32_t>(key));
    }
  }
  store(data, kDeleteBatchMagic);
  store(data + 8, chosen.is_string ? kStringKeys : kInt64Keys);
  store(data + 12, static_cast<uint32_t>(chosen.runs));
  store(data + 16, static_cast<uint32_t>(chosen.keys));
  store(data + 24, uint64_t{chosen.text_bytes});
  store(data + kDeleteBatchChecksumAt, crc32c(data + kDeleteBatchChecksumFrom,
                                              out->size - kDeleteBatchChecksumFrom));
  return Status::ok();
}

}  // namespace elanus
