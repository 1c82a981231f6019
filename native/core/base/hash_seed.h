// What hashes of keys and values from clients begin with: drawn once a process, so that nobody can
// choose values that all fall into one place of a table, which would take quadratic time. No hash
// leaves the process.
#pragma once

#include <cstdint>

namespace elanus {

// Made when the library is loaded.
extern const uint64_t kHashSeed;

}  // namespace elanus
