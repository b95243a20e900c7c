// SHA-256 of a byte string, for the checksums of model files.
#pragma once

#include <string>
#include <string_view>

namespace bitlm {

// 64 lower-case hexadecimal digits (FIPS 180-4).
std::string Sha256Hex(std::string_view bytes);

}  // namespace bitlm
