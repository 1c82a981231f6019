// The HNSW index file. Level 0 is an array of fixed blocks of 2 * m row numbers, padded to 64
// bytes; a block ends at the first number that is not a row. Rows that reach higher levels have a
// second, compact numbering ("upper"): their links on those levels are upper numbers, m a level. Of
// rows with equal vectors only the smallest has links; the others are its twins.
#pragma once

#include <cstddef>
#include <cstdint>

#include "index/file_image.h"

namespace elanus {

constexpr uint32_t kHnswMagic = 0x4e484c45;  // "ELHN"
constexpr uint32_t kHnswVersion = 2;
// The version without twins, whose header ends after `absent_rows` and a checksum.
constexpr uint32_t kHnswFirstVersion = 1;
constexpr size_t kHnswFirstHeaderBytes = 112;
constexpr uint32_t kNoLink = 0xffffffff;

struct HnswHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t rows;
  uint32_t dim;
  uint32_t metric;
  uint32_t m;
  uint32_t ef_construction;
  uint32_t max_level;
  uint32_t entry_row;
  uint32_t entry_upper;  // of entry_row, if max_level > 0
  uint32_t upper_rows;   // rows on level 1 and above
  uint64_t upper_blocks;
  uint64_t level0_offset;       // rows blocks of hnsw_level0_stride(m) bytes
  uint64_t upper_row_offset;    // upper_rows row numbers
  uint64_t upper_block_offset;  // upper_rows + 1: first block of each; levels 1, 2, ... follow one
                                // another
  uint64_t upper_links_offset;  // upper_blocks blocks of m upper numbers
  uint64_t inv_norms_offset;    // COSINE: one float a row; else 0
  uint64_t total_bytes;
  uint32_t absent_rows;  // without links, because they have no vector
  uint32_t twin_heads;   // rows that have twins
  // twin_heads heads, as many begins and one, twin_rows twins: 32 bits each, one after another.
  uint64_t twins_offset;
  uint32_t twin_rows;  // without links, because they are twins
  uint32_t crc;
};
static_assert(sizeof(HnswHeader) == 128);
static_assert(offsetof(HnswHeader, twin_heads) + sizeof(uint32_t) == kHnswFirstHeaderBytes);

// 32-bit words of the section of twins.
constexpr uint64_t twin_words(const HnswHeader& header) {
  return header.twin_heads == 0 ? 0 : 2 * uint64_t{header.twin_heads} + 1 + header.twin_rows;
}

constexpr uint64_t hnsw_level0_stride(uint32_t m) {
  return align64(uint64_t{m} * 2 * sizeof(uint32_t));
}

// Fills in the offsets and total_bytes from the counts.
inline void lay_out(HnswHeader& header) {
  const bool cosine = header.metric == 2;
  header.level0_offset = align64(sizeof(HnswHeader));
  header.upper_row_offset =
      align64(header.level0_offset + header.rows * hnsw_level0_stride(header.m));
  header.upper_block_offset = align64(header.upper_row_offset + uint64_t{header.upper_rows} * 4);
  header.upper_links_offset =
      align64(header.upper_block_offset + (uint64_t{header.upper_rows} + 1) * 4);
  header.total_bytes = align64(header.upper_links_offset + header.upper_blocks * header.m * 4);
  header.inv_norms_offset = cosine ? header.total_bytes : 0;
  if (cosine) header.total_bytes = align64(header.total_bytes + header.rows * 4);
  header.twins_offset = header.total_bytes;
  header.total_bytes = align64(header.twins_offset + twin_words(header) * 4);
}

}  // namespace elanus
