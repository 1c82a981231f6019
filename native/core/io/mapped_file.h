// A whole file mapped read-only (PROT_READ, MAP_SHARED). Segment and index files are immutable:
// written, fsynced, renamed, never truncated (R16), so a mapping stays valid after the file is
// unlinked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace elanus {

class MappedFile {
 public:
  // An empty file maps to size 0. Errors: kIo with path and reason.
  static Status open(const std::string& path, std::unique_ptr<MappedFile>* out);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  MappedFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  const uint8_t* data_;
  size_t size_;
};

}  // namespace elanus
