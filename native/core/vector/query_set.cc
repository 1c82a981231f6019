#include "vector/query_set.h"

#include "kernels/dispatch.h"

namespace elanus {

QuerySet::QuerySet(const VectorType& type, size_t dim, Metric metric, const void* data,
                   size_t count)
    : QuerySet(dense_rows(type, data, count, dim), metric) {
  if (!traits_of(metric).needs_norms) return;
  inv_norms_.resize(count);
  compute_inverse_norms(rows_, inv_norms_.data());
}

bool QuerySet::is_near_nothing(size_t i) const {
  if (!type().has_nan) return false;
  // The squares of finite numbers add up to a number or to infinity.
  const uint8_t* query = rows_.row(i);
  const float square = kernels_of(type().element).inner_product.single(query, query, dim());
  return square != square;
}

QuerySet QuerySet::part(size_t first, size_t some) const {
  QuerySet set(rows_.part(first, some), metric_);
  if (!inv_norms_.empty()) {
    const auto begin = inv_norms_.begin() + static_cast<std::ptrdiff_t>(first);
    set.inv_norms_.assign(begin, begin + static_cast<std::ptrdiff_t>(some));
  }
  return set;
}

}  // namespace elanus
