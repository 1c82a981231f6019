// The functions of src/index/native.ts, one group a file. Each adds its own to the module's
// exports. JavaScript calls all of them through one function that lets no exception pass: what is
// thrown becomes a JavaScript Error with a code.
#pragma once

#include <node_api.h>

#include <initializer_list>

namespace elanus {

struct Function {
  const char* name;
  napi_callback callback;
};

// Throws in JavaScript when there is no memory.
void add_functions(napi_env env, napi_value exports, std::initializer_list<Function> functions);

void add_system_functions(napi_env env, napi_value exports);
void add_segment_functions(napi_env env, napi_value exports);
void add_delete_functions(napi_env env, napi_value exports);
void add_index_functions(napi_env env, napi_value exports);
void add_read_functions(napi_env env, napi_value exports);
void add_merge_functions(napi_env env, napi_value exports);
void add_writer_functions(napi_env env, napi_value exports);
void add_file_functions(napi_env env, napi_value exports);

}  // namespace elanus
