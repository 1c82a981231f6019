// What this machine lets us use: CPU features (read once) and the number of cores under affinity
// and cgroup quota.
#pragma once

#include <cstddef>

namespace elanus {

struct CpuFeatures {
  bool sse42 = false;
  bool avx2_fma = false;  // AVX2, FMA and F16C
  bool avx512 = false;    // F, BW, VL, DQ
  bool neon = false;
  bool arm_crc32 = false;
};
const CpuFeatures& cpu_features();

// Cores that this process may use: the affinity mask, cut to the cgroup's CPU quota (v2 or v1), at
// least 1.
size_t usable_cores();

// max(1, usable_cores() - 1): one core is left for the event loop.
size_t default_search_threads();

// A hint to the core that it is in a spin loop.
inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace elanus
