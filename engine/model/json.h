// Strict JSON for files that nobody vouches for: config.json and the headers of safetensors.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bitlm {

// Objects are sorted maps: nlohmann's ordered_json takes quadratic time on many keys.
using Json = nlohmann::json;

// Parses one JSON object (RFC 8259, UTF-8). Stricter than nlohmann::json: no repeated keys, at most
// 16 levels deep. `source` prefixes messages. Errors: DATA_LOSS with line and column.
absl::StatusOr<Json> ParseJsonObject(std::string_view text, std::string_view source);

// Typed access to the members of one JSON object, each error naming source and the member's path:
// `config.json: files.vocab.txt.bytes: expected an integer`. Keeps a pointer to `object`.
class JsonReader {
 public:
  // `path` is the object's own ("" for the root).
  JsonReader(const Json& object, std::string_view source, std::string path);

  // Errors: DATA_LOSS when the object has a key that is not listed, or lacks one that is.
  absl::Status CheckKeys(std::span<const std::string> keys) const;

  bool Has(std::string_view key) const;
  // The member `key` as a type. Errors: DATA_LOSS when it is missing, of another type, not an
  // integer inside [low, high], or not finite.
  absl::StatusOr<const Json*> Member(std::string_view key) const;
  absl::StatusOr<JsonReader> Object(std::string_view key) const;
  absl::StatusOr<const Json*> Array(std::string_view key) const;
  absl::StatusOr<std::string> String(std::string_view key) const;
  absl::StatusOr<bool> Bool(std::string_view key) const;
  absl::StatusOr<int64_t> Integer(std::string_view key, int64_t low, int64_t high) const;
  absl::StatusOr<double> Number(std::string_view key) const;

  // DATA_LOSS "<source>: <path of key>: <message>".
  absl::Status Error(std::string_view key, std::string_view message) const;

 private:
  std::string PathOf(std::string_view key) const;

  const Json* object_;
  std::string source_;
  std::string path_;
};

}  // namespace bitlm
