#include "js.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace elanus::js {

napi_value make_error(napi_env env, const Status& status) {
  napi_value error = nullptr;
  napi_create_error(env, nullptr, string(env, status.message()), &error);
  set(env, error, "code", number(env, static_cast<double>(status.code())));
  return error;
}

void throw_status(napi_env env, const Status& status) { napi_throw(env, make_error(env, status)); }

bool refuse(napi_env env, const char* name, const char* wanted) {
  bool is_pending = false;
  napi_is_exception_pending(env, &is_pending);
  if (!is_pending)
    napi_throw_type_error(env, nullptr, (std::string(name) + " must be " + wanted).c_str());
  return false;
}

bool is_undefined(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  return value == nullptr || napi_typeof(env, value, &type) != napi_ok || type == napi_undefined;
}

napi_value get(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  napi_get_named_property(env, object, name, &value);
  return value;
}

bool read(napi_env env, napi_value value, const char* name, double* out) {
  return napi_get_value_double(env, value, out) == napi_ok || refuse(env, name, "a number");
}

bool read_size(napi_env env, napi_value value, const char* name, uint64_t* out) {
  double number = 0;
  const bool is_size = napi_get_value_double(env, value, &number) == napi_ok && number >= 0 &&
                       number <= 9007199254740992.0 && number == std::floor(number);
  if (!is_size) return refuse(env, name, "a whole number");
  *out = static_cast<uint64_t>(number);
  return true;
}

bool read(napi_env env, napi_value value, const char* name, uint32_t* out) {
  uint64_t wide = 0;
  if (!read_size(env, value, name, &wide)) return false;
  if (wide > UINT32_MAX) return refuse(env, name, "below 2^32");
  *out = static_cast<uint32_t>(wide);
  return true;
}

bool read(napi_env env, napi_value value, const char* name, bool* out) {
  return napi_get_value_bool(env, value, out) == napi_ok || refuse(env, name, "a boolean");
}

bool read(napi_env env, napi_value value, const char* name, std::string* out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok)
    return refuse(env, name, "a string");
  out->resize(length);
  napi_get_value_string_utf8(env, value, out->data(), length + 1, &length);
  return true;
}

bool read_int64(napi_env env, napi_value value, const char* name, int64_t* out) {
  bool is_exact = false;
  const bool is_bigint = napi_get_value_bigint_int64(env, value, out, &is_exact) == napi_ok;
  return (is_bigint && is_exact) || refuse(env, name, "a bigint of 64 bits");
}

bool read_uint64(napi_env env, napi_value value, const char* name, uint64_t* out) {
  bool is_exact = false;
  const bool is_bigint = napi_get_value_bigint_uint64(env, value, out, &is_exact) == napi_ok;
  return (is_bigint && is_exact) || refuse(env, name, "a bigint from 0 to 2^64 - 1");
}

bool read_bytes(napi_env env, napi_value value, const char* name, std::span<const uint8_t>* out) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  const napi_status status =
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr);
  if (status != napi_ok || type != napi_uint8_array) return refuse(env, name, "a Uint8Array");
  *out = {static_cast<const uint8_t*>(data), length};
  return true;
}

bool read_bag(napi_env env, napi_value value, const char* name, ParamBag* out) {
  napi_value keys = nullptr;
  uint32_t count = 0;
  if (napi_get_property_names(env, value, &keys) != napi_ok ||
      napi_get_array_length(env, keys, &count) != napi_ok) {
    return refuse(env, name, "an object");
  }
  for (uint32_t i = 0; i < count; ++i) {
    napi_value key = nullptr;
    napi_value item = nullptr;
    napi_valuetype type = napi_undefined;
    std::string key_text;
    if (napi_get_element(env, keys, i, &key) != napi_ok || !read(env, key, name, &key_text) ||
        napi_get_property(env, value, key, &item) != napi_ok ||
        napi_typeof(env, item, &type) != napi_ok) {
      return refuse(env, name, "an object");
    }
    double number = 0;
    std::string text;
    if (type == napi_number && read(env, item, name, &number)) {
      out->set(std::move(key_text), number);
    } else if (type == napi_string && read(env, item, name, &text)) {
      out->set(std::move(key_text), std::move(text));
    } else {
      return refuse(env, name, "an object of numbers and strings");
    }
  }
  return true;
}

bool read_field_ids(napi_env env, napi_value value, const char* name, std::vector<int64_t>* out) {
  uint32_t length = 0;
  if (napi_get_array_length(env, value, &length) != napi_ok)
    return refuse(env, name, "an array of bigint");
  out->resize(length);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value item = nullptr;
    napi_get_element(env, value, i, &item);
    if (!read_int64(env, item, name, &(*out)[i])) return false;
  }
  return true;
}

