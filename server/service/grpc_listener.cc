#include "server/service/grpc_listener.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/service/access.h"

namespace bitlm {
namespace {

// How long the calls of a connection that is too old may take to end: longer than any that this
// server computes.
constexpr int kConnectionAgeGraceMs = 600000;

void SetLimits(const ConnectionLimits& limits, grpc::ServerBuilder* builder) {
  const auto set = [builder](const char* name, int64_t value) {
    builder->AddChannelArgument(name, static_cast<int>(value));
  };
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams);
  set(GRPC_ARG_MAX_METADATA_SIZE, limits.max_metadata_bytes);
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, limits.handshake_timeout_ms);
  if (limits.max_connection_age_s > 0) {
    set(GRPC_ARG_MAX_CONNECTION_AGE_MS, limits.max_connection_age_s * 1000);
    set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kConnectionAgeGraceMs);
  }
  if (limits.max_connection_idle_s > 0) {
    set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, limits.max_connection_idle_s * 1000);
  }
  // A peer that is gone without a word is found, with calls or without.
  set(GRPC_ARG_KEEPALIVE_TIME_MS, limits.keepalive_time_s * 1000);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, limits.keepalive_timeout_s * 1000);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // A peer that pings more often is told so, and cut off.
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, limits.min_ping_interval_s * 1000);
  set(GRPC_ARG_HTTP2_MAX_PING_STRIKES, limits.min_ping_interval_s > 0 ? 2 : 0);
  if (limits.max_grpc_memory_mib > 0) {
    grpc::ResourceQuota quota("bitlm");
    quota.Resize(static_cast<size_t>(limits.max_grpc_memory_mib) << 20);
    builder->SetResourceQuota(quota);
  }
}

}  // namespace

std::string HostPort(const std::string& address, int port) {
  const bool ipv6 = address.find(':') != std::string::npos;
  return ipv6 ? absl::StrCat("[", address, "]:", port) : absl::StrCat(address, ":", port);
}

absl::StatusOr<GrpcListener> Listen(const GrpcListenerOptions& options,
                                    const std::vector<grpc::Service*>& services) {
  GrpcListener listener;
  grpc::ServerBuilder builder;
  const std::string target = HostPort(options.address, options.port);
  builder.AddListeningPort(target,
                           options.tls.enabled()
                               ? MakeTlsCredentials(options.tls, options.tls_reload_interval)
                               : grpc::InsecureServerCredentials(),
                           &listener.port);
  // Otherwise a second server on the same port starts, and silently shares it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  SetLimits(options.connections, &builder);
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder.SetMaxSendMessageSize(-1);
  // gRPC unpacks a message before it looks at its size: 4 MiB may become 4 GiB.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  if (options.tokens) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
    creators.push_back(MakeAccessInterceptor());
    builder.experimental().SetInterceptorCreators(std::move(creators));
  }
  for (grpc::Service* service : services) builder.RegisterService(service);
  listener.server = builder.BuildAndStart();
  if (listener.server == nullptr || listener.port == 0) {
    return absl::UnavailableError(absl::StrFormat(
        "%s: cannot listen on %s; is another server running? Port 0 takes a free one",
        options.flags, target));
  }
  return listener;
}

}  // namespace bitlm
