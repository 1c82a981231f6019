// Where exceptions end: a thread's outermost function and the border to JavaScript call their work
// through `guarded`, which turns what is thrown into a Status. Nothing else of the core needs to
// catch for safety; what catches std::bad_alloc itself does so to name what had no memory.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "base/status.h"

namespace elanus {

// Short enough to need no memory itself (std::string keeps 15 characters in place).
inline Status out_of_memory() noexcept { return {StatusCode::kMemoryLimit, "out of memory"}; }

// Runs `body`, which returns a Status. Errors besides its own: kMemoryLimit for std::bad_alloc,
// kInternal for anything else that is thrown.
template <typename Body>
Status guarded(Body&& body) noexcept {
  try {
    try {
      return std::forward<Body>(body)();
    } catch (const std::bad_alloc&) {
      return out_of_memory();
    } catch (const std::exception& error) {
      return {StatusCode::kInternal, std::string("native: ") + error.what()};
    } catch (...) {
      return {StatusCode::kInternal, "native: thrown"};
    }
  } catch (...) {  // no memory for the message
    return out_of_memory();
  }
}

}  // namespace elanus
