// The functions of src/index/native.ts, one group a file. Each adds its own to the module's
// exports.
#pragma once

#include <node_api.h>

#include <initializer_list>

namespace elanus {

struct Function {
  const char* name;
  napi_callback callback;
};

inline void add_functions(napi_env env, napi_value exports,
                          std::initializer_list<Function> functions) {
  for (const Function& function : functions) {
    napi_value value = nullptr;
    napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.callback, nullptr, &value);
    napi_set_named_property(env, exports, function.name, value);
  }
}

void add_system_functions(napi_env env, napi_value exports);
void add_segment_functions(napi_env env, napi_value exports);
void add_delete_functions(napi_env env, napi_value exports);
void add_index_functions(napi_env env, napi_value exports);
void add_read_functions(napi_env env, napi_value exports);
void add_writer_functions(napi_env env, napi_value exports);

}  // namespace elanus
