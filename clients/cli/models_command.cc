#include "clients/cli/models_command.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/cli/output.h"

namespace bitlm::cli {

absl::Status RunModels(const Connection& connection, const ModelsArguments& arguments) {
  const client::Client client(connection.options);
  const auto models = client.ListModels();
  if (!models.ok()) return Explain(models.status());
  size_t width = 5;  // Of the names.
  for (const client::ModelSummary& model : *models) width = std::max(width, model.name.size());
  std::string text;
  if (arguments.format == Format::kText) {
    text = absl::StrFormat("%-*s  %7s  %-12s  %10s  %13s\n", static_cast<int>(width), "model",
                           "version", "preset", "vocabulary", "weight bytes");
  } else if (arguments.format == Format::kTsv) {
    text =
        "model\tversion\tlatest\tpreset\tvocabulary_size\tweight_bytes\tvocabulary_bytes\tlabels\n";
  }
  for (const client::ModelSummary& model : *models) {
    switch (arguments.format) {
      case Format::kText:
        text +=
            absl::StrFormat("%-*s  %7d  %-12s  %10d  %13d\n", static_cast<int>(width), model.name,
                            model.version, model.preset, model.vocabulary_size, model.weight_bytes);
        break;
      case Format::kTsv:
        text += absl::StrFormat("%s\t%d\t%d\t%s\t%d\t%d\t%d\t%s\n", TsvField(model.name),
                                model.version, model.latest ? 1 : 0, TsvField(model.preset),
                                model.vocabulary_size, model.weight_bytes, model.vocabulary_bytes,
                                absl::StrJoin(model.labels, ","));
        break;
      case Format::kJson:
        text += nlohmann::ordered_json({{"model", model.name},
                                        {"version", model.version},
                                        {"latest", model.latest},
                                        {"preset", model.preset},
                                        {"vocabulary_size", model.vocabulary_size},
                                        {"weight_bytes", model.weight_bytes},
                                        {"vocabulary_bytes", model.vocabulary_bytes},
                                        {"labels", model.labels}})
                    .dump() +
                "\n";
        break;
    }
  }
  return WriteOut(text);
}

}  // namespace bitlm::cli
