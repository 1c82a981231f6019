#include "base/cpu.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace elanus {
namespace {

CpuFeatures read_features() {
  CpuFeatures f;
#if defined(__x86_64__)
  __builtin_cpu_init();
  f.sse42 = __builtin_cpu_supports("sse4.2") != 0;
  // CPUs with AVX2 and FMA have F16C too; gcc 12 cannot ask for it by name.
  f.avx2_fma = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  f.avx512 = f.avx2_fma && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
             __builtin_cpu_supports("avx512dq") != 0;
#elif defined(__aarch64__)
  f.neon = true;
  f.arm_crc32 = (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
  return f;
}

// The first line of a small file, without its newline; empty if it cannot be read.
std::string read_line(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return {};
  char text[512];
  const char* read = std::fgets(text, sizeof(text), file);
  std::fclose(file);
  if (read == nullptr) return {};
  std::string line(text);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  return line;
}

// Cores of a "quota period" pair in microseconds, 0 if there is no limit.
double quota_cores(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : 0;
}

// The tightest cpu.max on the way from this process's cgroup to the root, 0 if there is no limit.
double cgroup_v2_cores() {
  const std::string self = read_line("/proc/self/cgroup");
  std::string path = self.rfind("0::", 0) == 0 ? self.substr(3) : "/";
  double cores = 0;
  for (;;) {
    const std::string line = read_line("/sys/fs/cgroup" + (path == "/" ? "" : path) + "/cpu.max");
    double quota = 0;
    double period = 0;
    if (std::sscanf(line.c_str(), "%lf %lf", &quota, &period) == 2) {
      const double here = quota_cores(quota, period);
      if (here > 0 && (cores == 0 || here < cores)) cores = here;
    }
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || path == "/") return cores;
    path = slash == 0 ? "/" : path.substr(0, slash);
  }
}

double cgroup_v1_cores() {
  const std::string quota = read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  const std::string period = read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  return quota_cores(std::atof(quota.c_str()), std::atof(period.c_str()));
}

size_t count_cores() {
  size_t cores = std::max(1u, std::thread::hardware_concurrency());
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) cores = static_cast<size_t>(CPU_COUNT(&mask));
  for (const double quota : {cgroup_v2_cores(), cgroup_v1_cores()}) {
    if (quota > 0) cores = std::min(cores, static_cast<size_t>(quota + 0.999));
  }
  return std::max<size_t>(1, cores);
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = read_features();
  return features;
}

size_t usable_cores() {
  static const size_t cores = count_cores();
  return cores;
}

size_t default_search_threads() { return std::max<size_t>(1, usable_cores() - 1); }

}  // namespace elanus
