#include "read/visible_set.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>

#include "filter/evaluate.h"

namespace elanus {
namespace {

constexpr size_t kRowsPerTask = 16384;  // about 1 ms of a costly filter

Status evaluate_filter(const SegmentSnapshot& snapshot, const Plan& plan, ThreadPool* pool,
                       const CancelToken* cancel, Bitset* truth) {
  const size_t rows = snapshot.row_count();
  std::unique_ptr<Evaluator> evaluator;
  Status status = Evaluator::prepare(plan, snapshot, {.cancel = cancel}, &evaluator);
  if (!status.is_ok()) return status;
  truth->assign(rows, false);
  if (pool == nullptr || rows < 2 * kRowsPerTask) return evaluator->evaluate_range(0, rows, truth);
  std::mutex mutex;
  Status first_error;
  pool->parallel_for(
      rows, kRowsPerTask,
      [&](size_t begin, size_t end) {
        Status error = evaluator->evaluate_range(begin, end, truth);
        if (error.is_ok()) return;
        const std::lock_guard lock(mutex);
        if (first_error.is_ok()) first_error = std::move(error);
      },
      cancel);
  return first_error;
}

// Bit i: row begin + i of the view, which is a multiple of 64, is valid.
uint64_t valid_word(const ColumnView& view, size_t begin) {
  const size_t rows = std::min<size_t>(64, view.rows - begin);
  uint64_t valid = 0;
  if (view.all_null) return valid;
  if (view.valid_bits != nullptr) {
    std::memcpy(&valid, view.valid_bits + begin / 8, (rows + 7) / 8);
    return valid;
  }
  for (size_t i = 0; i < rows; ++i) valid |= uint64_t{view.is_valid(begin + i)} << i;
  return valid;
}

void hide_nulls_of_chunk(const ColumnView& view, size_t first_row, Bitset* bits) {
  // Chunks begin at multiples of 64.
  uint64_t* words = bits->words() + first_row / 64;
  for (size_t begin = 0; begin < view.rows; begin += 64)
    words[begin / 64] &= valid_word(view, begin);
}

}  // namespace

Status make_visible_set(const SegmentSnapshot& snapshot, const Plan* plan, uint64_t read_ts,
                     ThreadPool* pool, const CancelToken* cancel, VisibleSet* mask) {
  const size_t rows = snapshot.row_count();
  const bool all_visible = rows == 0 || snapshot.all_visible(read_ts);
  mask->all = all_visible && plan == nullptr;
  mask->kept = rows;
  if (mask->all || rows == 0) return Status::ok();
  if (plan == nullptr) {
    mask->all = snapshot.fill_visible(read_ts, &mask->bits);
    if (!mask->all) mask->kept = mask->bits.count();
    return Status::ok();
  }
  if (Status status = evaluate_filter(snapshot, *plan, pool, cancel, &mask->bits); !status.is_ok())
    return status;
  if (!all_visible) {
    Bitset visible;
    if (!snapshot.fill_visible(read_ts, &visible)) {
      for (size_t w = 0; w < visible.word_count(); ++w) mask->bits.words()[w] &= visible.words()[w];
    }
  }
  mask->kept = mask->bits.count();
  return Status::ok();
}

bool hide_nulls(const SegmentSnapshot& snapshot, int64_t field_id, VisibleSet* mask) {
  bool changed = false;
  for (size_t c = 0; c < snapshot.chunk_count(); ++c) {
    const ColumnView view = snapshot.column(c, field_id);
    if (!view.may_have_nulls()) continue;
    if (mask->all) {
      mask->bits.assign(snapshot.row_count(), true);
      mask->all = false;
    }
    hide_nulls_of_chunk(view, snapshot.chunk_begin(c), &mask->bits);
    changed = true;
  }
  if (changed) mask->kept = mask->bits.count();
  return changed;
}

}  // namespace elanus
