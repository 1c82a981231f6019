// NEON: part of every AArch64.
#include "kernels/kernel_template.h"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace elanus {
namespace {

struct NeonIsa {
  using Reg = float32x4_t;
  static constexpr size_t kWidth = 4;
  static constexpr int kQueriesPerPass = 4;
  static constexpr int kTileQueries = 4;
  static inline Reg zero() { return vdupq_n_f32(0); }
  // Through memcpy, because vld1q_f32 may assume an aligned float.
  static inline Reg load(const float* p) {
    Reg r;
    __builtin_memcpy(&r, p, sizeof(r));
    return r;
  }
  static inline void store(float* p, Reg r) { vst1q_f32(p, r); }
  static inline Reg load_part(const float* p, size_t count) {
    float part[4] = {0, 0, 0, 0};
    __builtin_memcpy(part, p, count * sizeof(float));
    return vld1q_f32(part);
  }
  static inline Reg add(Reg a, Reg b) { return vaddq_f32(a, b); }
  static inline Reg subtract(Reg a, Reg b) { return vsubq_f32(a, b); }
  static inline Reg multiply_add(Reg a, Reg b, Reg sum) { return vfmaq_f32(sum, a, b); }
  static inline float reduce(Reg r) { return vaddvq_f32(r); }
};

constexpr KernelSet kSet = make_kernel_set<NeonIsa>("neon");

}  // namespace

const KernelSet* neon_kernels() { return &kSet; }

}  // namespace elanus
#else
namespace elanus {
const KernelSet* neon_kernels() { return nullptr; }
}  // namespace elanus
#endif
