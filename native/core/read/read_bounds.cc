#include "read/read_bounds.h"

#include <string>

namespace elanus {

Status output_too_large(const char* what, uint64_t got, uint64_t limit) {
  return {StatusCode::kTooLarge,
          std::string(what) + " results exceed the maxOutputSize Limit[got=" +
              std::to_string(got) + "][limit=" + std::to_string(limit) + "]"};
}

Status gather_too_large(const char* what, uint64_t need, uint64_t have) {
  return {StatusCode::kMemoryLimit,
          std::string(what) +
              " results exceed the maxOutputSize Limit or the memory for them[need=" +
              std::to_string(need) + "][have=" + std::to_string(have) + "]"};
}

}  // namespace elanus
