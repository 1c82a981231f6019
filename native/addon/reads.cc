// Search and query: the request is read on the JavaScript thread, the work is done on the search
// threads. Work of a few microseconds over growing segments is done at once: a wake-up would cost
// more.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "functions.h"
#include "handles.h"
#include "js.h"
#include "runtime.h"
#include "filter/leaf.h"
#include "read/query.h"
#include "read/search.h"

namespace elanus {
namespace {

// Below this a read is done on the JavaScript thread.
constexpr double kShortReadNs = 60'000;
constexpr double kScanNs = 0.1;    // a float of a row
constexpr double kFilterNs = 30;   // a row through a filter
constexpr double kGatherNs = 60;   // an output value
constexpr double kCopyNs = 0.25;   // a byte of an output value, through a batch to JavaScript
constexpr double kLookupNs = 200;  // a primary key
constexpr double kDecodeNs = 3;    // a byte of a filter's plan

// What a read may touch and copy.
struct ReadSize {
  double rows = 0;
  double row_bytes = 0;  // of the output fields and the key, at most
};

// Growing segments only: the JavaScript thread never reads mapped bytes, which may be cold (R16).
bool are_all_growing(const std::vector<std::shared_ptr<const Segment>>& segments,
                     std::vector<int64_t> output_fields, ReadSize* size) {
  if (!segments.empty()) output_fields.push_back(segments[0]->schema().primary_key().field_id);
  for (const auto& segment : segments) {
    if (!segment->is_growing()) return false;
    const auto& growing = static_cast<const GrowingSegment&>(*segment);
    size->rows += static_cast<double>(growing.stats().rows);
    size->row_bytes =
        std::max(size->row_bytes, static_cast<double>(growing.row_bytes_max(output_fields)));
  }
  return true;
}

// A row of the output.
double gather_ns(size_t output_fields, double row_bytes) {
  return kGatherNs * static_cast<double>(2 + output_fields) + kCopyNs * row_bytes;
}

// The bounds of a request; none without the property.
bool read_bounds(napi_env env, napi_value request, ReadBounds* bounds) {
  const napi_value value = js::get(env, request, "bounds");
  if (js::is_undefined(env, value)) return true;
  return js::read_property(env, value, "replyBytesMax", &bounds->reply_bytes_max, js::read_size) &&
         js::read_property(env, value, "spareRows", &bounds->spare_rows, js::read_size) &&
         js::read_property(env, value, "gatherBytesMax", &bounds->gather_bytes_max, js::read_size);
}

// A filter of the request.
class PlanBytes {
 public:
  bool read(napi_env env, napi_value request) {
    const napi_value value = js::get(env, request, "plan");
    if (js::is_undefined(env, value)) return true;
    is_given_ = true;
    return bytes_.pin(env, value, "plan");
  }
  // `out` gets null without a filter.
  Status decode(const Plan** out) {
    *out = is_given_ ? &plan_ : nullptr;
    if (!is_given_) return Status::ok();
    if (!decoded_.has_value()) decoded_ = Plan::decode(bytes_.bytes(), &plan_);
    return *decoded_;
  }
  // What the filter costs over these rows of growing segments; of one that surely is not short, no
  // more than that. A plan that is wrong costs nothing besides: reading it says so.
  double cost_ns(const std::vector<std::shared_ptr<const Segment>>& segments, double rows) {
    if (!is_given_) return 0;
    const double least =
        kDecodeNs * static_cast<double>(bytes_.bytes().size()) + rows * kFilterNs;
    const Plan* plan = nullptr;
    if (least > kShortReadNs || !decode(&plan).is_ok()) return least;
    const double row_ns = row_ns_max(plan->root(), [&](int64_t field_id) {
      size_t bytes = 0;
      for (const auto& segment : segments) {
        const auto& growing = static_cast<const GrowingSegment&>(*segment);
        bytes = std::max(bytes, growing.row_bytes_max({&field_id, 1}));
      }
      return bytes;
    });
    return least + rows * std::max(0.0, row_ns - kFilterNs);
  }

