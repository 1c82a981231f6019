// What an IVF_FLAT index keeps in its file (io/section_file.h): centroids, then one list of row
// numbers for each, in the order of the centroids.
#pragma once

#include <array>
#include <cstdint>

#include "io/section_file.h"
#include "metric/metric.h"

namespace elanus {

struct IvfParameters {
  uint32_t nlist = 0;
  uint32_t absent_rows = 0;  // in no list, because they have no vector
};

// The sections in their order.
inline std::array<SectionFile::Expected, 4> ivf_sections(const SectionFileHeader& header,
                                                         const IvfParameters& ivf) {
  const bool has_norms = header.metric == static_cast<uint32_t>(Metric::kCosine);
  return {{
      // of unit length under IP and COSINE
      {SectionTag::kCentroids, uint64_t{ivf.nlist} * header.dim * sizeof(float)},
      // where each list begins, and the end
      {SectionTag::kListBegins, (uint64_t{ivf.nlist} + 1) * 4},
      // row numbers, ascending inside a list
      {SectionTag::kListRows, (header.rows - ivf.absent_rows) * 4},
      // one float a row under COSINE, else nothing
      {SectionTag::kInverseNorms, has_norms ? header.rows * 4 : 0},
  }};
}

}  // namespace elanus
