// GrpcListener: one listening port of gRPC, with its limits, its credentials and its services.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "grpcpp/server.h"
#include "server/config/server_config.h"
#include "server/service/tls.h"

namespace bitlm {

struct GrpcListenerOptions {
  std::string address;
  int port = 0;       // 0 takes a free one.
  std::string flags;  // For messages: "--grpc-address, --grpc-port".
  TlsFiles tls;
  absl::Duration tls_reload_interval = absl::Seconds(10);
  bool tokens = false;  // Whether methods that no table names are cut off.
  ConnectionLimits connections;
  int64_t max_message_bytes = 4 << 20;
};

struct GrpcListener {
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

// "127.0.0.1:50051", "[::1]:50051".
std::string HostPort(const std::string& address, int port);

// Listens. The services outlive the result. Errors: UNAVAILABLE when the address cannot be bound.
absl::StatusOr<GrpcListener> Listen(const GrpcListenerOptions& options,
                                    const std::vector<grpc::Service*>& services);

}  // namespace bitlm
