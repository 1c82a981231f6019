// Merging the answers of several participants. Short merges are done at once, as short reads are;
// long ones must not hold the event loop (P9).
#include <cstring>
#include <memory>
#include <vector>

#include "functions.h"
#include "js.h"
#include "runtime.h"
#include "read/reduce_lists.h"

namespace elanus {
namespace {

// A merge of so many rows takes some 60 us.
constexpr double kShortRows = 600;

template <typename T>
napi_value numbers(napi_env env, napi_typedarray_type type, const std::vector<T>& values) {
  const size_t bytes = values.size() * sizeof(T);
  auto copy = std::make_unique_for_overwrite<uint8_t[]>(bytes + 1);
  if (bytes != 0) std::memcpy(copy.get(), values.data(), bytes);
  const napi_value buffer = js::array_buffer(env, std::move(copy), bytes);
  return buffer == nullptr ? nullptr : js::typed_array(env, type, values.size(), buffer, 0);
}

class ReduceJob final : public Job {
 public:
  explicit ReduceJob(const Runtime& runtime) : cancel_(runtime.shutdown()) {}

  bool read(napi_env env, napi_value lists, napi_value what) {
    uint32_t count = 0;
    if (napi_get_array_length(env, lists, &count) != napi_ok)
      return js::refuse(env, "lists", "an array");
    for (uint32_t i = 0; i < count; ++i) {
      napi_value list = nullptr;
      napi_get_element(env, lists, i, &list);
      Pinned& pinned = *pinned_.emplace_back(std::make_unique<Pinned>());
      if (!pinned.read(env, list)) return false;
      lists_.push_back({pinned.rows.bytes(), pinned.counts.bytes(), pinned.scores.bytes()});
    }
    return js::read_property(env, what, "keyFieldId", &what_.key_field, js::read_int64) &&
           js::read_property(env, what, "nq", &what_.nq, js::read_size) &&
           js::read_property(env, what, "offset", &what_.offset, js::read_size) &&
           js::read_property(env, what, "limit", &what_.limit, js::read_size) &&
           js::read(env, js::get(env, what, "smallerFirst"), "smallerFirst",
                    &what_.smaller_first) &&
           js::read(env, js::get(env, what, "addsUp"), "addsUp", &what_.adds_up) &&
           js::read(env, js::get(env, what, "rows"), "rows", &rows_);
  }

  bool is_short() const { return rows_ <= kShortRows; }

  Status run(ThreadPool*) override { return reduce_lists(lists_, what_, &cancel_, &reduced_); }

  napi_value result(napi_env env) override {
    const napi_value counts = numbers(env, napi_int32_array, reduced_.counts);
    const napi_value scores = numbers(env, napi_float32_array, reduced_.scores);
    const napi_value rows = numbers(env, napi_uint32_array, reduced_.rows);
    if (counts == nullptr || scores == nullptr || rows == nullptr) return nullptr;
    napi_value result = nullptr;
    napi_create_object(env, &result);
    js::set(env, result, "counts", counts);
    js::set(env, result, "scores", scores);
    js::set(env, result, "rows", rows);
    return result;
  }

 private:
  struct Pinned {
    js::PinnedBytes rows;
    js::PinnedBytes counts;
    js::PinnedBytes scores;

    bool read(napi_env env, napi_value list) {
      return rows.pin(env, js::get(env, list, "rows"), "rows") &&
             counts.pin(env, js::get(env, list, "counts"), "counts") &&
             scores.pin(env, js::get(env, list, "scores"), "scores");
    }
  };

  const CancelToken cancel_;
  std::vector<std::unique_ptr<Pinned>> pinned_;
  std::vector<AnswerList> lists_;
  Reduction what_;
  double rows_ = 0;  // of all lists
  ReducedRows reduced_;
};

napi_value reduce(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  Runtime& runtime = Runtime::of(env);
  auto job = std::make_unique<ReduceJob>(runtime);
  if (!job->read(env, args[0], args[1])) return nullptr;
  return job->is_short() ? runtime.run_here(std::move(job))
                         : runtime.start(std::move(job), Runtime::Pool::kSearch);
}

}  // namespace

void add_merge_functions(napi_env env, napi_value exports) {
  add_functions(env, exports, {{"reduce", reduce}});
}

}  // namespace elanus
