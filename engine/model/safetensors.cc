#include "engine/model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/model/json.h"

namespace bitlm {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kDataAlignment = 64;
constexpr std::string_view kMetadataKey = "__metadata__";

uint64_t ReadLittleEndian64(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    value |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  }
  return value;
}

std::string LittleEndian64(uint64_t value) {
  std::string bytes;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    bytes.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  }
  return bytes;
}

// A proven header entry: where in the data section the tensor's bytes lie.
struct Entry {
  const TensorSpec* spec;
  int64_t begin;
  int64_t end;
};

class HeaderParser {
 public:
  HeaderParser(std::span<const TensorSpec> specs, std::string_view source)
      : specs_(specs), source_(source) {}

  // Splits off the header of a file of `file_bytes` bytes that begins with `file`; `data_offset` is
  // where the data section starts.
  absl::StatusOr<Json> ParseJson(std::string_view file, uint64_t file_bytes,
                                 size_t* data_offset) const {
    if (file.size() < kLengthBytes) {
      return Error(absl::StrFormat("header length: %d bytes in the file, expected at least %d",
                                   file_bytes, kLengthBytes));
    }
    const uint64_t length = ReadLittleEndian64(file);
    const uint64_t limit =
        std::min<uint64_t>(file_bytes - kLengthBytes, kMaxSafetensorsHeaderBytes);
    if (length > limit) {
      return Error(absl::StrFormat("header length: %d bytes, expected at most %d", length, limit));
    }
    *data_offset = kLengthBytes + length;
    const std::string_view header = file.substr(kLengthBytes, length);
    if (!header.starts_with('{')) return Error("header: expected \"{\" as the first byte");
    return ParseJsonObject(header, absl::StrFormat("%s: header", source_));
  }

  // Entries in the order of their data, proven to cover [0, data_bytes) once.
  absl::StatusOr<std::vector<Entry>> ParseEntries(const Json& header, int64_t data_bytes) const {
    std::vector<Entry> entries;
    for (const auto& item : header.items()) {
      const std::string& name = item.key();
      if (name == kMetadataKey) {
        BITLM_RETURN_IF_ERROR(CheckMetadata(header));
        continue;
      }
      const auto spec = std::find_if(specs_.begin(), specs_.end(),
                                     [&](const TensorSpec& s) { return s.name == name; });
      if (spec == specs_.end()) {
        return JsonReader(header, source_ + ": header", "")
            .Error(name, "not a tensor that config.json asks for");
      }
      BITLM_ASSIGN_OR_RETURN(Entry entry, ParseEntry(item.value(), *spec, data_bytes));
      entries.push_back(entry);
    }
    for (const TensorSpec& spec : specs_) {
      if (!header.contains(spec.name)) return TensorError(spec, "missing");
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.begin < b.begin; });
    int64_t expected = 0;
    for (const Entry& entry : entries) {
      if (entry.begin != expected) {
        return TensorError(*entry.spec, absl::StrFormat("data_offsets start at %d, expected %d",
                                                        entry.begin, expected));
      }
      expected = entry.end;
    }
    if (expected != data_bytes) {
      return Error(absl::StrFormat("data: %d bytes after the header, the tensors have %d",
                                   data_bytes, expected));
    }
    return entries;
  }

  absl::Status Error(std::string_view message) const {
    return absl::DataLossError(absl::StrFormat("%s: %s", source_, message));
  }

 private:
  absl::Status TensorError(const TensorSpec& spec, std::string_view message) const {
    return Error(absl::StrFormat("tensor \"%s\": %s", spec.name, message));
  }

  // Free text by key, which other tools may add and we ignore.
  absl::Status CheckMetadata(const Json& header) const {
    JsonReader root(header, source_ + ": header", "");
    BITLM_RETURN_IF_ERROR(root.Object(kMetadataKey).status());
    for (const auto& [key, value] : header.at(std::string(kMetadataKey)).items()) {
      if (!value.is_string()) {
        return root.Error(kMetadataKey, absl::StrFormat("expected only strings"));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Entry> ParseEntry(const Json& value, const TensorSpec& spec,
                                   int64_t data_bytes) const {
    const std::string where = absl::StrFormat("%s: tensor \"%s\"", source_, spec.name);
    if (!value.is_object()) return TensorError(spec, "expected an object");
    JsonReader reader(value, where, "");
    BITLM_RETURN_IF_ERROR(
        reader.CheckKeys(std::vector<std::string>{"dtype", "shape", "data_offsets"}));
    BITLM_ASSIGN_OR_RETURN(const std::string dtype, reader.String("dtype"));
    if (dtype != ToString(spec.dtype)) {
      return reader.Error("dtype", absl::StrFormat("not the expected %s", ToString(spec.dtype)));
    }
    BITLM_ASSIGN_OR_RETURN(const std::vector<int64_t> shape, Integers(reader, "shape"));
    if (shape != spec.shape) {
      return TensorError(spec, absl::StrFormat("shape %s, expected %s", ShapeString(shape),
                                               ShapeString(spec.shape)));
    }
    BITLM_ASSIGN_OR_RETURN(const std::vector<int64_t> offsets, Integers(reader, "data_offsets"));
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes) {
      return TensorError(
          spec, absl::StrFormat("data_offsets %s, expected [begin, end] in the %d bytes of data",
                                ShapeString(offsets), data_bytes));
    }
    if (static_cast<uint64_t>(offsets[1] - offsets[0]) != spec.bytes()) {
      return TensorError(spec, absl::StrFormat("data_offsets: %d bytes, expected %d",
                                               offsets[1] - offsets[0], spec.bytes()));
    }
    return Entry{&spec, offsets[0], offsets[1]};
  }

  // A short array of integers in [0, 2^63).
  static absl::StatusOr<std::vector<int64_t>> Integers(const JsonReader& reader,
                                                       std::string_view key) {
    constexpr size_t kMaxRank = 8;
    BITLM_ASSIGN_OR_RETURN(const Json* array, reader.Array(key));
    if (array->size() > kMaxRank) return reader.Error(key, "too many numbers");
    std::vector<int64_t> values;
    for (const Json& element : *array) {
      if (!element.is_number_unsigned() ||
          element.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
        return reader.Error(key, "expected integers of 0 to 2^63 - 1");
      }
      values.push_back(element.get<int64_t>());
    }
    return values;
  }

  std::span<const TensorSpec> specs_;
  std::string source_;
};

}  // namespace

