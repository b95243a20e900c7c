// Parses request messages, with an error that names the field.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/support/byte_buffer.h"

namespace bitlm {

// Parses `bytes` into `message`. Left to itself, gRPC answers a message that does not parse without
// asking the service, and protobuf refuses one whose strings are not UTF-8 without saying which.
// Errors: INVALID_ARGUMENT, "sentences[3]: invalid UTF-8 at byte 17" or "the request is not a
// valid bitlm.v1.ScoreSentencesRequest".
absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

// How often a field stands at the top level of a serialized message, told without making anything
// of it. Of bytes that are not a message: of what comes before the first fault.
int64_t CountFields(const grpc::ByteBuffer& bytes, int field_number);

struct InvalidString {
  std::string field;    // "sentences[3]", "options.name".
  size_t position = 0;  // Byte of the string.
};
// The first string field of a serialized message of type `type` that is not valid UTF-8. Nothing
// when there is none, or when the bytes are not a message at all.
std::optional<InvalidString> FindInvalidString(const google::protobuf::Descriptor& type,
                                               std::string_view bytes);

}  // namespace bitlm
