#include "trainer/cli/comparison_output.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/cli/text_table.h"

namespace bitlm::trainer {
namespace {

double Ratio(const Comparison& comparison, const ComparedModel& model) {
  return static_cast<double>(comparison.models[*comparison.baseline].bytes) /
         static_cast<double>(model.bytes);
}

nlohmann::ordered_json ModelJson(const Comparison& comparison, const ComparedModel& model) {
  nlohmann::ordered_json out = {{"name", model.name}, {"measured", model.config.has_value()}};
  if (model.config) {
    out["preset"] = model.config->preset;
    out["vocabulary_size"] = model.config->vocabulary_size;
    out["embedding_size"] = model.config->embedding_size;
    out["hidden_size"] = model.config->hidden_size;
    out["layers"] = model.config->layers;
    out["resident_weight_bytes"] = model.resident_bytes;
  }
  out["tensor_bytes"] = model.bytes;
  out["compression"] = comparison.baseline ? nlohmann::ordered_json(Ratio(comparison, model))
                                           : nlohmann::ordered_json(nullptr);
  if (!model.config) {
    out["perplexity"] = model.given_perplexity;
    return out;
  }
  out["results"] = nlohmann::ordered_json::array();
  for (const ProtocolResult& result : model.results) {
    out["results"].push_back(
        {{"protocol", std::string(ToString(result.protocol))},
         {"sentences", result.perplexity.sentences},
         {"tokens", result.perplexity.tokens},
         {"oov_tokens", result.perplexity.oov_tokens},
         {"log_probability", result.perplexity.logprob},
         {"perplexity", result.perplexity.perplexity},
         {"perplexity_excluding_oov", result.perplexity.perplexity_excluding_oov}});
  }
  return out;
}

}  // namespace

std::string ComparisonTable(const Comparison& comparison, bool markdown) {
  TextTable table({"model", "preset", "protocol", "V", "E", "H", "L", "bytes", "resident",
                   "compression", "perplexity", "excluding OOV", "OOV"},
                  3);
  bool given = false;
  for (const ComparedModel& model : comparison.models) {
    const std::string ratio =
        comparison.baseline ? absl::StrFormat("%.1f", Ratio(comparison, model)) : "-";
    if (!model.config) {
      given = true;
      table.Add({model.name + " *", "-", "-", "-", "-", "-", "-", WithThousands(model.bytes), "-",
                 ratio, absl::StrFormat("%.2f", model.given_perplexity), "-", "-"});
      continue;
    }
    const ModelConfig& c = *model.config;
    for (const ProtocolResult& result : model.results) {
      table.Add({model.name, c.preset, std::string(ToString(result.protocol)),
                 std::to_string(c.vocabulary_size), std::to_string(c.embedding_size),
                 std::to_string(c.hidden_size), std::to_string(c.layers),
                 WithThousands(model.bytes), WithThousands(model.resident_bytes), ratio,
                 absl::StrFormat("%.2f", result.perplexity.perplexity),
                 absl::StrFormat("%.2f", result.perplexity.perplexity_excluding_oov),
                 WithThousands(static_cast<uint64_t>(result.perplexity.oov_tokens))});
    }
  }
  std::string out = markdown ? table.Markdown() : table.Plain();
  absl::StrAppend(&out, "\nText: ", comparison.text,
                  ". bytes: tensors of the file, counted as in [LCY18] Table 1; resident: weights "
                  "in the engine's memory.\n");
  if (comparison.baseline) {
    absl::StrAppend(&out, "compression: bytes of ", comparison.models[*comparison.baseline].name,
                    " / bytes.\n");
  }
  if (given) {
    absl::StrAppend(&out, markdown ? "\\*" : "*", " as given, not measured.\n");
  }
  if (!comparison.same_words) {
    out += "Vocabularies or normalizations differ: perplexities do not compare.\n";
  }
  return out;
}

std::string ComparisonJson(const Comparison& comparison) {
  nlohmann::ordered_json out = {
      {"text", comparison.text},
      {"baseline", nullptr},
      {"same_vocabulary", comparison.same_words},
      {"models", nlohmann::ordered_json::array()},
  };
  if (comparison.baseline) out["baseline"] = comparison.models[*comparison.baseline].name;
  for (const ComparedModel& model : comparison.models) {
    out["models"].push_back(ModelJson(comparison, model));
  }
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace bitlm::trainer
