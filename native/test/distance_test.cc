// Every kernel set against a double-precision yardstick, and every form of a kernel against its
// single form, bit for bit: promise R21, one score whatever found the candidate.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "float_vectors.h"
#include "kernels/dispatch.h"
#include "vector/exact_scorer.h"

using namespace elanus;
using check::float_queries;
using check::float_rows;
using check::score_one;

namespace {

constexpr uint64_t kSeed = 20261121;

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// Floats that begin `shift` bytes past an aligned address, as they do in a message from the wire.
class Unaligned {
 public:
  Unaligned(size_t count, size_t shift, std::mt19937_64& random)
      : bytes_(count * 4 + 8), shift_(shift) {
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < count; ++i) {
      const float value = normal(random);
      std::memcpy(bytes_.data() + shift + i * 4, &value, 4);
    }
  }
  const float* data() const { return reinterpret_cast<const float*>(bytes_.data() + shift_); }
  double at(size_t i) const {
    float value;
    std::memcpy(&value, bytes_.data() + shift_ + i * 4, 4);
    return value;
  }

 private:
  std::vector<uint8_t> bytes_;
  size_t shift_;
};

}  // namespace

TEST(r18_kernels_agree_with_double_arithmetic_for_any_dim_and_alignment) {
  std::mt19937_64 random(kSeed);
  for (const KernelSet* set : supported_kernel_sets()) {
    for (size_t round = 0; round < 300; ++round) {
      const size_t dim = round < 140 ? round + 1 : 1 + random() % 1100;
      const Unaligned a(dim, random() % 4, random);
      const Unaligned b(dim, random() % 4, random);
      double l2 = 0;
      double ip = 0;
      double magnitude = 0;
      for (size_t i = 0; i < dim; ++i) {
        l2 += (a.at(i) - b.at(i)) * (a.at(i) - b.at(i));
        ip += a.at(i) * b.at(i);
        magnitude += std::abs(a.at(i) * b.at(i));
      }
      const ElementKernels& kernels = set->elements[0];
      CHECK(std::abs(kernels.l2_sq.single(a.data(), b.data(), dim) - l2) <= 1e-5 * l2 + 1e-6);
      CHECK(std::abs(kernels.inner_product.single(a.data(), b.data(), dim) - ip) <=
            1e-5 * magnitude + 1e-6);
    }
  }
}

TEST(r21_every_form_of_a_kernel_gives_the_same_bits) {
  std::mt19937_64 random(kSeed);
  for (const KernelSet* set : supported_kernel_sets()) {
    for (size_t round = 0; round < 150; ++round) {
      const size_t dim = round < 80 ? round + 1 : 1 + random() % 1100;
      const size_t rows = 1 + random() % 9;
      const Unaligned base(rows * dim, random() % 4, random);
      const size_t query_count = 1 + random() % 14;
      const Unaligned query(query_count * dim, random() % 4, random);
      std::vector<uint32_t> ids(1 + random() % 12);
      for (uint32_t& id : ids) id = static_cast<uint32_t>(random() % rows);
      std::vector<const void*> queries;
      for (size_t q = 0; q < query_count; ++q) queries.push_back(query.data() + q * dim);
      const ElementKernels& floats = set->elements[0];
      const auto* bytes = reinterpret_cast<const uint8_t*>(base.data());
      const size_t stride = dim * sizeof(float);
      for (const Kernels* kernels : {&floats.l2_sq, &floats.inner_product}) {
        for (const bool by_id : {true, false}) {
          const size_t count = by_id ? ids.size() : rows;
          const uint32_t* list = by_id ? ids.data() : nullptr;
          std::vector<float> one(count);
          std::vector<float> many(query_count * count);
          std::vector<float> tiled(query_count * count);
          std::vector<float> packed((count + 3) / 4 * 4 * set->packed_floats(dim));
          std::vector<float> scratch(set->tile_queries * set->packed_floats(dim));
          kernels->rows(queries[0], bytes, stride, list, count, dim, one.data());
          kernels->block(queries.data(), query_count, bytes, stride, list, count, dim,
                         many.data());
          floats.pack(bytes, stride, list, count, dim, packed.data());
          kernels->packed(queries.data(), query_count, packed.data(), count, dim, scratch.data(),
                          tiled.data());
          for (size_t i = 0; i < count; ++i) {
            const float* row = base.data() + (by_id ? ids[i] : i) * dim;
            CHECK_EQ(bits_of(one[i]), bits_of(kernels->single(queries[0], row, dim)));
            for (size_t q = 0; q < query_count; ++q) {
              const float alone = kernels->single(queries[q], row, dim);
              CHECK_EQ(bits_of(many[q * count + i]), bits_of(alone));
              CHECK_EQ(bits_of(tiled[q * count + i]), bits_of(many[q * count + i]));
            }
          }
        }
      }
    }
  }
}

