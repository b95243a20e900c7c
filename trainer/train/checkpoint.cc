#include "trainer/train/checkpoint.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"

namespace bitlm::trainer {
namespace {

// magic, u64 length of the JSON header, header, arrays in its order, SHA-256 of all that as
// hexadecimal digits.
constexpr char kMagic[] = "BITLMCK1";
constexpr size_t kMagicBytes = 8;
constexpr size_t kDigestBytes = 64;

absl::Status Damaged(const std::string& path, const char* what) {
  return absl::DataLossError(absl::StrFormat("%s: damaged checkpoint: %s", path, what));
}

struct Contents {
  std::string bytes;  // But for the checksum at its end.
  nlohmann::json header;
  size_t arrays = 0;  // Where they begin.
};

absl::StatusOr<Contents> ReadContents(const std::string& path) {
  Contents contents;
  BITLM_ASSIGN_OR_RETURN(contents.bytes, ReadFile(path));
  std::string& bytes = contents.bytes;
  constexpr size_t kFixed = kMagicBytes + sizeof(uint64_t);
  if (bytes.size() < kFixed + kDigestBytes || bytes.compare(0, kMagicBytes, kMagic) != 0) {
    return Damaged(path, "no header");
  }
  const std::string digest = bytes.substr(bytes.size() - kDigestBytes);
  bytes.resize(bytes.size() - kDigestBytes);
  if (Sha256Hex(bytes) != digest) return Damaged(path, "checksum");
  uint64_t length;
  std::memcpy(&length, bytes.data() + kMagicBytes, sizeof(length));
  if (length > bytes.size() - kFixed) return Damaged(path, "header length");
  contents.header = nlohmann::json::parse(std::string_view(bytes).substr(kFixed, length), nullptr,
                                          /*allow_exceptions=*/false);
  const nlohmann::json& header = contents.header;
  if (!header.is_object() || !header.contains("arrays") || !header.contains("numbers") ||
      !header.contains("identity") || !header["identity"].is_string()) {
    return Damaged(path, "header");
  }
  contents.arrays = kFixed + length;
  return contents;
}

}  // namespace

absl::Status WriteCheckpoint(const std::string& path, const CheckpointView& view) {
  nlohmann::json header;
  header["identity"] = view.identity;
  header["numbers"] = view.numbers;
  header["arrays"] = nlohmann::json::array();
  size_t bytes = 0;
  for (const auto& [name, values] : view.arrays) {
    header["arrays"].push_back({{"name", name}, {"size", values.size()}});
    bytes += values.size_bytes();
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  std::string out;
  out.reserve(kMagicBytes + sizeof(length) + text.size() + bytes + kDigestBytes);
  out.append(kMagic, kMagicBytes);
  out.append(reinterpret_cast<const char*>(&length), sizeof(length));
  out.append(text);
  for (const auto& [name, values] : view.arrays) {
    out.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  out.append(Sha256Hex(out));
  return WriteFileAtomically(path, out);
}

absl::StatusOr<std::string> ReadCheckpointIdentity(const std::string& path) {
  BITLM_ASSIGN_OR_RETURN(const Contents contents, ReadContents(path));
  return contents.header["identity"].get<std::string>();
}

absl::Status ReadCheckpoint(const std::string& path, CheckpointView* view) {
  BITLM_ASSIGN_OR_RETURN(const Contents contents, ReadContents(path));
  const nlohmann::json& header = contents.header;
  if (header["identity"] != view->identity) {
    return absl::FailedPreconditionError(path +
                                         ": of another recipe, another text or another teacher; "
                                         "choose another directory or remove this one");
  }
  if (header["arrays"].size() != view->arrays.size()) {
    return absl::FailedPreconditionError(path +
                                         ": the checkpoint is of another network or optimizer");
  }
  size_t offset = contents.arrays;
  for (size_t i = 0; i < view->arrays.size(); ++i) {
    auto& [name, values] = view->arrays[i];
    if (header["arrays"][i]["name"] != name || header["arrays"][i]["size"] != values.size()) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "%s: the checkpoint has no array %s of %d values", path, name, values.size()));
    }
    if (values.size_bytes() > contents.bytes.size() - offset) return Damaged(path, "length");
    std::memcpy(values.data(), contents.bytes.data() + offset, values.size_bytes());
    offset += values.size_bytes();
  }
  if (offset != contents.bytes.size()) return Damaged(path, "length");
  view->numbers = header["numbers"].get<std::map<std::string, double>>();
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
