#include "base/param_bag.h"

#include <algorithm>
#include <cmath>

namespace elanus {

Status ParamBag::read(const WholeParam& param, uint32_t* out) const {
  *out = param.fallback;
  const Value* value = find(param.name);
  if (value == nullptr) return Status::ok();
  const double* number = std::get_if<double>(value);
  if (number == nullptr || *number != std::floor(*number) || *number < param.min ||
      *number > param.max) {
    return {StatusCode::kInvalidParameter,
            std::string(param.name) + " must be a whole number from " + std::to_string(param.min) +
                " to " + std::to_string(param.max)};
  }
  *out = static_cast<uint32_t>(*number);
  return Status::ok();
}

uint32_t ParamBag::get(const WholeParam& param) const {
  const Value* value = find(param.name);
  const double* number = value == nullptr ? nullptr : std::get_if<double>(value);
  if (number == nullptr || std::isnan(*number)) return param.fallback;
  return static_cast<uint32_t>(std::clamp<double>(*number, param.min, param.max));
}

}  // namespace elanus
