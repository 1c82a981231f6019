// The result of an operation that can fail: a code of the server's error table and a message. No
// exceptions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace elanus {

enum class StatusCode : int32_t {
  kOk = 0,
  kMemoryLimit = 3,         // a reservation or allocation was refused
  kInternal = 5,            // an invariant does not hold
  kDiskLimit = 7,           // the disk or its quota is full
  kDataIntegrity = 1009,    // a file or message does not have the form it must have
  kInvalidParameter = 1100, // the request's content is wrong
  kTooLarge = 1102,         // what was asked for passes a limit of the request
  kIo = 1001,               // the operating system refused a file operation
  kCanceled = 10000,        // the caller gave up
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}
  static Status ok() { return {}; }
  bool is_ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

}  // namespace elanus
