// RequestLog: a line for one request of so many, and for every one that the server failed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"

namespace bitlm {

// What ties the lines of a request to those of its caller.
struct RequestIdentity {
  std::string request_id;  // The caller's x-request-id, or one of our own.
  std::string trace_id;    // Of the caller's traceparent (W3C Trace Context); empty without one.
  std::string parent_id;
};

// The caller's ids as far as they are well-formed. `request_id`: 1 to 128 characters of A-Z a-z 0-9
// - . _ : /, otherwise a random one takes its place.
RequestIdentity ReadIdentity(std::string_view request_id, std::string_view traceparent);

// Thread-safe.
class RequestLog {
 public:
  // Logs one request of `every`; 0: only those that fail by the server's fault.
  explicit RequestLog(int64_t every) : every_(every) {}

  // A request has ended. The line never has its text: ids, method, code, time and peer.
  void OnEnd(const grpc::CallbackServerContext& context, std::string_view service,
             std::string_view method, grpc::StatusCode code, absl::Duration duration);

 private:
  const int64_t every_;
  std::atomic<uint64_t> count_ = 0;
};

}  // namespace bitlm
