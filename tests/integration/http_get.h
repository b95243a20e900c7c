// A minimal HTTP GET, so that tests do not depend on the server's HTTP library.
#pragma once

#include <string>

namespace bitlm {

// The whole answer, head and body, of 127.0.0.1:`port`; empty when nothing answers.
std::string HttpGet(int port, const std::string& path);

}  // namespace bitlm
