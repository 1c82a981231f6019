// The module's entry: loads once for each environment (the main thread, each worker thread).
#include <node_api.h>

#include "functions.h"
#include "js.h"
#include "runtime.h"
#include "base/guard.h"

NAPI_MODULE_INIT() {
  using namespace elanus;
  const Status status = guarded([&] {
    if (Runtime::create(env) == nullptr) return Status::ok();
    add_system_functions(env, exports);
    add_segment_functions(env, exports);
    add_delete_functions(env, exports);
    add_index_functions(env, exports);
    add_read_functions(env, exports);
    add_merge_functions(env, exports);
    add_writer_functions(env, exports);
    add_file_functions(env, exports);
    return Status::ok();
  });
  if (!status.is_ok()) js::throw_status(env, status);
  return exports;
}
