#include "vector/exact_scorer.h"

#include <array>

#include "kernels/dispatch.h"

namespace elanus {
namespace {

constexpr size_t kPackQueries = 16;

const float* from(const float* inv_norms, size_t begin) {
  return inv_norms == nullptr ? nullptr : inv_norms + begin;
}

}  // namespace

ExactScorer ExactScorer::make(const RowView& rows, Metric metric, const Query& query) {
  const MetricTraits& traits = traits_of(metric);
  ExactScorer scorer;
  scorer.base_ = rows.base;
  scorer.stride_ = rows.stride;
  scorer.dim_ = rows.dim;
  scorer.inv_norms_ = rows.inv_norms;
  scorer.query_ = query;
  scorer.kernel_ = (kernels_of(rows.type->element).*traits.kernels).rows;
  scorer.finish_ = traits.finish;
  return scorer;
}

void ExactScorer::score_range(size_t begin, size_t count, float* out) const {
  kernel_(query_.bytes, base_ + begin * stride_, stride_, nullptr, count, dim_, out);
  finish_(out, count, query_.inv_norm, from(inv_norms_, begin), nullptr);
}

void RowBlock::assign(const RowView& rows, Metric metric, const uint32_t* ids, size_t begin,
                      size_t count, size_t query_count) {
  const KernelSet& set = kernels();
  const ElementKernels& own = kernels_of(rows.type->element);
  rows_ = ids == nullptr ? rows.part(begin, count) : rows;
  ids_ = ids;
  count_ = count;
  kernels_ = &(own.*traits_of(metric).kernels);
  finish_ = traits_of(metric).finish;
  // Copying a row costs about as much as two queries do.
  is_packed_ = count >= 4 && query_count >= kPackQueries;
  if (!is_packed_) return;
  const size_t floats = set.packed_floats(rows.dim);
  packed_.resize((count + 3) / 4 * 4 * floats);
  scratch_.resize(set.tile_queries * floats);
  own.pack(rows_.base, rows_.stride, ids, count, rows.dim, packed_.data());
}

void RowBlock::compute(const void* const* queries, size_t query_count, float* out) {
  const size_t tile_queries = kernels().tile_queries;
  size_t packed = 0;
  if (is_packed_) {
    // A last tile that is less than half full is better served without.
    packed = query_count / tile_queries * tile_queries;
    if ((query_count - packed) * 2 >= tile_queries) packed = query_count;
    kernels_->packed(queries, packed, packed_.data(), count_, rows_.dim, scratch_.data(), out);
  }
  if (packed == query_count) return;
  kernels_->block(queries + packed, query_count - packed, rows_.base, rows_.stride, ids_, count_,
                  rows_.dim, out + packed * count_);
}

void RowBlock::score(const QuerySet& queries, size_t first, size_t query_count, float* out) {
  std::array<const void*, kQueries> some{};
  for (size_t q = 0; q < query_count; ++q) some[q] = queries.query(first + q).bytes;
  compute(some.data(), query_count, out);
  for (size_t q = 0; q < query_count; ++q) {
    finish_(out + q * count_, count_, queries.query(first + q).inv_norm, rows_.inv_norms, ids_);
  }
}

}  // namespace elanus
