#include "server/metrics/http_server.h"

#include <CivetServer.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bitlm {
namespace {

const char* Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 503:
      return "Service Unavailable";
  }
  return "Error";
}

void Write(mg_connection* connection, const HttpResponse& response, bool with_body) {
  const std::string head = absl::StrFormat(
      "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
      response.status, Reason(response.status), response.content_type, response.body.size());
  mg_write(connection, head.data(), head.size());
  if (with_body) mg_write(connection, response.body.data(), response.body.size());
}

// Handles every path, so that civetweb's own file serving never runs.
class Router : public CivetHandler {
 public:
  explicit Router(std::map<std::string, HttpHandler> handlers) : handlers_(std::move(handlers)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    return Handle(connection, /*with_body=*/true);
  }
  bool handleHead(CivetServer*, mg_connection* connection) override {
    return Handle(connection, /*with_body=*/false);
  }
  bool handlePost(CivetServer*, mg_connection* connection) override { return Refuse(connection); }
  bool handlePut(CivetServer*, mg_connection* connection) override { return Refuse(connection); }
  bool handleDelete(CivetServer*, mg_connection* connection) override { return Refuse(connection); }
  bool handlePatch(CivetServer*, mg_connection* connection) override { return Refuse(connection); }
  bool handleOptions(CivetServer*, mg_connection* connection) override {
    return Refuse(connection);
  }

 private:
  bool Handle(mg_connection* connection, bool with_body) {
    const auto handler = handlers_.find(mg_get_request_info(connection)->local_uri);
    Write(connection,
          handler != handlers_.end() ? handler->second() : HttpResponse{404, "text/plain", "404\n"},
          with_body);
    return true;
  }
  static bool Refuse(mg_connection* connection) {
    Write(connection, {405, "text/plain", "405\n"}, /*with_body=*/true);
    return true;
  }

  std::map<std::string, HttpHandler> handlers_;
};

class CivetHttpServer : public HttpServer {
 public:
  CivetHttpServer(const std::string& address, const std::vector<std::string>& options,
                  std::map<std::string, HttpHandler> handlers)
      : address_(address), router_(std::move(handlers)), server_(options) {
    server_.addHandler("", router_);
    ports_ = server_.getListeningPorts();
  }
  // civetweb sees that it shall stop only when its poll of 2 s ends or a connection comes, so we
  // are that connection.
  ~CivetHttpServer() override {
    std::atomic<bool> closed = false;
    std::thread closer([this, &closed] {
      server_.close();
      closed = true;
    });
    while (!closed) {
      char error[100];
      mg_connection* connection =
          mg_connect_client(address_.c_str(), port(), /*use_ssl=*/0, error, sizeof(error));
      if (connection != nullptr) mg_close_connection(connection);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    closer.join();
  }
  int port() const override { return ports_.empty() ? 0 : ports_.front(); }

 private:
  const std::string address_;
  Router router_;
  CivetServer server_;
  std::vector<int> ports_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const std::string& address, int port, std::map<std::string, HttpHandler> handlers) {
  const std::string bracketed =
      address.find(':') != std::string::npos ? absl::StrCat("[", address, "]") : address;
  const std::string target = absl::StrCat(bracketed, ":", port);
  const std::vector<std::string> options = {
      "listening_ports",    target,  "num_threads",       "4",
      "request_timeout_ms", "10000", "enable_keep_alive", "no"};
  try {
    return std::unique_ptr<HttpServer>(new CivetHttpServer(address, options, std::move(handlers)));
  } catch (const std::exception&) {
    return absl::UnavailableError(
        absl::StrCat("--http-address, --http-port: cannot listen on ", target,
                     "; is another server running? Port 0 takes a free one"));
  }
}

}  // namespace bitlm