absl::StatusOr<TensorMap> ParseSafetensors(std::string_view file, std::span<const TensorSpec> specs,
                                           std::string_view source) {
  const HeaderParser parser(specs, source);
  size_t data_offset = 0;
  BITLM_ASSIGN_OR_RETURN(const Json header, parser.ParseJson(file, file.size(), &data_offset));
  const std::string_view data = file.substr(data_offset);
  BITLM_ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                         parser.ParseEntries(header, static_cast<int64_t>(data.size())));
  TensorMap tensors;
  for (const Entry& entry : entries) {
    Tensor tensor = MakeTensor(entry.spec->dtype, entry.spec->shape);
    std::memcpy(tensor.bytes.data(), data.data() + entry.begin,
                static_cast<size_t>(entry.end - entry.begin));
    if (absl::Status status = CheckTensor(*entry.spec, tensor); !status.ok()) {
      return parser.Error(ToStd(status.message()));
    }
    tensors.emplace(entry.spec->name, std::move(tensor));
  }
  return tensors;
}

absl::Status CheckSafetensorsHeader(std::string_view prefix, uint64_t file_bytes,
                                    std::span<const TensorSpec> specs, std::string_view source) {
  const HeaderParser parser(specs, source);
  size_t data_offset = 0;
  BITLM_ASSIGN_OR_RETURN(const Json header, parser.ParseJson(prefix, file_bytes, &data_offset));
  return parser.ParseEntries(header, static_cast<int64_t>(file_bytes - data_offset)).status();
}

uint64_t SafetensorsHeaderBytes(std::string_view first) {
  if (first.size() < kLengthBytes) return kLengthBytes;
  const uint64_t length = ReadLittleEndian64(first);
  return length > kMaxSafetensorsHeaderBytes ? kLengthBytes : kLengthBytes + length;
}

std::string SerializeSafetensors(const TensorMap& tensors) {
  std::vector<TensorMap::const_iterator> order;
  for (auto it = tensors.begin(); it != tensors.end(); ++it) order.push_back(it);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return ElementBytes(a->second.dtype) > ElementBytes(b->second.dtype);
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  size_t offset = 0;
  for (const auto& it : order) {
    const auto& [name, tensor] = *it;
    const size_t end = offset + tensor.bytes.size();
    header[name] = {{"dtype", ToString(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  while ((kLengthBytes + text.size()) % kDataAlignment != 0) text.push_back(' ');
  std::string file = LittleEndian64(text.size()) + text;
  file.reserve(file.size() + offset);
  for (const auto& it : order) {
    const AlignedBuffer<std::byte>& bytes = it->second.bytes;
    file.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return file;
}

}  // namespace bitlm
