// Builds an IVF_FLAT index and writes its file: Lloyd's k-means on a sample of at most 256 rows a
// list, then one pass that assigns every row. Rows are assigned the way that a search ranks lists:
// under L2 by squared distance, under IP and COSINE by inner product with centroids of unit length
// (spherical k-means), where COSINE counts rows as unit vectors.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <span>

#include "index/index_builder.h"
#include "kernels/dispatch.h"
#include "lists/ivf_flat.h"

namespace elanus {
namespace {

// Lists, cut to the number of rows.
constexpr WholeParam kNlist = {"nlist", 1, 2147483647, 128};
constexpr size_t kSampleRowsPerList = 256;
constexpr int kIterations = 10;
// Rows and centroids of a tile stay in the second-level cache together.
constexpr size_t kTileRows = 128;
constexpr size_t kTileLists = 64;

class Builder : IndexBuilder {
 public:
  Builder(const IndexBuildParams& params, const RowView& rows, const IndexBuildControl& control)
      : IndexBuilder(params, rows, control) {}

  Status read_params() { return params_.bag.read(kNlist, &ivf_.nlist); }
  Status build(SectionFileWriter* out);

 private:
  bool prepare();
  void train();
  void update_penalties();
  void assign(const uint32_t* sample, size_t count, std::vector<uint32_t>& nearest, bool is_last);
  void assign_tile(const uint32_t* sample, size_t begin, size_t end, uint32_t* nearest) const;
  void move_centroids(const std::vector<uint32_t>& sample, const std::vector<uint32_t>& nearest);
  void move_centroid(size_t list, const uint32_t* members, size_t count);
  void split_into_empty(std::vector<uint32_t>& counts);
  void sort_into_lists(const std::vector<uint32_t>& nearest);
  Status write(SectionFileWriter* out);

  float weight(uint32_t row) const {
    return rows_.inv_norms != nullptr ? rows_.inv_norms[row] : 1.0f;
  }
  float* centroid(size_t list) { return centroids_.data() + list * rows_.dim; }
  const float* vector(size_t row) const {
    return reinterpret_cast<const float*>(rows_.row(row));
  }
  bool is_l2() const { return metric() == Metric::kL2; }

  // The rows that have a vector; without absent rows a list of them is not kept.
  size_t listed_count() const { return rows_.count - ivf_.absent_rows; }
  const uint32_t* listed() const { return control_.present != nullptr ? listed_.data() : nullptr; }