bool Keys::read(napi_env env, napi_value value, const char* name) {
  bool is_typed = false;
  napi_is_typedarray(env, value, &is_typed);
  if (!is_typed) return read_strings(env, value, name);
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr);
  if (type != napi_bigint64_array)
    return refuse(env, name, "a BigInt64Array or an array of strings");
  const int64_t* keys = static_cast<const int64_t*>(data);
  ints_.assign(keys, keys + length);
  return true;
}

bool Keys::read_strings(napi_env env, napi_value value, const char* name) {
  uint32_t count = 0;
  if (napi_get_array_length(env, value, &count) != napi_ok) {
    return refuse(env, name, "a BigInt64Array or an array of strings");
  }
  is_string_ = true;
  std::vector<size_t> ends;
  ends.reserve(count);
  for (uint32_t first = 0; first < count; first += kKeysPerScope) {
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env, &scope);
    const uint32_t last = std::min(count, first + kKeysPerScope);
    bool are_strings = true;
    for (uint32_t i = first; i < last && are_strings; ++i) {
      napi_value item = nullptr;
      napi_get_element(env, value, i, &item);
      are_strings = append_string(env, item);
      ends.push_back(text_bytes_);
    }
    napi_close_handle_scope(env, scope);
    if (!are_strings) return refuse(env, name, "an array of strings");
  }
  strings_.reserve(count);
  size_t begin = 0;
  for (const size_t end : ends) {
    strings_.emplace_back(characters_.data() + begin, end - begin);
    begin = end;
  }
  return true;
}

// Most strings fit into the room that there is: asking for the length first would take as long
// again.
bool Keys::append_string(napi_env env, napi_value item) {
  constexpr size_t kLongestCharacter = 4;
  constexpr size_t kTypicalBytes = 256;
  if (characters_.size() < text_bytes_ + kTypicalBytes) {
    characters_.resize(2 * (text_bytes_ + kTypicalBytes));
  }
  const size_t room = characters_.size() - text_bytes_;
  size_t length = 0;
  if (napi_get_value_string_utf8(env, item, characters_.data() + text_bytes_, room, &length) !=
      napi_ok) {
    return false;
  }
  if (length + kLongestCharacter >= room) {
    napi_get_value_string_utf8(env, item, nullptr, 0, &length);
    characters_.resize(text_bytes_ + length + 1);
    napi_get_value_string_utf8(env, item, characters_.data() + text_bytes_, length + 1, &length);
  }
  text_bytes_ += length;
  return true;
}

bool PinnedBytes::pin(napi_env env, napi_value value, const char* name) {
  if (!read_bytes(env, value, name, &bytes_)) return false;
  env_ = env;
  if (bytes_.size() > kCopyMaxBytes)
    return napi_create_reference(env, value, 1, &reference_) == napi_ok;
  copy_ = std::make_unique_for_overwrite<uint8_t[]>(bytes_.size() + 1);
  if (!bytes_.empty()) std::memcpy(copy_.get(), bytes_.data(), bytes_.size());
  bytes_ = {copy_.get(), bytes_.size()};
  return true;
}

PinnedBytes::~PinnedBytes() {
  if (reference_ != nullptr) napi_delete_reference(env_, reference_);
}

napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value bigint(napi_env env, int64_t value) {
  napi_value result = nullptr;
  napi_create_bigint_int64(env, value, &result);
  return result;
}

napi_value bigint(napi_env env, uint64_t value) {
  napi_value result = nullptr;
  napi_create_bigint_uint64(env, value, &result);
  return result;
}

napi_value string(napi_env env, std::string_view value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

napi_value array_buffer(napi_env env, std::unique_ptr<uint8_t[]> data, size_t size) {
  // Below this, registering foreign memory costs more than copying it.
  constexpr size_t kCopyMaxBytes = 64 << 10;
  napi_value buffer = nullptr;
  if (size > kCopyMaxBytes) {
    const auto free_bytes = [](napi_env, void* bytes, void*) {
      delete[] static_cast<uint8_t*>(bytes);
    };
    if (napi_create_external_arraybuffer(env, data.get(), size, free_bytes, nullptr, &buffer) ==
        napi_ok) {
      (void)data.release();  // the buffer's now
      return buffer;
    }
  }
  void* copy = nullptr;
  if (napi_create_arraybuffer(env, size, &copy, &buffer) != napi_ok) return nullptr;
  if (size != 0) std::memcpy(copy, data.get(), size);
  return buffer;
}

napi_value typed_array(napi_env env, napi_typedarray_type type, size_t length, napi_value buffer,
                       size_t offset) {
  napi_value array = nullptr;
  napi_create_typedarray(env, type, length, buffer, offset, &array);
  return array;
}

napi_value uint8_array(napi_env env, std::unique_ptr<uint8_t[]> data, size_t size) {
  return typed_array(env, napi_uint8_array, size, array_buffer(env, std::move(data), size), 0);
}

}  // namespace elanus::js
