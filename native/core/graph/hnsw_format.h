// What an HNSW index keeps in its file (io/section_file.h). Level 0 is an array of fixed blocks of
// 2 * m row numbers, padded to 64 bytes; a block ends at the first number that is not a row. Rows
// that reach higher levels have a second, compact numbering ("upper"): their links on those levels
// are upper numbers, m a level. Of rows with equal vectors only the smallest has links; the others
// are its twins.
#pragma once

#include <array>
#include <cstdint>

#include "index/vector_index.h"
#include "io/section_file.h"

namespace elanus {

constexpr Container kHnswContainer{1};

struct HnswTag {
  static constexpr SectionTag kLinks = section_tag("LINK");
  static constexpr SectionTag kUpperRows = section_tag("UROW");
  static constexpr SectionTag kUpperBegins = section_tag("UBEG");
  static constexpr SectionTag kUpperLinks = section_tag("ULNK");
  static constexpr SectionTag kTwins = section_tag("TWIN");
};

constexpr uint32_t kNoLink = 0xffffffff;

struct HnswParameters {
  uint32_t m = 0;
  uint32_t ef_construction = 0;
  uint32_t max_level = 0;
  uint32_t entry_row = 0;
  uint32_t entry_upper = 0;   // of entry_row, if max_level > 0
  uint32_t upper_rows = 0;    // rows on level 1 and above
  uint32_t absent_rows = 0;   // without links, because they have no vector
  uint32_t twin_heads = 0;    // rows that have twins
  uint32_t twin_rows = 0;     // without links, because they are twins
  uint32_t zero = 0;
  uint64_t upper_blocks = 0;
};
static_assert(sizeof(HnswParameters) == 48);

// 32-bit words of the section of twins: heads, as many begins and one, twins.
constexpr uint64_t twin_words(const HnswParameters& hnsw) {
  return hnsw.twin_heads == 0 ? 0 : 2 * uint64_t{hnsw.twin_heads} + 1 + hnsw.twin_rows;
}

constexpr uint64_t hnsw_level0_stride(uint32_t m) {
  return (uint64_t{m} * 2 * sizeof(uint32_t) + 63) / 64 * 64;
}

// The sections in their order.
inline std::array<SectionFile::Expected, 6> hnsw_sections(const SectionFileHeader& header,
                                                          const HnswParameters& hnsw) {
  return {{
      // `rows` blocks of hnsw_level0_stride(m) bytes
      {HnswTag::kLinks, header.rows * hnsw_level0_stride(hnsw.m)},
      // upper number -> row
      {HnswTag::kUpperRows, uint64_t{hnsw.upper_rows} * 4},
      // first block of each upper row, and the end; its levels 1, 2, ... follow one another
      {HnswTag::kUpperBegins, (uint64_t{hnsw.upper_rows} + 1) * 4},
      // blocks of m upper numbers
      {HnswTag::kUpperLinks, hnsw.upper_blocks * hnsw.m * 4},
      inverse_norms_section(header),
      // see twins.h
      {HnswTag::kTwins, twin_words(hnsw) * 4},
  }};
}

}  // namespace elanus
