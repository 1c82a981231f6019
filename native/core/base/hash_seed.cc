#include "base/hash_seed.h"

#include <chrono>
#include <exception>
#include <random>

namespace elanus {
namespace {

uint64_t draw() {
  try {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
  } catch (const std::exception&) {
    // A sandbox without a source of chance: better the clock than a constant.
    return static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) *
           0x9e3779b97f4a7c15ULL;
  }
}

}  // namespace

const uint64_t kHashSeed = draw();

}  // namespace elanus
