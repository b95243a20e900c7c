#include "engine/model/config_json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/model/json.h"
#include "engine/model/model_config_options.h"
#include "engine/model/text_normalizer.h"

namespace bitlm {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kSha256Digits = 64;
// A quote inside a JSON string is escaped, so this cannot occur inside a value.
constexpr std::string_view kSealPrefix = "\"config_sha256\": \"";

// Where the 64 digits of the seal start, or npos.
size_t FindSeal(std::string_view text) {
  const size_t prefix = text.find(kSealPrefix);
  if (prefix == std::string_view::npos) return prefix;
  const size_t digits = prefix + kSealPrefix.size();
  const bool whole = text.size() > digits + kSha256Digits && text[digits + kSha256Digits] == '"';
  return whole ? digits : std::string_view::npos;
}

bool IsSha256(std::string_view digits) {
  return digits.size() == kSha256Digits &&
         digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// What is wrong with a text of metadata or a golden sentence, or empty.
std::string FindTextFault(std::string_view text) {
  if (const size_t offset = FindInvalidUtf8(text); offset != std::string_view::npos) {
    return absl::StrFormat("not valid UTF-8 at byte %d", offset);
  }
  if (text.find('\0') != std::string_view::npos) return "NUL inside the text";
  return "";
}

std::string FindGoldenFault(const GoldenSentence& sentence) {
  if (std::string fault = FindTextFault(sentence.text); !fault.empty()) return "text: " + fault;
  const auto words = SplitWords(sentence.text, NormalizationKind::kNone);
  if (!words.ok() || absl::StrJoin(*words, " ") != sentence.text) {
    return "text: expected words separated by single spaces";
  }
  if (!std::isfinite(sentence.logprob) || sentence.logprob > 0) {
    return "logprob: expected a finite number, at most 0";
  }
  return "";
}

// What is wrong with the values (not the types) of a manifest, as "field: fault", or empty.
std::string FindFault(const Manifest& manifest) {
  if (absl::Status status = ValidateConfig(manifest.config); !status.ok()) {
    return "network." + std::string(status.message());
  }
  const ModelMetadata& metadata = manifest.metadata;
  for (const auto& [field, text] :
       {std::pair("name", &metadata.name), std::pair("corpus", &metadata.corpus),
        std::pair("license", &metadata.license), std::pair("recipe", &metadata.recipe)}) {
    if (std::string fault = FindTextFault(*text); !fault.empty()) {
      return absl::StrFormat("metadata.%s: %s", field, fault);
    }
  }
  if (metadata.protocol != "sentence" && metadata.protocol != "document") {
    return "metadata.protocol: expected \"sentence\" or \"document\"";
  }
  if (!std::isfinite(metadata.valid_perplexity) || metadata.valid_perplexity < 0) {
    return "metadata.valid_perplexity: expected a finite number, at least 0";
  }
  if (metadata.training_tokens < 0) return "metadata.training_tokens: expected at least 0";
  if (manifest.golden.size() > kMaxGoldenSentences) {
    return absl::StrFormat("golden: %d sentences, expected at most %d", manifest.golden.size(),
                           kMaxGoldenSentences);
  }
  for (size_t i = 0; i < manifest.golden.size(); ++i) {
    if (std::string fault = FindGoldenFault(manifest.golden[i]); !fault.empty()) {
      return absl::StrFormat("golden[%d].%s", i, fault);
    }
  }
  return "";
}

OrderedJson NetworkToJson(const ModelConfig& config) {
  OrderedJson network = OrderedJson::object();
  VisitConfigOptions(config, [&](std::string_view name, const auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_enum_v<Field>) {
      network[std::string(name)] = ToString(field);
    } else if constexpr (std::is_same_v<Field, int>) {
      if (field != 0 || !IsOptionalOption(name)) network[std::string(name)] = field;
    } else {
      network[std::string(name)] = field;
    }
  });
  return network;
}

absl::StatusOr<ModelConfig> ParseNetwork(const JsonReader& reader) {
  ModelConfig config;
  absl::Status status;
  const auto parse = [&](std::string_view name, auto& field) -> absl::Status {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, int>) {
      BITLM_ASSIGN_OR_RETURN(
          const int64_t value,
          reader.Integer(name, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
      field = static_cast<int>(value);
    } else if constexpr (std::is_same_v<Field, bool>) {
      BITLM_ASSIGN_OR_RETURN(field, reader.Bool(name));
    } else {
      BITLM_ASSIGN_OR_RETURN(const std::string value, reader.String(name));
      if (absl::Status set = SetConfigOption(name, value, &config); !set.ok()) {
        // The message starts with "<name>: ".
        return reader.Error(name, ToStd(set.message()).substr(name.size() + 2));
      }
    }
    return absl::OkStatus();
  };
  std::vector<std::string> names;
  VisitConfigOptions(config, [&](std::string_view name, auto& field) {
    if (IsOptionalOption(name) && !reader.Has(name)) return;
    names.emplace_back(name);
    if (status.ok()) status = parse(name, field);
  });
  BITLM_RETURN_IF_ERROR(status);
  BITLM_RETURN_IF_ERROR(reader.CheckKeys(names));
  return config;
}

absl::StatusOr<ModelMetadata> ParseMetadata(const JsonReader& reader) {
  ModelMetadata metadata;
  BITLM_RETURN_IF_ERROR(reader.CheckKeys(std::vector<std::string>{
      "name", "corpus", "license", "recipe", "protocol", "valid_perplexity", "training_tokens"}));
  BITLM_ASSIGN_OR_RETURN(metadata.name, reader.String("name"));
  BITLM_ASSIGN_OR_RETURN(metadata.corpus, reader.String("corpus"));
  BITLM_ASSIGN_OR_RETURN(metadata.license, reader.String("license"));
  BITLM_ASSIGN_OR_RETURN(metadata.recipe, reader.String("recipe"));
  BITLM_ASSIGN_OR_RETURN(metadata.protocol, reader.String("protocol"));
  BITLM_ASSIGN_OR_RETURN(metadata.valid_perplexity, reader.Number("valid_perplexity"));
  BITLM_ASSIGN_OR_RETURN(metadata.training_tokens,
                         reader.Integer("training_tokens", 0, std::numeric_limits<int64_t>::max()));
  return metadata;
}

absl::StatusOr<FileRecord> ParseFileRecord(const JsonReader& files, std::string_view name) {
  BITLM_ASSIGN_OR_RETURN(const JsonReader reader, files.Object(name));
  BITLM_RETURN_IF_ERROR(reader.CheckKeys(std::vector<std::string>{"bytes", "sha256"}));
  FileRecord record;
  BITLM_ASSIGN_OR_RETURN(const int64_t bytes,
                         reader.Integer("bytes", 0, std::numeric_limits<int64_t>::max()));
  record.bytes = static_cast<uint64_t>(bytes);
  BITLM_ASSIGN_OR_RETURN(record.sha256, reader.String("sha256"));
  if (!IsSha256(record.sha256)) {
    return reader.Error("sha256", "expected 64 lower-case hexadecimal digits");
  }
  return record;
}

absl::StatusOr<std::vector<GoldenSentence>> ParseGolden(const JsonReader& root,
                                                        std::string_view source) {
  BITLM_ASSIGN_OR_RETURN(const Json* array, root.Array("golden"));
  if (array->size() > kMaxGoldenSentences) {
    return root.Error("golden", absl::StrFormat("%d sentences, expected at most %d", array->size(),
                                                kMaxGoldenSentences));
  }
  std::vector<GoldenSentence> golden;
  for (size_t i = 0; i < array->size(); ++i) {
    const std::string path = absl::StrFormat("golden[%d]", i);
    const Json& element = (*array)[i];
    if (!element.is_object()) return root.Error(path, "expected an object");
    const JsonReader reader(element, source, path);
    BITLM_RETURN_IF_ERROR(reader.CheckKeys(std::vector<std::string>{"text", "logprob"}));
    GoldenSentence sentence;
    BITLM_ASSIGN_OR_RETURN(sentence.text, reader.String("text"));
    BITLM_ASSIGN_OR_RETURN(sentence.logprob, reader.Number("logprob"));
    golden.push_back(std::move(sentence));
  }
  return golden;
}

// Reads a version field; one newer than ours means that a newer program wrote the file.
absl::StatusOr<int> ParseVersion(const JsonReader& root, std::string_view source,
                                 std::string_view key, int newest) {
  BITLM_ASSIGN_OR_RETURN(const int64_t version,
                         root.Integer(key, 1, std::numeric_limits<int>::max()));
  if (version > newest) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: %s: %d, this program reads at most %d; a newer one is needed", source,
                        key, version, newest));
  }
  return static_cast<int>(version);
}

