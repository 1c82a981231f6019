// AVX-512. Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma; includes nothing but
// intrinsics and the template.
#include "distance/kernel_template.h"

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 warns about the undefined registers inside its own intrinsics (bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

namespace elanus {
namespace {

struct Avx512Isa {
  using Reg = __m512;
  static constexpr size_t kWidth = 16;
  static constexpr int kQueriesPerPass = 4;
  static inline Reg zero() { return _mm512_setzero_ps(); }
  static inline Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static inline Reg load_part(const float* p, size_t count) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
  }
  static inline Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static inline Reg subtract(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static inline Reg multiply_add(Reg a, Reg b, Reg sum) { return _mm512_fmadd_ps(a, b, sum); }
  static inline float reduce(Reg r) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(r), _mm512_extractf32x8_ps(r, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    quarter = _mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1));
    return _mm_cvtss_f32(quarter);
  }
};

constexpr KernelSet kSet = make_kernel_set<Avx512Isa>("avx512");

}  // namespace

const KernelSet* avx512_kernels() { return &kSet; }

}  // namespace elanus
#else
namespace elanus {
const KernelSet* avx512_kernels() { return nullptr; }
}  // namespace elanus
#endif
