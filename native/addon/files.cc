// Checking files: what should be in one, and the checksum of a part of one. Nothing here maps one.
#include <memory>
#include <string>
#include <vector>

#include "functions.h"
#include "js.h"
#include "runtime.h"
#include "io/file_check.h"

namespace elanus {
namespace {

class ListJob final : public Job {
 public:
  explicit ListJob(std::string path) : path_(std::move(path)) {}

  Status run(ThreadPool*) override { return list_checks(path_, &checks_); }

  napi_value result(napi_env env) override {
    napi_value list = nullptr;
    napi_create_array_with_length(env, checks_.size(), &list);
    for (size_t i = 0; i < checks_.size(); ++i) {
      const FileCheck& check = checks_[i];
      napi_value item = nullptr;
      napi_create_object(env, &item);
      js::set(env, item, "name", js::string(env, check.name));
      js::set(env, item, "offset", js::number(env, static_cast<double>(check.offset)));
      js::set(env, item, "bytes", js::number(env, static_cast<double>(check.bytes)));
      js::set(env, item, "crc32c", js::number(env, check.crc));
      napi_set_element(env, list, static_cast<uint32_t>(i), item);
    }
    return list;
  }

 private:
  std::string path_;
  std::vector<FileCheck> checks_;
};

napi_value list_index_file_checks(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  std::string path;
  if (!js::read(env, args[0], "path", &path)) return nullptr;
  return Runtime::of(env).start(std::make_unique<ListJob>(std::move(path)),
                                Runtime::Pool::kFile);
}

class CrcJob final : public Job {
 public:
  explicit CrcJob(const CancelToken& cancel) : cancel_(cancel) {}

  bool read(napi_env env, const js::Arguments<4>& args) {
    return js::read(env, args[0], "path", &path_) &&
           js::read_size(env, args[1], "offset", &offset_) &&
           js::read_size(env, args[2], "length", &length_) &&
           js::read(env, args[3], "seed", &crc_);
  }
  Status run(ThreadPool*) override {
    return crc32c_of_file(path_, offset_, length_, &cancel_, &crc_);
  }
  napi_value result(napi_env env) override { return js::number(env, crc_); }

 private:
  CancelToken cancel_;
  std::string path_;
  uint64_t offset_ = 0;
  uint64_t length_ = 0;
  uint32_t crc_ = 0;
};

napi_value crc_of_file(napi_env env, napi_callback_info info) {
  const js::Arguments<4> args(env, info);
  Runtime& runtime = Runtime::of(env);
  auto job = std::make_unique<CrcJob>(runtime.shutdown());
  if (!job->read(env, args)) return nullptr;
  return runtime.start(std::move(job), Runtime::Pool::kBuild);
}

}  // namespace

void add_file_functions(napi_env env, napi_value exports) {
  add_functions(env, exports,
                {{"listIndexFileChecks", list_index_file_checks}, {"crc32cOfFile", crc_of_file}});
}

}  // namespace elanus
