// What an IVF_FLAT index keeps in its file (io/section_file.h): centroids, then one list of row
// numbers for each, in the order of the centroids.
#pragma once

#include <array>
#include <cstdint>

#include "index/vector_index.h"
#include "io/section_file.h"

namespace elanus {

constexpr Container kIvfFlatContainer{2};

struct IvfTag {
  static constexpr SectionTag kCentroids = section_tag("CENT");
  static constexpr SectionTag kListBegins = section_tag("LBEG");
  static constexpr SectionTag kListRows = section_tag("LROW");
};

struct IvfParameters {
  uint32_t nlist = 0;
  uint32_t absent_rows = 0;  // in no list, because they have no vector
};

// The sections in their order.
inline std::array<SectionFile::Expected, 4> ivf_sections(const SectionFileHeader& header,
                                                         const IvfParameters& ivf) {
  return {{
      // of unit length under IP and COSINE
      {IvfTag::kCentroids, uint64_t{ivf.nlist} * header.dim * sizeof(float)},
      // where each list begins, and the end
      {IvfTag::kListBegins, (uint64_t{ivf.nlist} + 1) * 4},
      // row numbers, ascending inside a list
      {IvfTag::kListRows, (header.rows - ivf.absent_rows) * 4},
      inverse_norms_section(header),
  }};
}

}  // namespace elanus