TEST(r21_scores_are_the_same_bits_from_every_entry_point) {
  std::mt19937_64 random(kSeed);
  for (const KernelSet* set : supported_kernel_sets()) {
    set_kernel_set_for_test(set);
    for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
      for (const size_t dim : {1u, 7u, 64u, 100u, 129u, 768u}) {
        constexpr size_t kRows = 21;
        const Unaligned base(kRows * dim, 0, random);
        const Unaligned query(RowBlock::kQueries * dim, 3, random);
        std::vector<float> norms(kRows);
        compute_inverse_norms(float_rows(base.data(), kRows, dim), norms.data());
        const RowView rows = float_rows(base.data(), kRows, dim, norms.data());
        const QuerySet queries = float_queries(query.data(), RowBlock::kQueries, dim, metric);
        std::vector<uint32_t> ids;
        for (uint32_t id = 0; id < kRows; ++id) ids.push_back(id);
        std::vector<float> many(RowBlock::kQueries * kRows);
        RowBlock block;
        block.assign(rows, metric, ids.data(), 0, kRows, RowBlock::kQueries);
        block.score(queries, 0, RowBlock::kQueries, many.data());
        for (size_t q = 0; q < RowBlock::kQueries; ++q) {
          const ExactScorer scorer = ExactScorer::make(rows, queries, q);
          std::vector<float> by_id(kRows);
          std::vector<float> by_range(kRows);
          scorer.score_ids(ids.data(), kRows, by_id.data());
          scorer.score_range(0, kRows, by_range.data());
          for (uint32_t i = 0; i < kRows; ++i) {
            const float one =
                score_one(metric, query.data() + q * dim, base.data() + i * dim, dim);
            CHECK_EQ(bits_of(one), bits_of(by_id[i]));
            CHECK_EQ(bits_of(one), bits_of(by_range[i]));
            CHECK_EQ(bits_of(one), bits_of(scorer.score(i)));
            CHECK_EQ(bits_of(one), bits_of(many[q * kRows + i]));
          }
        }
      }
    }
  }
  set_kernel_set_for_test(nullptr);
}

TEST(zero_vectors_have_cosine_0_and_equal_vectors_nearly_1) {
  const float zero[3] = {0, 0, 0};
  const float some[3] = {3, 0, 4};
  CHECK_EQ(inverse_norm(float_rows(zero, 1, 3), 0), 0.0f);
  CHECK_EQ(inverse_norm(float_rows(some, 1, 3), 0), 0.2f);
  CHECK_EQ(score_one(Metric::kCosine, some, zero, 3), 0.0f);
  CHECK(std::abs(score_one(Metric::kCosine, some, some, 3) - 1.0f) < 1e-6f);
}

// In every form, so for ranges too: a vector must find itself in (r, 1].
TEST(cosines_lie_between_minus_1_and_1_whatever_is_rounded) {
  std::mt19937_64 random(kSeed);
  for (const KernelSet* set : supported_kernel_sets()) {
    set_kernel_set_for_test(set);
    for (const size_t dim : {3u, 32u, 100u, 768u}) {
      constexpr size_t kRows = 60;
      std::normal_distribution<float> normal;
      std::vector<float> base(2 * kRows * dim);
      for (size_t i = 0; i < kRows * dim; ++i) {
        base[i] = normal(random);
        base[kRows * dim + i] = -base[i];
      }
      std::vector<float> norms(2 * kRows);
      compute_inverse_norms(float_rows(base.data(), 2 * kRows, dim), norms.data());
      const RowView rows = float_rows(base.data(), 2 * kRows, dim, norms.data());
      const QuerySet queries = float_queries(base.data(), kRows, dim, Metric::kCosine);
      std::vector<float> scores(2 * kRows);
      for (size_t q = 0; q < kRows; ++q) {
        ExactScorer::make(rows, queries, q).score_range(0, 2 * kRows, scores.data());
        for (const float score : scores) CHECK(score >= -1.0f && score <= 1.0f);
        CHECK(scores[q] > 1.0f - 1e-5f);
        CHECK(scores[kRows + q] < -1.0f + 1e-5f);
      }
    }
  }
  set_kernel_set_for_test(nullptr);
}

TEST(cosine_does_not_depend_on_lengths_from_1e_minus_38_to_1e_38) {
  const float direction[4] = {1, 0.5f, 0, -0.2f};
  const float expected = 1 / std::sqrt(1.29f);
  for (const float length : {1e-38f, 1e-30f, 1e-22f, 1e-12f, 1.0f, 1e18f, 1e20f, 1e30f, 1e38f}) {
    const float row[4] = {length, 0, 0, 0};
    const float score = score_one(Metric::kCosine, direction, row, 4);
    CHECK(std::abs(score - expected) < 1e-6f);
  }
  const float denormal[2] = {1e-42f, 0};
  CHECK_EQ(inverse_norm(float_rows(denormal, 1, 2), 0), 0.0f);
}

TEST(a_score_that_overflows_is_a_number_and_the_worst) {
  const float query[2] = {3e38f, 3e38f};
  const float row[2] = {3e38f, -3e38f};
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  CHECK_EQ(score_one(Metric::kIp, query, row, 2), -kInfinity);
  CHECK_EQ(score_one(Metric::kL2, query, row, 2), -kInfinity);
  CHECK_EQ(score_one(Metric::kCosine, query, row, 2), -1.0f);
}

TEST(clients_see_squared_l2_and_plain_similarity_never_minus_zero) {
  CHECK_EQ(client_score(Metric::kL2, -4.0f), 4.0f);
  CHECK_EQ(client_score(Metric::kIp, 4.0f), 4.0f);
  CHECK(!std::signbit(client_score(Metric::kL2, 0.0f)));
  CHECK(!std::signbit(client_score(Metric::kIp, -0.0f)));
  CHECK_EQ(internal_score(Metric::kL2, 4.0f), -4.0f);
}

CHECK_MAIN()
