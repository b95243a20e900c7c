// bitlm-train similarity: how well a model's word vectors agree with people's judgement.

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/table_options.h"
#include "trainer/cli/text_table.h"
#include "trainer/eval/similarity.h"

namespace bitlm::trainer {
namespace {

struct SimilarityArguments {
  std::vector<std::string> models;
  std::vector<std::string> pairs;
  TableOptions table;
  bool json = false;
};

struct PairsFile {
  std::string path;
  std::vector<WordPair> pairs;
};

absl::StatusOr<std::vector<PairsFile>> ReadPairs(const std::vector<std::string>& paths) {
  std::vector<PairsFile> files;
  for (const std::string& path : paths) {
    BITLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
    BITLM_ASSIGN_OR_RETURN(std::vector<WordPair> pairs, ParseWordPairs(text, path));
    files.push_back({.path = path, .pairs = std::move(pairs)});
  }
  return files;
}

absl::Status Similarity(const SimilarityArguments& args) {
  BITLM_ASSIGN_OR_RETURN(const std::vector<PairsFile> files, ReadPairs(args.pairs));
  TextTable table({"model", "table", "values", "file", "covered", "pairs", "Spearman"}, 4);
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const std::string& directory : args.models) {
    BITLM_ASSIGN_OR_RETURN(const ModelTable loaded, LoadTable(directory, args.table));
    for (const PairsFile& file : files) {
      const SimilarityResult result =
          EvaluateSimilarity(*loaded.model, loaded.table, file.pairs, args.table.exact);
      table.Add({directory, args.table.table, loaded.table.Description(),
                 std::filesystem::path(file.path).filename().string(),
                 std::to_string(result.covered), std::to_string(result.pairs),
                 result.spearman ? absl::StrFormat("%.4f", *result.spearman) : "-"});
      json.push_back({{"model", directory},
                      {"name", loaded.model->metadata.name},
                      {"table", args.table.table},
                      {"values", loaded.table.Description()},
                      {"file", file.path},
                      {"pairs", result.pairs},
                      {"covered", result.covered},
                      {"spearman", nullptr},
                      {"missing_words", result.missing_words}});
      if (result.spearman) json.back()["spearman"] = *result.spearman;
    }
  }
  const std::string out =
      args.json ? json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                : table.Plain();
  std::fputs(out.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddSimilarityCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command = app.add_subcommand(
      "similarity",
      "Spearman's rank correlation of people's scores of word pairs with cosines of word vectors");
  auto args = std::make_shared<SimilarityArguments>();
  command->add_option("--model,-m", args->models, "Model directory; may be repeated")->required();
  command
      ->add_option("--pairs", args->pairs,
                   "File of lines: word1 word2 score; may be repeated. Pairs with a word out of "
                   "vocabulary are not covered, and not ranked")
      ->required();
  AddTableOptions(*command, &args->table);
  command->add_flag("--json", args->json, "JSON output, with the words that are missing");
  command->callback([args, status] { *status = Similarity(*args); });
}

}  // namespace bitlm::trainer
