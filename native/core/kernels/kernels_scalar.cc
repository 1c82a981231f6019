// One float at a time: runs everywhere, and the tests' yardstick for the other sets.
#include "kernels/kernel_template.h"

namespace elanus {
namespace {

struct ScalarIsa {
  using Reg = float;
  static constexpr size_t kWidth = 1;
  static constexpr int kQueriesPerPass = 2;
  static constexpr int kTileQueries = 2;
  static inline Reg zero() { return 0.0f; }
  static inline Reg load(const float* p) {
    float value;
    __builtin_memcpy(&value, p, sizeof(value));
    return value;
  }
  static inline void store(float* p, Reg r) { *p = r; }
  static inline Reg load_part(const float* p, size_t) { return load(p); }
  static inline Reg add(Reg a, Reg b) { return a + b; }
  static inline Reg subtract(Reg a, Reg b) { return a - b; }
  static inline Reg multiply_add(Reg a, Reg b, Reg sum) {
#ifdef __FP_FAST_FMAF
    // Spelt out: left to the compiler, forms could differ in their bits.
    return __builtin_fmaf(a, b, sum);
#else
    return a * b + sum;
#endif
  }
  static inline float reduce(Reg r) { return r; }
};

constexpr KernelSet kSet = make_kernel_set<ScalarIsa>("scalar");

}  // namespace

const KernelSet* scalar_kernels() { return &kSet; }

}  // namespace elanus
