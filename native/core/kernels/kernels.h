// Distance kernels of one instruction set: by the type of the rows' elements, by what is computed,
// in several forms. All sum floats in the same order, so single, batched and tiled calls give
// bit-identical results for the same (kernel set, dim). No pointer needs alignment.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/data_type.h"

namespace elanus {

// One operation on vectors of one type of elements, in its forms.
struct Kernels {
  using Single = float (*)(const void* a, const void* b, size_t dim);
  // out[i] = kernel(query, row i). Row i begins at base + i * stride, or at base + ids[i] * stride
  // when ids is not null (then the next row is prefetched while one is read).
  using Rows = void (*)(const void* query, const uint8_t* base, size_t stride, const uint32_t* ids,
                        size_t count, size_t dim, float* out);
  // Several queries at once: out[q * count + i].
  using Block = void (*)(const void* const* queries, size_t query_count, const uint8_t* base,
                         size_t stride, const uint32_t* ids, size_t count, size_t dim, float* out);
  // The same for rows that `pack` wrote: pays when many queries meet the same rows. `scratch`:
  // tile_queries * packed_floats(dim). A part of tile_queries costs as much as all of them.
  using Packed = void (*)(const void* const* queries, size_t query_count, const float* rows,
                          size_t count, size_t dim, float* scratch, float* out);

  Single single;
  Rows rows;
  Block block;
  Packed packed;
};

struct ElementKernels {
  // Writes packed_floats(dim) floats a row, for a multiple of 4 rows; count must not be 0.
  using Pack = void (*)(const uint8_t* base, size_t stride, const uint32_t* ids, size_t count,
                        size_t dim, float* out);

  // The sum of squares, of elements whose squares a float may not hold.
  using Square = double (*)(const void* row, size_t dim);

  DataType element;
  Kernels l2_sq;
  Kernels inner_product;
  Pack pack;
  Square exact_square;
};

struct KernelSet {
  const char* name;
  size_t tile_queries;
  size_t (*packed_floats)(size_t dim);
  ElementKernels elements[1];  // one for each type of elements that vectors have
};

// Null where the set was not compiled for this architecture. Calling one needs the CPU feature: see
// dispatch.h.
const KernelSet* scalar_kernels();
const KernelSet* sse2_kernels();
const KernelSet* avx2_kernels();
const KernelSet* avx512_kernels();
const KernelSet* neon_kernels();

}  // namespace elanus
