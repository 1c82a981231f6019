#include "read/flat_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <mutex>
#include <vector>

namespace elanus {
namespace {

// A tile stays in the second-level cache while all queries pass over it. Many queries make up for
// the misses of a large one, which costs less in between.
constexpr size_t kTileBytes = 128 << 10;
constexpr size_t kLargeTileBytes = 384 << 10;
constexpr size_t kManyQueries = 24;
constexpr size_t kTileRowsMax = 256;

size_t tile_rows(const RowView& rows, size_t query_count) {
  const size_t bytes = query_count < kManyQueries ? kTileBytes : kLargeTileBytes;
  const size_t fit = bytes / std::max<size_t>(1, rows.row_bytes());
  return std::clamp<size_t>(fit, 16, kTileRowsMax);
}

// Kept for its memory, which is as large as a tile.
RowBlock& block_of_thread() {
  thread_local RowBlock block;
  return block;
}

// Scores tiles of rows for every query and offers them to the heaps.
class TileScanner {
 public:
  TileScanner(const FlatScanArgs& args, const QuerySet& queries, TopK* heaps)
      : args_(args), queries_(queries), heaps_(heaps) {}

  // `ids` null: rows begin, begin + 1, ... of the block.
  void scan(const uint32_t* ids, size_t begin, size_t count) {
    block_.assign(args_.rows, queries_.metric(), ids, begin, count, queries_.count());
    for (size_t q = 0; q < queries_.count(); q += RowBlock::kQueries) {
      const size_t some = std::min(RowBlock::kQueries, queries_.count() - q);
      block_.score(queries_, q, some, scores_.data());
      for (size_t j = 0; j < some; ++j)
        offer(heaps_[q + j], scores_.data() + j * count, ids, begin, count);
    }
  }

 private:
  void offer(TopK& heap, const float* scores, const uint32_t* ids, size_t begin, size_t count) {
    constexpr size_t kGlance = 16;
    float worst = heap.worst();
    for (size_t from = 0; from < count; from += kGlance) {
      const size_t to = std::min(count, from + kGlance);
      // Most rows are no better than what the heap has: one look at several of them.
      unsigned is_any_better = 0;
      for (size_t i = from; i < to; ++i) is_any_better |= scores[i] >= worst ? 1u : 0u;
      if (is_any_better == 0) continue;
      for (size_t i = from; i < to; ++i) {
        if (!(scores[i] >= worst)) continue;
        if (args_.range != nullptr && !args_.range->contains(scores[i])) continue;
        heap.push(scores[i], args_.row_begin + (ids == nullptr ? begin + i : ids[i]));
        worst = heap.worst();
      }
    }
  }

  const FlatScanArgs& args_;
  const QuerySet& queries_;
  TopK* heaps_;
  RowBlock& block_ = block_of_thread();
  std::array<float, RowBlock::kQueries * kTileRowsMax> scores_;
};

void scan_all(const FlatScanArgs& args, TileScanner& scanner, size_t step, size_t begin,
              size_t end) {
  for (size_t row = begin; row < end && !is_canceled(args.cancel); row += step) {
    scanner.scan(nullptr, row, std::min(step, end - row));
  }
}

// The visible bits of word `word` that belong to absolute rows [begin, end).
uint64_t bits_between(const uint64_t* visible, uint64_t word, uint64_t begin, uint64_t end) {
  uint64_t bits = visible[word];
  if (word == begin / 64) bits &= ~uint64_t{0} << (begin % 64);
  if (word == (end - 1) / 64 && end % 64 != 0) bits &= (uint64_t{1} << (end % 64)) - 1;
  return bits;
}

void scan_visible(const FlatScanArgs& args, TileScanner& scanner, size_t step, size_t begin,
                  size_t end) {
  const uint64_t first = args.row_begin + begin;
  const uint64_t last = args.row_begin + end;
  std::array<uint32_t, kTileRowsMax> ids;
  size_t count = 0;
  for (uint64_t word = first / 64; word <= (last - 1) / 64; ++word) {
    for (uint64_t bits = bits_between(args.visible, word, first, last); bits != 0;
         bits &= bits - 1) {
      const uint64_t row = word * 64 + static_cast<uint64_t>(std::countr_zero(bits));
      ids[count++] = static_cast<uint32_t>(row - args.row_begin);
      if (count < step) continue;
      scanner.scan(ids.data(), 0, count);
      count = 0;
      if (is_canceled(args.cancel)) return;
    }
  }
  if (count > 0) scanner.scan(ids.data(), 0, count);
}

void scan_rows(const FlatScanArgs& args, const QuerySet& queries, size_t begin, size_t end,
               TopK* heaps) {
  if (begin >= end || queries.count() == 0) return;
  TileScanner scanner(args, queries, heaps);
  const size_t step = tile_rows(args.rows, queries.count());
  if (args.visible == nullptr) {
    scan_all(args, scanner, step, begin, end);
  } else {
    scan_visible(args, scanner, step, begin, end);
  }
}

size_t count_visible(const FlatScanArgs& args) {
  if (args.visible == nullptr || args.rows.count == 0) return args.rows.count;
  const uint64_t first = args.row_begin;
  const uint64_t last = args.row_begin + args.rows.count;
  size_t kept = 0;
  for (uint64_t word = first / 64; word <= (last - 1) / 64; ++word) {
    kept += static_cast<size_t>(std::popcount(bits_between(args.visible, word, first, last)));
  }
  return kept;
}

}  // namespace

size_t rows_per_task(size_t dim, size_t query_count) {
  // Reading a row costs about 0.3 ns a float from memory, a query over a cached row a twelfth of
  // that.
  const double queries = static_cast<double>(query_count);
  const double row_ns = static_cast<double>(dim) * (0.3 + 0.025 * queries) + 2 * queries + 5;
  return std::max<size_t>(64, static_cast<size_t>(1e6 / row_ns) / 64 * 64);
}

void flat_scan(const FlatScanArgs& args, const QuerySet& queries, TopK* heaps) {
  scan_rows(args, queries, 0, args.rows.count, heaps);
}

void flat_scan_parallel(ThreadPool& pool, const FlatScanArgs& args, const QuerySet& queries,
                        TopK* heaps) {
  const size_t kept = count_visible(args);
  const size_t per_task = rows_per_task(args.rows.dim, queries.count());
  if (kept < 2 * per_task || pool.thread_count() == 0) {
    flat_scan(args, queries, heaps);
    return;
  }
  // A filter makes a task cheaper, so it covers more rows.
  const size_t grain = per_task * (args.rows.count / kept);
  std::mutex mutex;
  std::vector<std::unique_ptr<std::vector<TopK>>>
      idle;  // one set of heaps for each thread that takes part
  const auto task = [&](size_t begin, size_t end) {
    std::unique_ptr<std::vector<TopK>> own;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!idle.empty()) {
        own = std::move(idle.back());
        idle.pop_back();
      }
    }
    if (own == nullptr) {
      own = std::make_unique<std::vector<TopK>>();
      for (size_t q = 0; q < queries.count(); ++q) own->emplace_back(heaps[q].k());
    }
    scan_rows(args, queries, begin, end, own->data());
    const std::lock_guard<std::mutex> lock(mutex);
    idle.push_back(std::move(own));
  };
  pool.parallel_for(args.rows.count, grain, task, args.cancel);
  for (const auto& set : idle) {
    for (size_t q = 0; q < queries.count(); ++q) heaps[q].merge((*set)[q]);
  }
}

}  // namespace elanus
