#include "server/service/errors.h"

#include <google/protobuf/unknown_field_set.h>

#include "absl/strings/str_format.h"

namespace bitlm {
namespace {

using google::protobuf::UnknownFieldSet;

std::string Serialize(const UnknownFieldSet& message) {
  std::string bytes;
  message.SerializeToString(&bytes);
  return bytes;
}

// The path that a message begins with, "sentences[3]"; empty if it begins otherwise.
std::string_view FieldPath(std::string_view message) {
  const size_t end = message.find_first_not_of(
      "abcdefghijklmnopqrstuvwxyz_.[]0123456789");  // Field names are lower case.
  if (end == std::string_view::npos || message.substr(end, 2) != ": ") return {};
  return message.substr(0, end);
}

// google.rpc.Status {1: code, 2: message, 3: Any {1: type_url, 2: google.rpc.BadRequest {
// 1: FieldViolation {1: field, 2: description}}}}, by field number: Debian has no package with the
// generated classes, and five numbers that never change do not deserve a copy of the protos.
std::string BadRequestDetails(const absl::Status& status, std::string_view message) {
  const std::string_view field = FieldPath(message);
  if (field.empty()) return "";
  UnknownFieldSet violation;
  violation.AddLengthDelimited(1, std::string(field));
  violation.AddLengthDelimited(2, std::string(message.substr(field.size() + 2)));
  UnknownFieldSet bad_request;
  bad_request.AddLengthDelimited(1, Serialize(violation));
  UnknownFieldSet any;
  any.AddLengthDelimited(1, "type.googleapis.com/google.rpc.BadRequest");
  any.AddLengthDelimited(2, Serialize(bad_request));
  UnknownFieldSet rpc_status;
  rpc_status.AddVarint(1, static_cast<uint64_t>(status.code()));
  rpc_status.AddLengthDelimited(2, std::string(message));
  rpc_status.AddLengthDelimited(3, Serialize(any));
  return Serialize(rpc_status);
}

}  // namespace

absl::Status InvalidField(std::string_view field, std::string_view problem) {
  return absl::InvalidArgumentError(absl::StrFormat("%s: %s", field, problem));
}

absl::Status OverLimit(std::string_view field, std::string_view what, int64_t count,
                       std::string_view limit_name, int64_t limit) {
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: %d %s, more than %s (%d)", field, count, what, limit_name, limit));
}

absl::Status OutOfRange(std::string_view field, int64_t value, int64_t low, int64_t high) {
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: %d, must be from %d to %d", field, value, low, high));
}

absl::Status NotSelfNormalized(std::string_view field) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "%s: the model was not trained for it, its option self_normalized is false", field));
}

std::string Element(std::string_view field, size_t index) {
  return absl::StrFormat("%s[%d]", field, index);
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message(status.message());
  std::string details;
  if (absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
      absl::IsFailedPrecondition(status)) {
    details = BadRequestDetails(status, message);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message, details);
}

std::string_view CodeName(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return "OK";
    case grpc::StatusCode::CANCELLED:
      return "CANCELLED";
    case grpc::StatusCode::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::StatusCode::NOT_FOUND:
      return "NOT_FOUND";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case grpc::StatusCode::FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case grpc::StatusCode::INTERNAL:
      return "INTERNAL";
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    default:
      return "UNKNOWN";
  }
}

}  // namespace bitlm
