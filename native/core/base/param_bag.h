// Parameters of an index or of a search in one, by name. They pass from the client's request to the
// index's own code unread: only that knows their names, bounds and defaults.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace elanus {

// A parameter that is a whole number, and what counts where it is not given.
struct WholeParam {
  const char* name;
  uint32_t min;
  uint32_t max;
  uint32_t fallback;
};

class ParamBag {
 public:
  using Value = std::variant<double, std::string>;

  ParamBag& set(std::string name, double number) {
    entries_.emplace_back(std::move(name), number);
    return *this;
  }
  ParamBag& set(std::string name, std::string text) {
    entries_.emplace_back(std::move(name), std::move(text));
    return *this;
  }
  // Null where it is not given.
  const Value* find(std::string_view name) const {
    for (const auto& [key, value] : entries_) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  // Errors: kInvalidParameter (no whole number, outside of the bounds).
  Status read(const WholeParam& param, uint32_t* out) const;
  // For those that were checked: what is outside of the bounds is brought inside.
  uint32_t get(const WholeParam& param) const;

 private:
  std::vector<std::pair<std::string, Value>> entries_;
};

}  // namespace elanus
