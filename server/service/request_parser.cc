#include "server/service/request_parser.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wire_format_lite.h>

#include <map>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/model/text_normalizer.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"
#include "server/service/errors.h"

namespace bitlm {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

std::string Flatten(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  std::string flat;
  if (!bytes.Dump(&slices).ok()) return flat;
  for (const grpc::Slice& slice : slices) {
    flat.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return flat;
}

}  // namespace

absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  grpc::ByteBuffer shared = bytes;  // The reader wants a mutable one; slices are shared.
  {
    grpc::ProtoBufferReader reader(&shared);
    if (reader.status().ok() && message->ParseFromZeroCopyStream(&reader)) {
      return absl::OkStatus();
    }
  }
  if (const auto found = FindInvalidString(*message->GetDescriptor(), Flatten(bytes))) {
    return InvalidField(found->field, absl::StrFormat("invalid UTF-8 at byte %d", found->position));
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("the request is not a valid %s", message->GetDescriptor()->full_name()));
}

int64_t CountFields(const grpc::ByteBuffer& bytes, int field_number) {
  using google::protobuf::internal::WireFormatLite;
  grpc::ByteBuffer shared = bytes;
  grpc::ProtoBufferReader reader(&shared);
  google::protobuf::io::CodedInputStream input(&reader);
  int64_t count = 0;
  while (const uint32_t tag = input.ReadTag()) {
    if (WireFormatLite::GetTagFieldNumber(tag) == field_number) ++count;
    if (!WireFormatLite::SkipField(&input, tag)) break;
  }
  return count;
}

std::optional<InvalidString> FindInvalidString(const Descriptor& type, std::string_view bytes) {
  UnknownFieldSet fields;
  if (!fields.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  std::map<int, size_t> counts;  // Of elements seen, by field number.
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    const FieldDescriptor* descriptor = type.FindFieldByNumber(field.number());
    const size_t index = counts[field.number()]++;
    if (descriptor == nullptr || field.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
    const std::string& value = field.length_delimited();
    const std::string name =
        descriptor->is_repeated() ? Element(descriptor->name(), index) : descriptor->name();
    if (descriptor->type() == FieldDescriptor::TYPE_STRING) {
      const size_t position = FindInvalidUtf8(value);
      if (position != std::string_view::npos) return InvalidString{name, position};
    } else if (descriptor->type() == FieldDescriptor::TYPE_MESSAGE) {
      if (auto found = FindInvalidString(*descriptor->message_type(), value)) {
        return InvalidString{name + "." + found->field, found->position};
      }
    }
  }
  return std::nullopt;
}

}  // namespace bitlm