absl::Status CheckSeal(const JsonReader& root, std::string_view text) {
  BITLM_ASSIGN_OR_RETURN(const std::string seal, root.String("config_sha256"));
  if (!IsSha256(seal)) {
    return root.Error("config_sha256", "expected 64 lower-case hexadecimal digits");
  }
  const size_t digits = FindSeal(text);
  if (digits == std::string_view::npos || text.substr(digits, kSha256Digits) != seal ||
      SealConfig(std::string(text)) != text) {
    return root.Error("config_sha256",
                      "the file's contents have another checksum: it was damaged or edited");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateManifest(const Manifest& manifest) {
  std::string fault = FindFault(manifest);
  if (fault.empty() && manifest.metadata.numerics_version != kNumericsVersion) {
    fault = absl::StrFormat("numerics_version: %d, expected %d", manifest.metadata.numerics_version,
                            kNumericsVersion);
  }
  return fault.empty() ? absl::OkStatus() : absl::InvalidArgumentError(fault);
}

std::string SealConfig(std::string text) {
  const size_t digits = FindSeal(text);
  if (digits == std::string::npos) return text;
  text.replace(digits, kSha256Digits, std::string(kSha256Digits, '0'));
  return text.replace(digits, kSha256Digits, Sha256Hex(text));
}

std::string SerializeManifest(const Manifest& manifest) {
  const auto record = [](const FileRecord& file) {
    return OrderedJson{{"bytes", file.bytes}, {"sha256", file.sha256}};
  };
  const ModelMetadata& metadata = manifest.metadata;
  OrderedJson golden = OrderedJson::array();
  for (const GoldenSentence& sentence : manifest.golden) {
    golden.push_back({{"text", sentence.text}, {"logprob", sentence.logprob}});
  }
  // nlohmann writes the shortest decimal that reads back as the same double.
  const OrderedJson document = {
      {"format_version", kFormatVersion},
      {"numerics_version", metadata.numerics_version},
      {"config_sha256", std::string(kSha256Digits, '0')},
      {"network", NetworkToJson(manifest.config)},
      {"metadata",
       {{"name", metadata.name},
        {"corpus", metadata.corpus},
        {"license", metadata.license},
        {"recipe", metadata.recipe},
        {"protocol", metadata.protocol},
        {"valid_perplexity", metadata.valid_perplexity},
        {"training_tokens", metadata.training_tokens}}},
      {"weight_bytes", WeightBytes(manifest.config)},
      {"files",
       {{kVocabularyFile, record(manifest.vocabulary)}, {kTensorsFile, record(manifest.tensors)}}},
      {"golden", std::move(golden)}};
  return SealConfig(document.dump(2) + "\n");
}

absl::StatusOr<Manifest> ParseManifest(std::string_view text, std::string_view source) {
  if (text.size() > kMaxConfigBytes) {
    return absl::DataLossError(
        absl::StrFormat("%s: %d bytes, expected at most %d", source, text.size(), kMaxConfigBytes));
  }
  BITLM_ASSIGN_OR_RETURN(const Json document, ParseJsonObject(text, source));
  const JsonReader root(document, source, "");
  // Versions first: a newer format may have other keys.
  BITLM_RETURN_IF_ERROR(ParseVersion(root, source, "format_version", kFormatVersion).status());
  Manifest manifest;
  BITLM_ASSIGN_OR_RETURN(const int numerics_version,
                         ParseVersion(root, source, "numerics_version", kNumericsVersion));
  BITLM_RETURN_IF_ERROR(root.CheckKeys(
      std::vector<std::string>{"format_version", "numerics_version", "config_sha256", "network",
                               "metadata", "weight_bytes", "files", "golden"}));
  BITLM_ASSIGN_OR_RETURN(const JsonReader network, root.Object("network"));
  BITLM_ASSIGN_OR_RETURN(manifest.config, ParseNetwork(network));
  BITLM_ASSIGN_OR_RETURN(const JsonReader metadata, root.Object("metadata"));
  BITLM_ASSIGN_OR_RETURN(manifest.metadata, ParseMetadata(metadata));
  manifest.metadata.numerics_version = numerics_version;
  BITLM_ASSIGN_OR_RETURN(const JsonReader files, root.Object("files"));
  BITLM_RETURN_IF_ERROR(files.CheckKeys(std::vector<std::string>{kVocabularyFile, kTensorsFile}));
  BITLM_ASSIGN_OR_RETURN(manifest.vocabulary, ParseFileRecord(files, kVocabularyFile));
  BITLM_ASSIGN_OR_RETURN(manifest.tensors, ParseFileRecord(files, kTensorsFile));
  BITLM_ASSIGN_OR_RETURN(manifest.golden, ParseGolden(root, source));
  if (const std::string fault = FindFault(manifest); !fault.empty()) {
    return absl::DataLossError(absl::StrFormat("%s: %s", source, fault));
  }
  const int64_t weight_bytes = static_cast<int64_t>(WeightBytes(manifest.config));
  BITLM_RETURN_IF_ERROR(root.Integer("weight_bytes", weight_bytes, weight_bytes).status());
  BITLM_RETURN_IF_ERROR(CheckSeal(root, text));
  return manifest;
}

}  // namespace bitlm
