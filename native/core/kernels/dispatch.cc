#include "kernels/dispatch.h"

#include <algorithm>
#include <cassert>

#include "base/cpu.h"

namespace elanus {
namespace {

const KernelSet* best_set() { return supported_kernel_sets().back(); }

// Set before main; changed only by tests, so it needs no synchronisation.
const KernelSet* active_set = best_set();

}  // namespace

const KernelSet& kernels() { return *active_set; }

const ElementKernels& kernels_of(DataType element) {
  const auto found = std::ranges::find(active_set->elements, element, &ElementKernels::element);
  assert(found != std::end(active_set->elements));
  return *found;
}

std::vector<const KernelSet*> supported_kernel_sets() {
  const CpuFeatures& cpu = cpu_features();
  std::vector<const KernelSet*> sets{scalar_kernels()};
  const auto add = [&sets](const KernelSet* set, bool supported) {
    if (set != nullptr && supported) sets.push_back(set);
  };
  add(sse2_kernels(), true);
  add(avx2_kernels(), cpu.avx2_fma);
  add(avx512_kernels(), cpu.avx512);
  add(neon_kernels(), cpu.neon);
  return sets;
}

void set_kernel_set_for_test(const KernelSet* set) {
  active_set = set != nullptr ? set : best_set();
}

}  // namespace elanus
