// What every byte of an index file should be, for whoever compares a file piece by piece and
// slowly, beside other work. Reads with read calls: a page that cannot be read is an error here,
// where a mapped one would end the process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"

namespace elanus {

// A part of a file and the CRC32C that it should have.
struct FileCheck {
  std::string name;  // a section's tag, or "padding"
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint32_t crc = 0;
};

// Reads the file's first page and compares header and table. The parts make up all of the rest.
// Errors: kIo, kDataIntegrity.
Status list_checks(const std::string& path, std::vector<FileCheck>* checks);

// Continues `crc` (0 to begin) with bytes [offset, offset + length) of the file. Errors: kIo,
// kDataIntegrity (the file ends before), kCanceled.
Status crc32c_of_file(const std::string& path, uint64_t offset, uint64_t length,
                      const CancelToken* cancel, uint32_t* crc);

}  // namespace elanus
