#include "functions.h"

#include "js.h"
#include "base/guard.h"

namespace elanus {
namespace {

// The functions are told apart by the data that each was made with: its address.
napi_value call(napi_env env, napi_callback_info info) {
  napi_value result = nullptr;
  const Status status = guarded([&] {
    void* data = nullptr;
    napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
    result = reinterpret_cast<napi_callback>(data)(env, info);
    return Status::ok();
  });
  if (status.is_ok()) return result;
  js::throw_status(env, status);
  return nullptr;
}

}  // namespace

void add_functions(napi_env env, napi_value exports, std::initializer_list<Function> functions) {
  for (const Function& function : functions) {
    napi_value value = nullptr;
    napi_create_function(env, function.name, NAPI_AUTO_LENGTH, call,
                         reinterpret_cast<void*>(function.callback), &value);
    napi_set_named_property(env, exports, function.name, value);
  }
}

}  // namespace elanus
