// HttpServer: the small HTTP side of bitlm-server, for Prometheus, probes and people.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace bitlm {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Makes the answer to a GET of one path. Called from several threads.
using HttpHandler = std::function<HttpResponse()>;

// Serves GET and HEAD of exact paths; anything else is 404 or 405. Stops when destroyed.
class HttpServer {
 public:
  // Port 0 takes a free one. Errors: UNAVAILABLE when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const std::string& address, int port, std::map<std::string, HttpHandler> handlers);
  virtual ~HttpServer() = default;

  virtual int port() const = 0;
};

}  // namespace bitlm
