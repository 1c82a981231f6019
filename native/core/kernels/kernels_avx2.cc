// AVX2 with FMA. Compiled with -mavx2 -mfma -mf16c; must include nothing but intrinsics and the
// template.
#include "kernels/kernel_template.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace elanus {
namespace {

alignas(32) constexpr int32_t kPartMasks[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                0,  0,  0,  0,  0,  0,  0,  0};

struct Avx2Isa {
  using Reg = __m256;
  static constexpr size_t kWidth = 8;
  static constexpr int kQueriesPerPass = 2;
  static constexpr int kTileQueries = 3;
  static inline Reg zero() { return _mm256_setzero_ps(); }
  static inline Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static inline void store(float* p, Reg r) { _mm256_storeu_ps(p, r); }
  static inline Reg load_part(const float* p, size_t count) {
    const __m256i mask =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kPartMasks + 8 - count));
    return _mm256_maskload_ps(p, mask);
  }
  static inline Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static inline Reg subtract(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static inline Reg multiply_add(Reg a, Reg b, Reg sum) { return _mm256_fmadd_ps(a, b, sum); }
  static inline float reduce(Reg r) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(r), _mm256_extractf128_ps(r, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    half = _mm_add_ss(half, _mm_shuffle_ps(half, half, 1));
    return _mm_cvtss_f32(half);
  }
  // The same additions as reduce, of four registers at once.
  static inline void reduce4(Reg a, Reg b, Reg c, Reg d, float* out) {
    const Reg ab = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20),
                                 _mm256_permute2f128_ps(a, b, 0x31));
    const Reg cd = _mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20),
                                 _mm256_permute2f128_ps(c, d, 0x31));
    // In each half of 128 bits: lanes 0 + 2 and 1 + 3, of a and c, of b and d.
    const Reg pairs =
        _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    const Reg all =
        _mm256_add_ps(_mm256_shuffle_ps(pairs, pairs, 0x88), _mm256_shuffle_ps(pairs, pairs, 0xdd));
    // Now a, c, a, c, b, d, b, d.
    _mm_storeu_ps(out,
                  _mm_unpacklo_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
  }
};

constexpr KernelSet kSet = make_kernel_set<Avx2Isa>("avx2");

}  // namespace

const KernelSet* avx2_kernels() { return &kSet; }

}  // namespace elanus
#else
namespace elanus {
const KernelSet* avx2_kernels() { return nullptr; }
}  // namespace elanus
#endif
