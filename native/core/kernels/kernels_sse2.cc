// SSE2: part of every x86-64.
#include "kernels/kernel_template.h"

#if defined(__x86_64__)
#include <emmintrin.h>

namespace elanus {
namespace {

struct Sse2Isa {
  using Reg = __m128;
  static constexpr size_t kWidth = 4;
  static constexpr int kQueriesPerPass = 2;
  static constexpr int kTileQueries = 2;
  static inline Reg zero() { return _mm_setzero_ps(); }
  static inline Reg load(const float* p) { return _mm_loadu_ps(p); }
  static inline void store(float* p, Reg r) { _mm_storeu_ps(p, r); }
  static inline Reg load_part(const float* p, size_t count) {
    alignas(16) float part[4] = {0, 0, 0, 0};
    __builtin_memcpy(part, p, count * sizeof(float));
    return _mm_load_ps(part);
  }
  static inline Reg add(Reg a, Reg b) { return _mm_add_ps(a, b); }
  static inline Reg subtract(Reg a, Reg b) { return _mm_sub_ps(a, b); }
  static inline Reg multiply_add(Reg a, Reg b, Reg sum) {
    return _mm_add_ps(_mm_mul_ps(a, b), sum);
  }
  static inline float reduce(Reg r) {
    r = _mm_add_ps(r, _mm_movehl_ps(r, r));
    r = _mm_add_ss(r, _mm_shuffle_ps(r, r, 1));
    return _mm_cvtss_f32(r);
  }
};

constexpr KernelSet kSet = make_kernel_set<Sse2Isa>("sse2");

}  // namespace

const KernelSet* sse2_kernels() { return &kSet; }

}  // namespace elanus
#else
namespace elanus {
const KernelSet* sse2_kernels() { return nullptr; }
}  // namespace elanus
#endif
