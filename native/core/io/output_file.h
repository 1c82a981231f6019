// A new file, written once from its begin to its end. Memory is one buffer whatever the file's
// length, and offsets have 64 bits. Nothing here syncs: whoever gives the file its name makes its
// bytes durable first (R11).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"

namespace elanus {

class OutputFile {
 public:
  // Creates the file, or empties the one that is there. `cancel` (or null) outlives the object.
  // Errors: kIo, kDiskLimit.
  static Status create(const std::string& path, const CancelToken* cancel,
                       std::unique_ptr<OutputFile>* out);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Appends. After a failure nothing more is written: `finish` tells of it.
  void put(const void* data, uint64_t bytes);
  // Goes forward to the offset. What lies between reads as zeros.
  void skip_to(uint64_t offset);
  // The offset of the next byte.
  uint64_t bytes() const { return offset_; }
  // Fills in the file's first bytes, which have been skipped, writes what is still buffered, closes
  // the file. Errors: kIo, kDiskLimit, kCanceled.
  Status finish(const void* first, uint64_t first_bytes);

 private:
  OutputFile(std::string path, const CancelToken* cancel);
  void flush();
  void write_at(const uint8_t* data, uint64_t bytes, uint64_t offset);
  void fail(int error);

  int fd_ = -1;
  std::string path_;
  const CancelToken* cancel_;
  Status status_;
  std::vector<uint8_t> buffer_;  // the bytes before offset_ that are not written yet
  uint64_t offset_ = 0;
};

}  // namespace elanus
