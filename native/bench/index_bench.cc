// Measures flat scan, HNSW and IVF_FLAT on raw float32 files and prints one JSON object.
// usage: index_bench PREFIX DIM [--metric l2|ip|cosine] [--m 16] [--efc 200] [--k 10]
//                    [--build-threads 2] [--ef 16,32,64,128,256] [--threads 1,2] [--repeat 3]
//                    [--index FILE] [--skip flat,ivf]
// reads PREFIX.base and PREFIX.query (float32 rows) and PREFIX.gt (int32, 100 a query, best first);
// --index keeps the built graph between runs (else PREFIX.index is written and removed).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <sys/mman.h>

#include "index/registry.h"
#include "kernels/dispatch.h"
#include "read/flat_scan.h"

namespace elanus {
namespace {

constexpr size_t kTruthPerQuery = 100;

// A file's bytes in memory with 2 MiB pages.
class Floats {
 public:
  explicit Floats(const std::string& path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", path.c_str());
      std::exit(1);
    }
    bytes_ = static_cast<size_t>(file.tellg());
    data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(data_, bytes_, MADV_HUGEPAGE);
    file.seekg(0);
    file.read(static_cast<char*>(data_), static_cast<std::streamsize>(bytes_));
  }
  ~Floats() { munmap(data_, bytes_); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  template <typename T>
  const T* as() const {
    return static_cast<const T*>(data_);
  }
  size_t count() const { return bytes_ / 4; }

 private:
  void* data_;
  size_t bytes_;
};

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<size_t> numbers(const std::string& text) {
  std::vector<size_t> values;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) values.push_back(std::stoul(part));
  return values;
}

struct Data {
  RowView rows;
  const QuerySet* queries;
  const int32_t* truth;
  size_t k;
};

double recall(const Data& data, const std::vector<std::vector<Hit>>& hits) {
  size_t found = 0;
  for (size_t q = 0; q < hits.size(); ++q) {
    const int32_t* begin = data.truth + q * kTruthPerQuery;
    for (const Hit& hit : hits[q]) {
      found +=
          std::find(begin, begin + data.k, static_cast<int32_t>(hit.id)) != begin + data.k ? 1 : 0;
    }
  }
  return static_cast<double>(found) / static_cast<double>(hits.size() * data.k);
}

// Runs every query once, `threads` at a time; the best of `repeat` rounds as queries a second.
template <typename Search>
std::string measure(const Data& data, size_t threads, size_t repeat, const Search& search) {
  ThreadPool::Options options;
  options.threads = threads - 1;
  ThreadPool pool(options);
  std::vector<std::vector<Hit>> hits(data.queries->count());
  double best_s = 1e30;
  for (size_t round = 0; round < repeat; ++round) {
    const double start = now_s();
    pool.parallel_for(hits.size(), 4, [&](size_t begin, size_t end) {
      for (size_t q = begin; q < end; ++q) {
        TopK heap(data.k);
        search(q, heap);
        hits[q] = heap.take_sorted();
      }
    });
    best_s = std::min(best_s, now_s() - start);
  }
  char text[160];
  std::snprintf(text, sizeof(text), "\"threads\":%zu,\"recall\":%.5f,\"qps\":%.1f", threads,
                recall(data, hits), static_cast<double>(hits.size()) / best_s);
  return text;
}

[[noreturn]] void give_up(const Status& status) {
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

// Opens the index at the path, building it first when it is not there.
std::shared_ptr<const SectionFile> open_or_build(const std::string& path, const char* kind,
                                                 const IndexBuildParams& params, const Data& data,
                                                 size_t threads, double* seconds) {
  std::shared_ptr<const SectionFile> file;
  *seconds = 0;
  if (SectionFile::open(path, &file).is_ok()) return file;
  ThreadPool::Options options;
  options.threads = threads - 1;
  ThreadPool pool(options);
  IndexBuildControl control;
  control.pool = &pool;
  const double start = now_s();
  std::unique_ptr<SectionFileWriter> out;
  Status status = SectionFileWriter::create(path, nullptr, &out);
  if (status.is_ok()) {
    status = build_vector_index(*find_index_kind(kind), params, data.rows, control, out.get());
  }
  *seconds = now_s() - start;
  if (status.is_ok()) status = SectionFile::open(path, &file);
  if (!status.is_ok()) give_up(status);
  return file;
}

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: index_bench PREFIX DIM [--option value ...]\n");
    return 2;
  }
  std::map<std::string, std::string> options{{"--metric", "ip"},
                                             {"--m", "16"},
                                             {"--efc", "200"},
                                             {"--build-threads", "2"},
                                             {"--k", "10"},
                                             {"--threads", "1,2"},
                                             {"--repeat", "3"},
                                             {"--ef", "16,32,64,128,256"},
                                             {"--index", ""},
                                             {"--skip", ""},
                                             {"--nlist", "256"},
                                             {"--seed", "42"},
                                             {"--nprobe", "4,8,16,32"}};
  for (int i = 3; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
  const std::string prefix = argv[1];
  const size_t dim = std::stoul(argv[2]);
  const std::string metric_name = options["--metric"];
  const Metric metric = metric_name == "l2"   ? Metric::kL2
                        : metric_name == "ip" ? Metric::kIp
                                              : Metric::kCosine;
  const VectorType& type = *find_vector_type(DataType::kFloatVector);
  const Floats base(prefix + ".base");
  const Floats query(prefix + ".query");
  const Floats truth(prefix + ".gt");
  const size_t n = base.count() / dim;
  std::vector<float> inv_norms(n);
  const RowView rows = dense_rows(type, base.as<float>(), n, dim, inv_norms.data());
  compute_inverse_norms(rows, inv_norms.data());
  const QuerySet queries(type, dim, metric, query.as<float>(), query.count() / dim);
  const Data data{rows,
                  &queries,
                  truth.as<int32_t>(),
                  std::stoul(options["--k"])};
  const size_t repeat = std::stoul(options["--repeat"]);
  const auto is_skipped = [&](const char* name) {
    return options["--skip"].find(name) != std::string::npos;
  };
  std::printf("{\"kernels\":\"%s\",\"rows\":%zu,\"dim\":%zu,\"k\":%zu", kernels().name, n, dim,
              data.k);

  if (!is_skipped("flat")) {
    const size_t some = std::min<size_t>(queries.count(), 20);
    const double one_start = now_s();
    for (size_t q = 0; q < some; ++q) {
      TopK heap(data.k);
      flat_scan({data.rows, 0, nullptr, nullptr, nullptr}, queries.part(q, 1), &heap);
    }
    const double one_s = (now_s() - one_start) / static_cast<double>(some);
    std::vector<TopK> heaps(queries.count(), TopK(data.k));
    const double all_start = now_s();
    flat_scan({data.rows, 0, nullptr, nullptr, nullptr}, queries, heaps.data());
    const double all_s = now_s() - all_start;
    std::printf(",\n\"flat\":{\"qps_one\":%.1f,\"gb_per_s\":%.2f,\"qps_batched\":%.1f}", 1 / one_s,
                static_cast<double>(n * dim * 4) / one_s / 1e9,
                static_cast<double>(queries.count()) / all_s);
  }

  const auto sweep = [&](const char* name, std::shared_ptr<const SectionFile> file, double seconds,
                         const std::string& option) {
    const double bytes = static_cast<double>(file->bytes());
    std::unique_ptr<VectorIndex> index;
    const double start = now_s();
    const Status status = open_vector_index(std::move(file), data.rows, &index);
    if (!status.is_ok()) give_up(status);
    std::printf(",\n\"%s\":{\"build_s\":%.2f,\"open_us\":%.0f,\"bytes_per_row\":%.1f,\"points\":[",
                name, seconds, (now_s() - start) * 1e6, bytes / static_cast<double>(n));
    const char* separator = "\n";
    for (const size_t threads : numbers(options["--threads"])) {
      for (const size_t value : numbers(options[option])) {
        IndexSearchParams params;
        params.bag.set(option.substr(2), static_cast<double>(value));
        const std::string point = measure(data, threads, repeat, [&](size_t q, TopK& heap) {
          index->search(queries, q, params, nullptr, n, heap, SearchScratch::of_thread());
        });
        std::printf("%s{\"%s\":%zu,%s}", separator, option.c_str() + 2, value, point.c_str());
        separator = ",\n";
      }
    }
    std::printf("]}");
  };
  IndexBuildParams params;
  params.metric = metric;
  params.bag.set("M", std::stod(options["--m"]));
  params.bag.set("efConstruction", std::stod(options["--efc"]));
  params.bag.set("nlist", std::stod(options["--nlist"]));
  params.seed = std::stoul(options["--seed"]);
  const size_t build_threads = std::stoul(options["--build-threads"]);
  double seconds;
  const std::string kept = options["--index"];
  const std::string index_path = kept.empty() ? prefix + ".index" : kept;
  if (!is_skipped("hnsw")) {
    auto file = open_or_build(index_path, "HNSW", params, data, build_threads, &seconds);
    sweep("hnsw", std::move(file), seconds, "--ef");
    if (kept.empty()) std::remove(index_path.c_str());
  }
  if (!is_skipped("ivf")) {
    auto file =
        open_or_build(index_path + ".ivf", "IVF_FLAT", params, data, build_threads, &seconds);
    sweep("ivf_flat", std::move(file), seconds, "--nprobe");
    std::remove((index_path + ".ivf").c_str());
  }
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace elanus

int main(int argc, char** argv) { return elanus::run(argc, argv); }
