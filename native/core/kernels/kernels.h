// Float distance kernels of one instruction set. Every form of a kernel sums in the same order, so
// single, batched and tiled calls give bit-identical results for the same (kernel set, dim). No
// pointer needs alignment.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elanus {

struct KernelSet {
  using Single = float (*)(const float* a, const float* b, size_t dim);
  // out[i] = kernel(query, row i). Row i is base + i * dim, or base + ids[i] * dim when ids is not
  // null (then the next row is prefetched while one is read).
  using Batch = void (*)(const float* query, const float* base, const uint32_t* ids, size_t count,
                         size_t dim, float* out);
  // Several queries at once: out[q * count + i].
  using Block = void (*)(const float* const* queries, size_t query_count, const float* base,
                         const uint32_t* ids, size_t count, size_t dim, float* out);

  // The same for rows that `pack` wrote: pays when many queries meet the same rows. `scratch`:
  // tile_queries * packed_floats(dim). A part of tile_queries costs as much as all of them.
  using Packed = void (*)(const float* const* queries, size_t query_count, const float* rows,
                          size_t count, size_t dim, float* scratch, float* out);
  // Writes packed_floats(dim) floats a row, for a multiple of 4 rows; count must not be 0.
  using Pack = void (*)(const float* base, const uint32_t* ids, size_t count, size_t dim,
                        float* out);

  const char* name;
  Single l2_sq;
  Single inner_product;
  Batch l2_sq_batch;
  Batch inner_product_batch;
  Block l2_sq_block;
  Block inner_product_block;
  size_t tile_queries;
  size_t (*packed_floats)(size_t dim);
  Pack pack;
  Packed l2_sq_packed;
  Packed inner_product_packed;
};

// Null where the set was not compiled for this architecture. Calling one needs the CPU feature: see
// dispatch.h.
const KernelSet* scalar_kernels();
const KernelSet* sse2_kernels();
const KernelSet* avx2_kernels();
const KernelSet* avx512_kernels();
const KernelSet* neon_kernels();

}  // namespace elanus
