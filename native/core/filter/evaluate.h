// Which rows of a segment a filter keeps. Three-valued logic in two bit arrays (true, not null),
// 4,096 rows at a time, so that columns and intermediate bits stay in the cache. Meaning:
// docs/formats/plan.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bitset.h"
#include "base/cancel.h"
#include "base/status.h"
#include "filter/plan.h"
#include "segment/row_source.h"

namespace elanus {

struct EvaluateOptions {
  bool use_indexes = true;
  // Take an index wherever one can answer, also when a scan would be cheaper. For tests.
  bool always_index = false;
  // Outlives the evaluator. A filter over long texts takes seconds for some thousand rows: on a
  // pool's thread it gives way to others, and once this is raised it ends early, with any bits.
  const CancelToken* cancel = nullptr;
};

// A plan prepared against one source. Plan and source must outlive it.
class Evaluator {
 public:
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Checks that operators and fields go together (kInvalidParameter), and reads the scalar indexes
  // that are used. Errors: of those, and kCanceled.
  static Status prepare(const Plan& plan, const RowSource& source, const EvaluateOptions& options,
                        std::unique_ptr<Evaluator>* evaluator);

  // Sets the bits row_begin..row_end-1 of `truth` to "the plan is true" and leaves the others. Both
  // bounds are multiples of 64 (row_end may also be the number of rows) and `truth` has a bit for
  // each row of the source. Threads may evaluate ranges that do not overlap at the same time, into
  // one bitset.
  Status evaluate_range(size_t row_begin, size_t row_end, Bitset* truth) const;

  // Leaves that a scalar index answers.
  int index_leaf_count() const;

 private:
  struct State;
  explicit Evaluator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Sizes `truth` to the source's rows and sets bit i to "the plan is true for row i".
Status evaluate(const Plan& plan, const RowSource& source, Bitset* truth,
                const EvaluateOptions& options = {});

// One range, prepared for it alone: for several ranges of one source keep an Evaluator.
Status evaluate_range(const Plan& plan, const RowSource& source, size_t row_begin, size_t row_end,
                      Bitset* truth, const EvaluateOptions& options = {});

}  // namespace elanus