 private:
  bool is_given_ = false;
  js::PinnedBytes bytes_;
  Plan plan_;
  std::optional<Status> decoded_;
};

// A read's token, registered for as long as the job lives.
class ReadToken {
 public:
  ReadToken(Runtime& runtime, double id)
      : runtime_(runtime), id_(id), token_(runtime.begin_job(id)) {}
  ~ReadToken() { runtime_.end_job(id_); }
  ReadToken(const ReadToken&) = delete;
  ReadToken& operator=(const ReadToken&) = delete;

  const CancelToken& get() const { return token_; }

 private:
  Runtime& runtime_;
  const double id_;
  const CancelToken token_;
};

class SearchJob final : public Job {
 public:
  SearchJob(Runtime& runtime, double job_id) : cancel_(runtime, job_id) {}

  bool read(napi_env env, napi_value segments, napi_value request) {
    std::string metric;
    uint32_t nq = 0;
    uint32_t k = 0;
    const bool is_read =
        open_segments(env, segments, &segments_) &&
        js::read_property(env, request, "fieldId", &request_.field_id, js::read_int64) &&
        js::read(env, js::get(env, request, "metric"), "metric", &metric) &&
        read_metric(env, metric) && js::read(env, js::get(env, request, "nq"), "nq", &nq) &&
        js::read(env, js::get(env, request, "k"), "k", &k) &&
        queries_.pin(env, js::get(env, request, "queries"), "queries") &&
        plan_.read(env, request) &&
        js::read_property(env, request, "readTimestamp", &request_.read_ts, js::read_uint64) &&
        js::read_bag(env, js::get(env, request, "indexParams"), "indexParams",
                     &request_.params) &&
        read_bound(env, request, "radius", &request_.radius) &&
        read_bound(env, request, "rangeFilter", &request_.range_filter) &&
        read_bounds(env, request, &request_.bounds) &&
        js::read_field_ids(env, js::get(env, request, "outputFieldIds"), "outputFieldIds",
                           &request_.output_fields);
    if (!is_read) return false;
    request_.nq = nq;
    request_.k = k;
    request_.queries = queries_.bytes();
    return true;
  }

  bool is_short() {
    ReadSize size;
    if (!are_all_growing(segments_, request_.output_fields, &size)) return false;
    const double rows = size.rows;
    // Of all queries, whatever an element is.
    const double elements = static_cast<double>(request_.queries.size() / sizeof(float));
    const double hits =
        std::min(rows, static_cast<double>(request_.k)) * static_cast<double>(request_.nq);
    const double cost = plan_.cost_ns(segments_, rows) + rows * elements * kScanNs +
                        hits * gather_ns(request_.output_fields.size(), size.row_bytes);
    return cost <= kShortReadNs;
  }

  Status run(ThreadPool* pool) override {
    if (Status status = plan_.decode(&request_.plan); !status.is_ok()) return status;
    Status status = search_segments(segments_, request_, pool, &cancel_.get(), &result_);
    // Not on the JavaScript thread: it may free a segment that was closed meanwhile.
    segments_.clear();
    return status;
  }

  napi_value result(napi_env env) override {
    const size_t counts_bytes = result_.counts.size() * sizeof(int32_t);
    const size_t scores_bytes = result_.scores.size() * sizeof(float);
    // Scores and counts share one buffer.
    auto numbers = std::make_unique_for_overwrite<uint8_t[]>(scores_bytes + counts_bytes + 1);
    if (scores_bytes != 0) std::memcpy(numbers.get(), result_.scores.data(), scores_bytes);
    if (counts_bytes != 0)
      std::memcpy(numbers.get() + scores_bytes, result_.counts.data(), counts_bytes);
    const napi_value buffer =
        js::array_buffer(env, std::move(numbers), scores_bytes + counts_bytes);
    const napi_value rows = js::uint8_array(env, std::move(result_.rows.data), result_.rows.size);
    if (buffer == nullptr || rows == nullptr) return nullptr;
    napi_value result = nullptr;
    napi_create_object(env, &result);
    js::set(env, result, "counts",
            js::typed_array(env, napi_int32_array, result_.counts.size(), buffer, scores_bytes));
    js::set(env, result, "scores",
            js::typed_array(env, napi_float32_array, result_.scores.size(), buffer, 0));
    js::set(env, result, "rows", rows);
    js::set(env, result, "visibleRows", js::number(env, static_cast<double>(result_.visible_rows)));
    return result;
  }

