// UnaryCall: one RPC from its arrival to its end.
#pragma once

#include <google/protobuf/message.h>

#include <atomic>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/batching/batch_scheduler.h"
#include "server/metrics/server_metrics.h"
#include "server/service/access.h"
#include "server/service/pending_answers.h"
#include "server/service/request_log.h"

namespace bitlm {

// What all calls need. Outlives them.
struct CallEnvironment {
  BatchScheduler* scheduler = nullptr;
  ServerMetrics* metrics = nullptr;
  PendingAnswers* pending = nullptr;
  RequestLog* log = nullptr;
  const Tokens* tokens = nullptr;  // Null: callers need none.
  // Calls that have begun and not ended, and how many there may be.
  std::atomic<int64_t>* in_flight = nullptr;
  int64_t max_in_flight = 0;
};

// The reactor of a unary RPC. Owns itself: deleted in OnDone. Exactly one of Succeed and Fail is
// called, from any thread; a call with a task gets it from the task's completion, which the
// scheduler guarantees, also after a cancellation. Thread-compatible otherwise.
class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  // `response` is gRPC's, filled by Succeed. The names live as long as the program.
  UnaryCall(const CallEnvironment& environment, grpc::CallbackServerContext* context,
            grpc::ByteBuffer* response, std::string_view service, std::string_view method);

  // Whether the call may go on, told before anything is spent on it. Errors: UNAUTHENTICATED;
  // RESOURCE_EXHAUSTED when there are too many.
  absl::Status Admit() const;

  absl::Time deadline() const { return absl::FromChrono(context_->deadline()); }

  // Queues `task`, whose completion ends this call; ends it at once when the queue refuses. Nothing
  // of the call may be touched afterwards.
  void Run(std::shared_ptr<Task> task);
  // Ends the call; a RESOURCE_EXHAUSTED with the time after which to try again.
  void Succeed(const google::protobuf::Message& response);
  void Fail(const absl::Status& status);

 private:
  // Gives the task up, so that its completion ends the call early: with DEADLINE_EXCEEDED when the
  // deadline is the reason.
  void OnCancel() override;
  void OnDone() override;
  void End(const grpc::Status& status);

  CallEnvironment environment_;
  grpc::CallbackServerContext* context_;
  grpc::ByteBuffer* response_;
  std::string_view service_;
  std::string_view method_;
  absl::Time started_ = absl::Now();
  std::shared_ptr<Task> task_;  // Set before it is queued, never changed.
  bool pending_ = false;        // Counted in environment_.pending.
  std::atomic<bool> late_ = false;
  grpc::StatusCode code_ = grpc::StatusCode::UNKNOWN;
};

}  // namespace bitlm
