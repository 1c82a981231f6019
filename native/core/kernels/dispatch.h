// Chooses the kernel set once, at load, from the CPU's features. Scores are comparable only within
// one set, so nothing but a test may change the choice.
#pragma once

#include <vector>

#include "kernels/kernels.h"

namespace elanus {

// The set in use: the widest that this CPU supports.
const KernelSet& kernels();

// Those of the set in use for rows of these elements, which the set must have.
const ElementKernels& kernels_of(DataType element);

// Every set that this CPU can run, scalar first.
std::vector<const KernelSet*> supported_kernel_sets();

// Null goes back to the best set. Not thread-safe: call while nothing searches.
void set_kernel_set_for_test(const KernelSet* set);

}  // namespace elanus
