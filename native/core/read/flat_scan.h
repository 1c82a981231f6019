// Exact search by reading rows: over a segment's chunk or mapped column, all rows or those a bitset
// shows. Blocked so that several queries share one pass over the rows; hidden rows are never read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cancel.h"
#include "base/top_k.h"
#include "threads/thread_pool.h"
#include "vector/exact_scorer.h"

namespace elanus {

struct FlatScanArgs {
  RowView rows;            // of a chunk, from its first row
  uint64_t row_begin = 0;  // that row's number in the segment: hits get id row_begin + i
  // Bit (row_begin + i) shows row i, counted from the segment's first row; null shows all.
  const uint64_t* visible = nullptr;
  const ScoreRange* range = nullptr;    // null: no bounds
  const CancelToken* cancel = nullptr;  // when raised the heaps are incomplete
};

// Pushes the rows' scores into heaps[q] for each query q of the batch, on the calling thread.
void flat_scan(const FlatScanArgs& args, const QuerySet& queries, TopK* heaps);

// The same, cut into tasks of about 1 ms that the pool's workers and the caller share. A scan
// shorter than two tasks runs on the caller alone.
void flat_scan_parallel(ThreadPool& pool, const FlatScanArgs& args, const QuerySet& queries,
                        TopK* heaps);

// Rows that take about 1 ms to scan for `query_count` queries of `dim` elements.
size_t rows_per_task(size_t dim, size_t query_count);

}  // namespace elanus
