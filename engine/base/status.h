// Status macros and the bridges between std and absl string views.
#pragma once

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitlm {

// Debian's absl::string_view is not std::string_view and nothing converts between them. Our
// interfaces use the std one.
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }

}  // namespace bitlm

#define BITLM_CONCAT_INNER(a, b) a##b
#define BITLM_CONCAT(a, b) BITLM_CONCAT_INNER(a, b)

#define BITLM_RETURN_IF_ERROR(expr)                                                     \
  do {                                                                                  \
    if (absl::Status bitlm_status_ = (expr); !bitlm_status_.ok()) return bitlm_status_; \
  } while (false)

#define BITLM_ASSIGN_OR_RETURN(lhs, expr) \
  BITLM_ASSIGN_OR_RETURN_IMPL(BITLM_CONCAT(bitlm_statusor_, __LINE__), lhs, expr)
#define BITLM_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return std::move(tmp).status();    \
  lhs = std::move(tmp).value()
