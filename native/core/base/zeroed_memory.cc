// Mappings of one's own, as many as the system surely lets a process have.
#include "base/zeroed_memory.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace elanus {

namespace {

constexpr size_t kAlignment = 64;
// Linux lets a process have 65,530 mappings, and JavaScript and the files want theirs. Memory past
// this many comes from the heap.
constexpr size_t kMappingsMax = 16384;
std::atomic<size_t> mappings{0};

uint8_t* map(size_t bytes) {
  if (mappings.fetch_add(1, std::memory_order_relaxed) < kMappingsMax) {
    void* data =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data != MAP_FAILED) return static_cast<uint8_t*>(data);
  }
  mappings.fetch_sub(1, std::memory_order_relaxed);
  return nullptr;
}

}  // namespace

ZeroedMemory::ZeroedMemory(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  if (bytes >= kMappedFromBytes) data_ = map(bytes);
  is_mapped_ = data_ != nullptr;
  if (is_mapped_) return;
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  data_ = static_cast<uint8_t*>(std::aligned_alloc(kAlignment, rounded));
  if (data_ == nullptr) throw std::bad_alloc();
  std::memset(data_, 0, bytes);
}

ZeroedMemory::~ZeroedMemory() {
  if (data_ == nullptr) return;
  if (is_mapped_) {
    munmap(data_, size_);
    mappings.fetch_sub(1, std::memory_order_relaxed);
  } else {
    std::free(data_);
  }
}

}  // namespace elanus
