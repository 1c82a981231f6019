// The IVF_FLAT index file: centroids, then one list of row numbers for each, in the order of the
// centroids.
#pragma once

#include <cstdint>

#include "index/file_image.h"

namespace elanus {

constexpr uint32_t kIvfMagic = 0x56494c45;  // "ELIV"
constexpr uint32_t kIvfVersion = 1;

struct IvfHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t rows;
  uint32_t dim;
  uint32_t metric;
  uint32_t nlist;
  uint32_t absent_rows;        // in no list, because they have no vector
  uint64_t centroids_offset;   // nlist * dim floats; of unit length under IP and COSINE
  uint64_t list_begin_offset;  // nlist + 1 uint32
  uint64_t row_offset;         // rows - absent_rows row numbers, ascending inside a list
  uint64_t inv_norms_offset;   // COSINE: one float a row; else 0
  uint64_t total_bytes;
  uint32_t reserved2;
  uint32_t crc;
};
static_assert(sizeof(IvfHeader) == 80);

// Fills in the offsets and total_bytes from the counts.
inline void lay_out(IvfHeader& header) {
  header.centroids_offset = align64(sizeof(IvfHeader));
  header.list_begin_offset =
      align64(header.centroids_offset + uint64_t{header.nlist} * header.dim * sizeof(float));
  header.row_offset = align64(header.list_begin_offset + (uint64_t{header.nlist} + 1) * 4);
  header.total_bytes = align64(header.row_offset + (header.rows - header.absent_rows) * 4);
  header.inv_norms_offset = header.metric == 2 ? header.total_bytes : 0;
  if (header.metric == 2) header.total_bytes = align64(header.total_bytes + header.rows * 4);
}

}  // namespace elanus