 private:
  bool read_metric(napi_env env, const std::string& name) {
    const MetricTraits* metric = find_metric(name);
    if (metric == nullptr) return js::refuse(env, "metric", "the name of a metric");
    request_.metric = metric->metric;
    return true;
  }
  static bool read_bound(napi_env env, napi_value request, const char* name,
                         std::optional<float>* out) {
    const napi_value value = js::get(env, request, name);
    if (js::is_undefined(env, value)) return true;
    double bound = 0;
    if (!js::read(env, value, name, &bound)) return false;
    *out = static_cast<float>(bound);
    return true;
  }

  std::vector<std::shared_ptr<const Segment>> segments_;
  SearchRequest request_;
  js::PinnedBytes queries_;
  PlanBytes plan_;
  ReadToken cancel_;
  SearchResult result_;
};

class QueryJob final : public Job {
 public:
  QueryJob(Runtime& runtime, double job_id) : cancel_(runtime, job_id) {}

  bool read(napi_env env, napi_value segments, napi_value request) {
    if (!open_segments(env, segments, &segments_) || !plan_.read(env, request)) return false;
    const napi_value keys = js::get(env, request, "keys");
    if (!js::is_undefined(env, keys)) {
      if (!keys_.read(env, keys, "keys")) return false;
      request_.keys = keys_.span();
    }
    return js::read_property(env, request, "readTimestamp", &request_.read_ts, js::read_uint64) &&
           js::read_property(env, request, "limit", &request_.limit, js::read_size) &&
           js::read(env, js::get(env, request, "countOnly"), "countOnly", &request_.count_only) &&
           read_bounds(env, request, &request_.bounds) &&
           js::read_field_ids(env, js::get(env, request, "outputFieldIds"), "outputFieldIds",
                              &request_.output_fields);
  }

  bool is_short() {
    ReadSize size;
    if (!are_all_growing(segments_, request_.output_fields, &size)) return false;
    const double rows = size.rows;
    double found = rows;
    double cost = plan_.cost_ns(segments_, rows);
    if (request_.keys.has_value()) {
      found = std::min(rows, static_cast<double>(request_.keys->size()));
      cost += kLookupNs * static_cast<double>(segments_.size() * request_.keys->size());
    } else {
      cost += rows * kGatherNs;
    }
    if (request_.limit != 0) found = std::min(found, static_cast<double>(request_.limit));
    if (!request_.count_only)
      cost += found * gather_ns(request_.output_fields.size(), size.row_bytes);
    return cost <= kShortReadNs;
  }

  Status run(ThreadPool* pool) override {
    if (Status status = plan_.decode(&request_.plan); !status.is_ok()) return status;
    Status status = query_segments(segments_, request_, pool, &cancel_.get(), &result_);
    segments_.clear();
    return status;
  }

  napi_value result(napi_env env) override {
    const napi_value rows = js::uint8_array(env, std::move(result_.rows.data), result_.rows.size);
    if (rows == nullptr) return nullptr;
    napi_value result = nullptr;
    napi_create_object(env, &result);
    js::set(env, result, "count", js::number(env, static_cast<double>(result_.count)));
    js::set(env, result, "rows", rows);
    return result;
  }

 private:
  std::vector<std::shared_ptr<const Segment>> segments_;
  QueryRequest request_;
  js::Keys keys_;
  PlanBytes plan_;
  ReadToken cancel_;
  QueryResult result_;
};

template <typename ReadJob>
napi_value read(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  Runtime& runtime = Runtime::of(env);
  double job_id = 0;
  const napi_value id = js::get(env, args[1], "jobId");
  if (!js::is_undefined(env, id) && !js::read(env, id, "jobId", &job_id)) return nullptr;
  auto job = std::make_unique<ReadJob>(runtime, job_id);
  if (!job->read(env, args[0], args[1])) return nullptr;
  return job->is_short() ? runtime.run_here(std::move(job))
                         : runtime.start(std::move(job), Runtime::Pool::kSearch);
}

}  // namespace

void add_read_functions(napi_env env, napi_value exports) {
  add_functions(env, exports, {{"search", read<SearchJob>}, {"query", read<QueryJob>}});
}

}  // namespace elanus
