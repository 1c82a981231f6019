#include "segment/apply_deletes.h"

#include <algorithm>
#include <new>
#include <vector>

#include "threads/thread_pool.h"

namespace elanus {
namespace {

// Keys between two looks at the token and two chances for others: about 100 us.
constexpr size_t kPieceKeys = 256;

// A key of the batch and the run that it belongs to.
struct Entry {
  uint32_t key;
  uint32_t run;
};

// The keys of the batch ascending, those that are equal in the order of time.
std::vector<Entry> sort_keys(const DeleteBatch& batch) {
  std::vector<Entry> entries;
  entries.reserve(batch.keys().size());
  for (size_t run = 0; run < batch.runs().size(); ++run) {
    for (size_t key = batch.first_key(run); key < batch.runs()[run].key_end; ++key) {
      entries.push_back({static_cast<uint32_t>(key), static_cast<uint32_t>(run)});
    }
  }
  const KeyColumn& keys = batch.keys();
  const auto sort_by = [&](auto&& key_of) {
    std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
      const auto first = key_of(a.key);
      const auto second = key_of(b.key);
      return first != second ? first < second : a.key < b.key;
    });
  };
  if (keys.is_string()) {
    sort_by([&](size_t i) { return keys.string_at(i); });
  } else {
    sort_by([&](size_t i) { return keys.int_at(i); });
  }
  return entries;
}

// The keys of one piece that concern one segment.
class Piece {
 public:
  void clear() {
    ints_.clear();
    strings_.clear();
    deletes_.clear();
  }
  void add(const KeyColumn& keys, size_t key, const DeleteRun& run) {
    if (keys.is_string()) {
      strings_.push_back(keys.string_at(key));
    } else {
      ints_.push_back(keys.int_at(key));
    }
    deletes_.push_back({run.timestamp, run.kills_up_to});
  }
  Status apply(bool is_string, Segment* segment) const {
    if (deletes_.empty()) return Status::ok();
    size_t count = 0;
    const KeySpan keys = is_string ? KeySpan::of(std::span(strings_)) : KeySpan::of(ints_);
    return segment->delete_keys(keys, deletes_, &count);
  }

 private:
  std::vector<int64_t> ints_;
  std::vector<std::string_view> strings_;
  std::vector<KeyDelete> deletes_;
};

}  // namespace

Status apply_deletes(const DeleteBatch& batch, std::span<const DeleteTarget> targets,
                     const CancelToken* cancel) {
  if (batch.keys().size() == 0) return Status::ok();
  try {
    const std::vector<Entry> entries = sort_keys(batch);
    Piece piece;
    for (const DeleteTarget& target : targets) {
      for (size_t begin = 0; begin < entries.size(); begin += kPieceKeys) {
        if (is_canceled(cancel)) return {StatusCode::kCanceled, "the process ends"};
        ThreadPool::give_way();
        piece.clear();
        const size_t end = std::min(entries.size(), begin + kPieceKeys);
        for (size_t i = begin; i < end; ++i) {
          const DeleteRun& run = batch.runs()[entries[i].run];
          if (run.timestamp <= target.deletes_up_to) continue;
          if (run.partition_id != 0 && run.partition_id != target.partition_id) continue;
          piece.add(batch.keys(), entries[i].key, run);
        }
        Status status = piece.apply(batch.keys().is_string(), target.segment.get());
        if (!status.is_ok()) return status;
      }
    }
  } catch (const std::bad_alloc&) {
    return {StatusCode::kMemoryLimit, "no memory for deletes"};
  }
  return Status::ok();
}

}  // namespace elanus
