// Leaves over columns of fixed width: whole words at a time, no look at single rows where a kernel
// can do without.
#pragma once

#include <cstddef>
#include <memory>

#include "filter/leaf.h"
#include "filter/plan.h"
#include "filter/value_test.h"

namespace elanus {

// compare, range and in on a Bool or numeric field.
std::unique_ptr<Leaf> make_dense_leaf(size_t slot, DataType type, const ValueTest& test);
// arith on a numeric field.
std::unique_ptr<Leaf> make_dense_arith_leaf(size_t slot, const PlanNode& node);
// compareOperands on two numeric fields.
std::unique_ptr<Leaf> make_dense_pair_leaf(size_t left, size_t right, const PlanNode& node);

}  // namespace elanus
