// A leaf answered by the scalar index of its field or JSON path instead of a scan, when that is
// estimated to be cheaper. The answer is the same bit by bit, nulls included.
#pragma once

#include <memory>

#include "base/status.h"
#include "filter/leaf.h"
#include "filter/plan.h"
#include "segment/row_source.h"
#include "threads/steps.h"

namespace elanus {

// Leaves `leaf` empty when the node cannot or should not use an index. The lookup over all rows
// happens here, once; the leaf keeps two bits a row. `always` takes an index whatever it costs (for
// tests). Errors: kCanceled, kDataIntegrity.
Status make_index_leaf(const PlanNode& node, const RowSource& source, bool always, Steps* steps,
                       std::unique_ptr<Leaf>* leaf);

}  // namespace elanus