  IvfParameters ivf_;
  std::vector<float> centroids_;
  std::vector<uint32_t> begins_;
  std::vector<uint32_t> list_rows_;
  std::vector<uint32_t> listed_;
  std::vector<float> penalties_;  // |centroid|^2 / 2: nearest = largest inner product less this
};

// False when canceled.
bool Builder::prepare() {
  if (control_.present != nullptr) {
    for (uint32_t row = 0; row < rows_.count; ++row) {
      if (is_present(row)) listed_.push_back(row);
    }
    ivf_.absent_rows = static_cast<uint32_t>(rows_.count - listed_.size());
  }
  ivf_.nlist = static_cast<uint32_t>(std::min<size_t>(ivf_.nlist, listed_count()));
  centroids_.resize(ivf_.nlist * rows_.dim);
  begins_.resize(ivf_.nlist + 1);
  return compute_norms();
}

void Builder::update_penalties() {
  penalties_.resize(ivf_.nlist);
  for (size_t list = 0; list < ivf_.nlist; ++list) {
    const float* at = centroid(list);
    penalties_[list] = kernels_of(DataType::kFloat).inner_product.single(at, at, rows_.dim) / 2;
  }
}

// nearest[i - begin] = list of sample row i (of row i without a sample). A row's length does not
// change which unit centroid is nearest, so it need not be normalised here.
void Builder::assign_tile(const uint32_t* sample, size_t begin, size_t end,
                          uint32_t* nearest) const {
  const size_t nlist = ivf_.nlist;
  const RowView centroids = dense_rows(*rows_.type, centroids_.data(), nlist, rows_.dim);
  std::array<float, kTileRows> best;
  best.fill(-std::numeric_limits<float>::infinity());
  std::fill(nearest, nearest + (end - begin), 0);
  constexpr size_t kBlockRows = RowBlock::kQueries;
  std::array<float, kBlockRows * kTileLists> products;
  thread_local RowBlock tile;  // of this thread, for its memory
  for (size_t list = 0; list < nlist; list += kTileLists) {
    const size_t lists = std::min(kTileLists, nlist - list);
    tile.assign(centroids, Metric::kIp, nullptr, list, lists, end - begin);
    for (size_t i = begin; i < end; i += kBlockRows) {
      const size_t some = std::min(kBlockRows, end - i);
      std::array<const void*, kBlockRows> block;
      for (size_t q = 0; q < some; ++q) {
        const size_t at = i + q;
        block[q] = rows_.row(sample != nullptr ? sample[at] : at);
      }
      tile.compute(block.data(), some, products.data());
      for (size_t q = 0; q < some; ++q) {
        const size_t at = i + q - begin;
        for (size_t j = 0; j < lists; ++j) {
          const float score = products[q * lists + j] - (is_l2() ? penalties_[list + j] : 0.0f);
          if (!(score > best[at])) continue;
          best[at] = score;
          nearest[at] = static_cast<uint32_t>(list + j);
        }
      }
    }
  }
}

void Builder::assign(const uint32_t* sample, size_t count, std::vector<uint32_t>& nearest,
                     bool is_last) {
  update_penalties();
  nearest.resize(count);
  run(count, kTileRows, [&](size_t begin, size_t end) {
    assign_tile(sample, begin, end, nearest.data() + begin);
    if (is_last) report(end - begin);
  });
}

void Builder::move_centroid(size_t list, const uint32_t* members, size_t count) {
  std::vector<double> sum(rows_.dim, 0.0);
  for (size_t i = 0; i < count; ++i) {
    const float* row = vector(members[i]);
    const double scale = weight(members[i]);
    for (size_t d = 0; d < rows_.dim; ++d) sum[d] += scale * row[d];
  }
  double scale = 1.0 / static_cast<double>(count);
  if (!is_l2()) {
    const double square = std::inner_product(sum.begin(), sum.end(), sum.begin(), 0.0);
    scale = square > 0 ? 1.0 / std::sqrt(square) : 0.0;
  }
  for (size_t d = 0; d < rows_.dim; ++d) centroid(list)[d] = static_cast<float>(sum[d] * scale);
}

// A list without rows gets half of the largest one: two centroids a little to either side of its
// own.
void Builder::split_into_empty(std::vector<uint32_t>& counts) {
  constexpr float kNudge = 1.0f / 1024;
  for (size_t list = 0; list < counts.size(); ++list) {
    if (counts[list] != 0) continue;
    const size_t largest =
        static_cast<size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
    for (size_t d = 0; d < rows_.dim; ++d) {
      const float value = centroid(largest)[d];
      const float nudge = d % 2 == 0 ? kNudge : -kNudge;
      centroid(list)[d] = value * (1 + nudge);
      centroid(largest)[d] = value * (1 - nudge);
    }
    counts[list] = counts[largest] / 2;
    counts[largest] -= counts[list];
  }
}

void Builder::move_centroids(const std::vector<uint32_t>& sample,
                             const std::vector<uint32_t>& nearest) {
  std::vector<uint32_t> counts(ivf_.nlist, 0);
  for (const uint32_t list : nearest) ++counts[list];
  std::vector<uint32_t> begin(ivf_.nlist + 1, 0);
  std::partial_sum(counts.begin(), counts.end(), begin.begin() + 1);
  std::vector<uint32_t> members(sample.size());
  std::vector<uint32_t> next(begin.begin(), begin.end() - 1);
  for (size_t i = 0; i < sample.size(); ++i) members[next[nearest[i]]++] = sample[i];
  run(ivf_.nlist, 4, [&](size_t first, size_t last) {
    for (size_t list = first; list < last; ++list) {
      if (counts[list] > 0) move_centroid(list, members.data() + begin[list], counts[list]);
    }
  });
  split_into_empty(counts);
}

void Builder::train() {
  std::vector<uint32_t> sample = listed_;
  if (listed() == nullptr) {
    sample.resize(rows_.count);
    std::iota(sample.begin(), sample.end(), 0u);
  }
  std::mt19937_64 random(params_.seed);
  const size_t count = std::min(sample.size(), size_t{ivf_.nlist} * kSampleRowsPerList);
  for (size_t i = 0; i < count; ++i)
    std::swap(sample[i], sample[i + random() % (sample.size() - i)]);
  sample.resize(count);
  for (size_t list = 0; list < ivf_.nlist; ++list) move_centroid(list, &sample[list], 1);
  std::sort(sample.begin(), sample.end());
  std::vector<uint32_t> nearest;
  for (int i = 0; i < kIterations && !is_canceled(); ++i) {
    const std::vector<uint32_t> before = std::move(nearest);
    nearest.clear();
    assign(sample.data(), count, nearest, false);
    if (nearest == before || is_canceled()) return;
    move_centroids(sample, nearest);
  }
}

void Builder::sort_into_lists(const std::vector<uint32_t>& nearest) {
  for (const uint32_t list : nearest) ++begins_[list + 1];
  for (size_t list = 0; list < ivf_.nlist; ++list) begins_[list + 1] += begins_[list];
  std::vector<uint32_t> next(begins_.begin(), begins_.end() - 1);
  list_rows_.resize(nearest.size());
  for (size_t i = 0; i < nearest.size(); ++i) {
    list_rows_[next[nearest[i]]++] = listed() != nullptr ? listed_[i] : static_cast<uint32_t>(i);
  }
}

Status Builder::write(SectionFileWriter* out) {
  out->put_section(IvfTag::kCentroids, std::span<const float>(centroids_));
  out->put_section(IvfTag::kListBegins, std::span<const uint32_t>(begins_));
  out->put_section(IvfTag::kListRows, std::span<const uint32_t>(list_rows_));
  put_norms(out);
  return finish(kIvfFlatContainer, ivf_, out);
}

Status Builder::build(SectionFileWriter* out) {
  if (!prepare()) return canceled();
  if (listed_count() > 0) {
    train();
    std::vector<uint32_t> nearest;
    if (!is_canceled()) assign(listed(), listed_count(), nearest, true);
    if (!is_canceled()) sort_into_lists(nearest);
  }
  return is_canceled() ? canceled() : write(out);
}

}  // namespace

Status build_ivf_flat(const IndexBuildParams& params, const RowView& rows,
                      const IndexBuildControl& control, SectionFileWriter* out) {
  Builder builder(params, rows, control);
  if (Status status = builder.read_params(); !status.is_ok()) return status;
  return builder.build(out);
}

uint64_t ivf_flat_build_bytes(const ParamBag& bag, size_t n, size_t dim) {
  const uint64_t nlist = std::min<size_t>(bag.get(kNlist), n);
  return nlist * (dim * 4 + 32) + n * 4 * 6 + (4 << 20);
}

}  // namespace elanus
