// Text for standard output: numbers with all their digits, fields of TSV, checked writing.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace bitlm::cli {

// The shortest decimal that reads back as the same number.
std::string Shortest(double value);
std::string Shortest(float value);

// `text` as a field of TSV: tab, newline, carriage return and backslash as \t, \n, \r, \\.
std::string TsvField(std::string_view text);

// Writes and flushes. Errors: UNKNOWN when standard output does not take it, as on a full disk.
absl::Status WriteOut(std::string_view text);

}  // namespace bitlm::cli
