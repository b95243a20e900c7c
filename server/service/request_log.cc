#include "server/service/request_log.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "server/logging.h"
#include "server/service/errors.h"

namespace bitlm {
namespace {

constexpr size_t kMaxRequestId = 128;

bool IsHex(std::string_view text) {  // Lower case, as the standard has it.
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '0'; });
}

bool IsRequestId(std::string_view text) {
  return !text.empty() && text.size() <= kMaxRequestId &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  std::string_view("-._:/").find(c) != std::string_view::npos;
         });
}

// Random, so that ids of several servers differ.
std::string NewRequestId() {
  thread_local std::mt19937_64 random((uint64_t{std::random_device()()} << 32) |
                                      std::random_device()());
  return absl::StrFormat("%016x", random());
}

// W3C Trace Context, version 00; a later version begins as that does.
void ReadTraceparent(std::string_view text, RequestIdentity* identity) {
  constexpr size_t kLength = 55;  // version-trace-parent-flags: 2, 32, 16 and 2 digits.
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return;
  const std::string_view version = text.substr(0, 2), trace = text.substr(3, 32),
                         parent = text.substr(36, 16), flags = text.substr(53, 2);
  if (!IsHex(version) || !IsHex(trace) || !IsHex(parent) || !IsHex(flags)) return;
  if (version == "ff" || IsZero(trace) || IsZero(parent)) return;
  if (text.size() > kLength && (version == "00" || text[kLength] != '-')) return;
  identity->trace_id = trace;
  identity->parent_id = parent;
}

// The only value of a key, or nothing.
std::string_view Find(const grpc::CallbackServerContext& context, const char* key) {
  const auto [begin, end] = context.client_metadata().equal_range(key);
  if (begin == end || std::next(begin) != end) return {};
  return {begin->second.data(), begin->second.size()};
}

// By the server's fault, not by the request's or the load's.
bool IsOurs(grpc::StatusCode code) {
  return code == grpc::StatusCode::INTERNAL || code == grpc::StatusCode::UNKNOWN ||
         code == grpc::StatusCode::DATA_LOSS;
}

}  // namespace

RequestIdentity ReadIdentity(std::string_view request_id, std::string_view traceparent) {
  RequestIdentity identity;
  identity.request_id = IsRequestId(request_id) ? std::string(request_id) : NewRequestId();
  ReadTraceparent(traceparent, &identity);
  return identity;
}

void RequestLog::OnEnd(const grpc::CallbackServerContext& context, std::string_view service,
                       std::string_view method, grpc::StatusCode code, absl::Duration duration) {
  const bool error = IsOurs(code);
  const bool sampled = every_ > 0 && count_.fetch_add(1) % static_cast<uint64_t>(every_) == 0;
  if (!error && !sampled) return;
  const RequestIdentity identity =
      ReadIdentity(Find(context, "x-request-id"), Find(context, "traceparent"));
  std::vector<LogField> fields = {
      {"request_id", identity.request_id, false},
      {"method", std::string(service).append("/").append(method), false},
      {"code", std::string(CodeName(code)), false},
      {"duration_ms", absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(duration)), true},
      {"peer", context.peer(), false}};
  if (!identity.trace_id.empty()) {
    fields.push_back({"trace_id", identity.trace_id, false});
    fields.push_back({"parent_id", identity.parent_id, false});
  }
  LogFields(error, "request", fields);
}

}  // namespace bitlm
