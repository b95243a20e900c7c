// The errors that requests can get, each with a name, and their way into gRPC.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"

namespace bitlm {

// INVALID_ARGUMENT, "`field`: `problem`"; clients get the field in a google.rpc.BadRequest too.
absl::Status InvalidField(std::string_view field, std::string_view problem);

// INVALID_ARGUMENT: a field holds `count` of something where a limit (named as in bitlm.v1.Limits)
// allows fewer.
absl::Status OverLimit(std::string_view field, std::string_view what, int64_t count,
                       std::string_view limit_name, int64_t limit);

// INVALID_ARGUMENT: a field's value is outside [low, high].
absl::Status OutOfRange(std::string_view field, int64_t value, int64_t low, int64_t high);

// FAILED_PRECONDITION: a field asks for self-normalized scores of a model that has not been trained
// for them.
absl::Status NotSelfNormalized(std::string_view field);

// "sentences[3]".
std::string Element(std::string_view field, size_t index);

// The same code and message. An INVALID_ARGUMENT, NOT_FOUND or FAILED_PRECONDITION whose message
// begins with a field's path ("sentences[3]: ...") carries a google.rpc.Status with a
// google.rpc.BadRequest as its details.
grpc::Status ToGrpcStatus(const absl::Status& status);

// "INVALID_ARGUMENT", as metrics and logs call a code.
std::string_view CodeName(grpc::StatusCode code);

}  // namespace bitlm
