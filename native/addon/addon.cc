// The module's entry: loads once for each environment (the main thread, each worker thread).
#include <node_api.h>

#include "functions.h"
#include "runtime.h"

NAPI_MODULE_INIT() {
  if (elanus::Runtime::create(env) == nullptr) return nullptr;
  elanus::add_system_functions(env, exports);
  elanus::add_segment_functions(env, exports);
  elanus::add_delete_functions(env, exports);
  elanus::add_index_functions(env, exports);
  elanus::add_read_functions(env, exports);
  elanus::add_writer_functions(env, exports);
  return exports;
}
