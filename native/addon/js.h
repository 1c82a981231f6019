// Reading arguments from JavaScript and making values for it, over plain N-API. A reader that does
// not get what it wants throws a TypeError and returns false; its caller returns null to JavaScript
// at once.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/param_bag.h"
#include "base/status.h"
#include "segment/row_batch.h"
#include "segment/schema.h"

namespace elanus::js {

// Throws an Error with the status' code as the number `code`.
void throw_status(napi_env env, const Status& status);
napi_value make_error(napi_env env, const Status& status);
// Throws a TypeError that names the argument; returns false.
bool refuse(napi_env env, const char* name, const char* wanted);

template <size_t N>
struct Arguments {
  napi_value values[N] = {};
  Arguments(napi_env env, napi_callback_info info) {
    size_t count = N;
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  napi_value operator[](size_t i) const { return values[i]; }
};

bool is_undefined(napi_env env, napi_value value);
// A property; undefined when the object lacks it.
napi_value get(napi_env env, napi_value object, const char* name);

bool read(napi_env env, napi_value value, const char* name, double* out);
bool read(napi_env env, napi_value value, const char* name,
          uint32_t* out);  // a number from 0 to 2^32 - 1
bool read_size(napi_env env, napi_value value, const char* name,
               uint64_t* out);  // an integer from 0 to 2^53
bool read(napi_env env, napi_value value, const char* name, bool* out);
bool read(napi_env env, napi_value value, const char* name, std::string* out);
// BigInt, exactly: a value that does not fit is refused.
bool read_int64(napi_env env, napi_value value, const char* name, int64_t* out);
bool read_uint64(napi_env env, napi_value value, const char* name, uint64_t* out);
// Bytes of a Uint8Array (or Buffer), valid during the call.
bool read_bytes(napi_env env, napi_value value, const char* name, std::span<const uint8_t>* out);
// The properties of an object, all of them numbers or strings.
bool read_bag(napi_env env, napi_value value, const char* name, ParamBag* out);
bool read_field_ids(napi_env env, napi_value value, const char* name, std::vector<int64_t>* out);

template <typename T, typename Read>
bool read_property(napi_env env, napi_value object, const char* name, T* out, Read&& reader) {
  return reader(env, get(env, object, name), name, out);
}

// Primary keys, copied.
class Keys {
 public:
  bool read(napi_env env, napi_value value, const char* name);
  KeySpan span() const {
    return is_string_ ? KeySpan::of(std::span<const std::string_view>(strings_))
                      : KeySpan::of(std::span<const int64_t>(ints_));
  }

 private:
  static constexpr uint32_t kKeysPerScope = 64;

  bool read_strings(napi_env env, napi_value value, const char* name);
  bool append_string(napi_env env, napi_value item);

  bool is_string_ = false;
  std::vector<int64_t> ints_;
  std::vector<std::string_view> strings_;
  std::vector<char> characters_;  // of all strings, and room for more
  size_t text_bytes_ = 0;
};

// Bytes that another thread reads: copied when short, else the array is kept alive by a reference.
// Made and destroyed on the JavaScript thread.
class PinnedBytes {
 public:
  static constexpr size_t kCopyMaxBytes = 64 << 10;
  PinnedBytes() = default;
  ~PinnedBytes();
  PinnedBytes(const PinnedBytes&) = delete;
  PinnedBytes& operator=(const PinnedBytes&) = delete;

  bool pin(napi_env env, napi_value value, const char* name);
  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
  std::unique_ptr<uint8_t[]> copy_;
  napi_env env_ = nullptr;
  napi_ref reference_ = nullptr;
};

napi_value undefined(napi_env env);
napi_value number(napi_env env, double value);
napi_value bigint(napi_env env, int64_t value);
napi_value bigint(napi_env env, uint64_t value);
napi_value string(napi_env env, std::string_view value);
void set(napi_env env, napi_value object, const char* name, napi_value value);

// An ArrayBuffer with these bytes: large ones are handed over without a copy.
napi_value array_buffer(napi_env env, std::unique_ptr<uint8_t[]> data, size_t size);
napi_value uint8_array(napi_env env, std::unique_ptr<uint8_t[]> data, size_t size);
napi_value typed_array(napi_env env, napi_typedarray_type type, size_t length, napi_value buffer,
                       size_t offset);

}  // namespace elanus::js
