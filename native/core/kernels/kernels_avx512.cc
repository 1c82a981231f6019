// AVX-512. Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma; includes nothing but
// intrinsics and the template.
#include "kernels/kernel_template.h"

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
  static constexpr int kTileQueries = 6;
  static inline Reg zero() { return _mm512_setzero_ps(); }
  static inline Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static inline void store(float* p, Reg r) { _mm512_storeu_ps(p, r); }
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
  // The same additions as reduce, of four registers at once.
  static inline void reduce4(Reg a, Reg b, Reg c, Reg d, float* out) {
    const Reg ab =
        _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const Reg cd =
        _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    Reg quarter =
        _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    quarter = _mm512_add_ps(quarter, _mm512_shuffle_ps(quarter, quarter, 0xee));
    quarter = _mm512_add_ps(quarter, _mm512_shuffle_ps(quarter, quarter, 0x55));
    const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(first, quarter)));
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
