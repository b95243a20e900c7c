// UTF-8 validity (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace bitlm::client {

// The offset of the first byte that is not part of valid UTF-8, or npos.
size_t FindInvalidUtf8(std::string_view text);

}  // namespace bitlm::client
