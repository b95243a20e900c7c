#include "server/service/unary_call.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_format.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/proto_buffer_writer.h"
#include "server/service/errors.h"

namespace bitlm {
namespace {

RejectReason Reason(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
      return RejectReason::kNotFound;
    case absl::StatusCode::kResourceExhausted:
      return RejectReason::kQueueFull;
    case absl::StatusCode::kDeadlineExceeded:
      return RejectReason::kDeadline;
    case absl::StatusCode::kUnavailable:
      return RejectReason::kDraining;
    case absl::StatusCode::kUnauthenticated:
      return RejectReason::kUnauthenticated;
    default:
      return RejectReason::kInvalid;
  }
}

}  // namespace

UnaryCall::UnaryCall(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                     grpc::ByteBuffer* response, std::string_view service, std::string_view method)
    : environment_(environment),
      context_(context),
      response_(response),
      service_(service),
      method_(method) {
  ++*environment_.in_flight;
  environment_.metrics->OnCallStarted(service_, method_);
}

absl::Status UnaryCall::Admit() const {
  if (*environment_.in_flight > environment_.max_in_flight) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "more than max_requests_in_flight (%d) at a time", environment_.max_in_flight));
  }
  if (environment_.tokens == nullptr) return absl::OkStatus();
  return environment_.tokens->Check(context_->client_metadata());
}

void UnaryCall::Run(std::shared_ptr<Task> task) {
  task_ = std::move(task);
  pending_ = true;
  environment_.pending->Begin();
  const absl::Status status = environment_.scheduler->Schedule(task_);
  if (status.ok()) return;
  pending_ = false;
  environment_.pending->End();
  Fail(status);
}

void UnaryCall::Succeed(const google::protobuf::Message& response) {
  bool own_buffer = false;
  End(grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(
      response, response_, &own_buffer));
}

void UnaryCall::Fail(const absl::Status& status) {
  if (absl::IsCancelled(status) && late_) {
    return Fail(absl::DeadlineExceededError("the deadline passed before the request was computed"));
  }
  if (absl::IsResourceExhausted(status)) {
    // gRPC's retries wait this long, the reader of the trailers as well.
    const absl::Duration wait = std::clamp(environment_.scheduler->EstimatedWait() / 2,
                                           absl::Milliseconds(10), absl::Seconds(5));
    context_->AddTrailingMetadata("grpc-retry-pushback-ms",
                                  std::to_string(absl::ToInt64Milliseconds(wait)));
  }
  if (!absl::IsCancelled(status)) environment_.metrics->OnRejected(Reason(status));
  End(ToGrpcStatus(status));
}

void UnaryCall::End(const grpc::Status& status) {
  code_ = status.error_code();
  Finish(status);
}

void UnaryCall::OnCancel() {
  if (task_ == nullptr) return;
  // gRPC cancels what is late. A client may do so a little earlier than this server: timeouts are
  // rounded up on their way, by one in a hundred at most, and count from the arrival.
  const absl::Duration early = (deadline() - started_) / 100 + absl::Milliseconds(20);
  late_ = absl::Now() >= deadline() - early;
  environment_.scheduler->Cancel(task_);
}

void UnaryCall::OnDone() {
  const absl::Duration duration = absl::Now() - started_;
  environment_.metrics->OnCallHandled(service_, method_, CodeName(code_), duration);
  environment_.log->OnEnd(*context_, service_, method_, code_, duration);
  --*environment_.in_flight;
  if (pending_) environment_.pending->End();
  delete this;
}

}  // namespace bitlm
