// Zero-filled memory whose start is aligned (64 bytes unless asked otherwise). Movable, not
// copyable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace elanus {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // data() is null if the memory was refused.
  explicit AlignedBuffer(size_t bytes, size_t alignment = 64)
      : data_(static_cast<uint8_t*>(
            std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment))),
        bytes_(data_ == nullptr ? 0 : bytes) {
    if (data_ != nullptr) std::memset(data_.get(), 0, bytes);
  }
  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  size_t size() const { return bytes_; }

 private:
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  std::unique_ptr<uint8_t, Free> data_;
  size_t bytes_ = 0;
};

}  // namespace elanus
