#include "engine/model/json.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"

namespace bitlm {
namespace {

constexpr size_t kMaxDepth = 16;

// Enough of a key to find it; a damaged one may be long or unprintable.
std::string Printable(std::string_view key) {
  std::string out;
  for (char c : key.substr(0, 64)) out.push_back(c >= ' ' && c <= '~' ? c : '?');
  return out;
}

std::string Position(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const size_t column = 1 + before.size() - (newline == std::string_view::npos ? 0 : newline + 1);
  return absl::StrFormat("line %d, column %d", line, column);
}

// Walks a document without building it, and stops at the first fault.
class Validator : public nlohmann::json_sax<Json> {
 public:
  Validator(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  absl::Status status() const { return status_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }

  bool start_object(size_t) override {
    keys_.emplace_back();
    return CheckDepth();
  }
  bool end_object() override {
    keys_.pop_back();
    return true;
  }
  bool start_array(size_t) override {
    keys_.emplace_back();
    return CheckDepth();
  }
  bool end_array() override {
    keys_.pop_back();
    return true;
  }
  bool key(string_t& key) override {
    last_key_ = key;
    if (keys_.back().insert(key).second) return true;
    status_ = absl::DataLossError(absl::StrFormat("%s: %s: repeated key", source_, Quote(key)));
    return false;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // 406: a number that no double holds; every other fault is one of syntax.
    const char* what = error.id == 406 ? "number out of range" : "not valid JSON";
    // nlohmann counts from 1 and has read one character too far.
    status_ = absl::DataLossError(absl::StrFormat(
        "%s: %s: %s", source_, Position(text_, position == 0 ? 0 : position - 1), what));
    return false;
  }

 private:
  static std::string Quote(std::string_view key) { return "\"" + Printable(key) + "\""; }

  bool CheckDepth() {
    if (keys_.size() <= kMaxDepth) return true;
    status_ = absl::DataLossError(absl::StrFormat("%s: %s: nested more than %d levels deep",
                                                  source_, Quote(last_key_), kMaxDepth));
    return false;
  }

  std::string_view text_;
  std::string_view source_;
  std::vector<std::set<std::string>> keys_;  // Of each open object; empty for an array.
  std::string last_key_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Json> ParseJsonObject(std::string_view text, std::string_view source) {
  Validator validator(text, source);
  const bool valid = Json::sax_parse(text.begin(), text.end(), &validator);
  if (!validator.status().ok()) return validator.status();
  Json document = valid ? Json::parse(text.begin(), text.end(), nullptr, false) : Json();
  if (!document.is_object()) {
    return absl::DataLossError(absl::StrFormat("%s: line 1: expected a JSON object", source));
  }
  return document;
}

JsonReader::JsonReader(const Json& object, std::string_view source, std::string path)
    : object_(&object), source_(source), path_(std::move(path)) {}

std::string JsonReader::PathOf(std::string_view key) const {
  return (path_.empty() ? "" : path_ + ".") + Printable(key);
}

absl::Status JsonReader::Error(std::string_view key, std::string_view message) const {
  return absl::DataLossError(absl::StrFormat("%s: %s: %s", source_, PathOf(key), message));
}

absl::Status JsonReader::CheckKeys(std::span<const std::string> keys) const {
  for (const auto& [key, value] : object_->items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) return Error(key, "unknown key");
  }
  for (const std::string& key : keys) BITLM_RETURN_IF_ERROR(Member(key).status());
  return absl::OkStatus();
}

bool JsonReader::Has(std::string_view key) const {
  return object_->find(std::string(key)) != object_->end();
}

absl::StatusOr<const Json*> JsonReader::Member(std::string_view key) const {
  const auto found = object_->find(std::string(key));
  if (found == object_->end()) return Error(key, "missing");
  return &*found;
}

absl::StatusOr<JsonReader> JsonReader::Object(std::string_view key) const {
  BITLM_ASSIGN_OR_RETURN(const Json* member, Member(key));
  if (!member->is_object()) return Error(key, "expected an object");
  return JsonReader(*member, source_, PathOf(key));
}

absl::StatusOr<const Json*> JsonReader::Array(std::string_view key) const {
  BITLM_ASSIGN_OR_RETURN(const Json* member, Member(key));
  if (!member->is_array()) return Error(key, "expected an array");
  return member;
}

absl::StatusOr<std::string> JsonReader::String(std::string_view key) const {
  BITLM_ASSIGN_OR_RETURN(const Json* member, Member(key));
  if (!member->is_string()) return Error(key, "expected a string");
  return member->get_ref<const std::string&>();
}

absl::StatusOr<bool> JsonReader::Bool(std::string_view key) const {
  BITLM_ASSIGN_OR_RETURN(const Json* member, Member(key));
  if (!member->is_boolean()) return Error(key, "expected true or false");
  return member->get<bool>();
}

absl::StatusOr<int64_t> JsonReader::Integer(std::string_view key, int64_t low, int64_t high) const {
  BITLM_ASSIGN_OR_RETURN(const Json* member, Member(key));
  if (!member->is_number_integer()) return Error(key, "expected an integer");
  // Above the signed range the value is unsigned and does not fit an int64_t.
  const bool huge =
      member->is_number_unsigned() && member->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t value = huge ? INT64_MAX : member->get<int64_t>();
  if (huge || value < low || value > high) {
    return Error(key, absl::StrFormat("%s, expected %d to %d", member->dump(), low, high));
  }
  return value;
}

absl::StatusOr<double> JsonReader::Number(std::string_view key) const {
  BITLM_ASSIGN_OR_RETURN(const Json* member, Member(key));
  if (!member->is_number()) return Error(key, "expected a number");
  const double value = member->get<double>();
  if (!std::isfinite(value)) return Error(key, "expected a finite number");
  return value;
}

}  // namespace bitlm
