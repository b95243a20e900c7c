// bitlm-train neighbours: the words whose vectors are nearest to that of a word.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/table_options.h"
#include "trainer/cli/text_table.h"
#include "trainer/eval/find_word.h"

namespace bitlm::trainer {
namespace {

struct NeighboursArguments {
  std::string model;
  std::vector<std::string> words;
  TableOptions table;
  int count = 10;
  bool json = false;
};

absl::StatusOr<std::vector<TokenId>> FindWords(const NeighboursArguments& args,
                                               const Model& model) {
  std::vector<TokenId> ids;
  for (const std::string& word : args.words) {
    const std::optional<TokenId> id = FindWord(model, word, args.table.exact);
    if (!id) {
      return absl::NotFoundError(absl::StrCat(args.model, "/vocab.txt: no word \"", word,
                                              "\" among ", model.vocabulary.size()));
    }
    ids.push_back(*id);
  }
  return ids;
}

// "mother  0.4750", under the word that was asked for.
std::string Text(const WordTable& table, const std::vector<TokenId>& ids, int count) {
  std::string out;
  for (const TokenId id : ids) {
    const bool hamming = table.HammingDistance(id, id).has_value();
    std::vector<std::string> header{std::string(table.vocabulary().Word(id)), "cosine"};
    if (hamming) header.push_back(absl::StrCat("differ of ", table.columns()));
    TextTable rows(header);
    for (const Neighbour& neighbour : table.Nearest(id, count)) {
      std::vector<std::string> row{std::string(table.vocabulary().Word(neighbour.word)),
                                   absl::StrFormat("%.4f", neighbour.cosine)};
      if (hamming) row.push_back(std::to_string(*table.HammingDistance(id, neighbour.word)));
      rows.Add(std::move(row));
    }
    absl::StrAppend(&out, out.empty() ? "" : "\n", rows.Plain());
  }
  return out;
}

std::string Json(const NeighboursArguments& args, const WordTable& table,
                 const std::vector<TokenId>& ids) {
  nlohmann::ordered_json words = nlohmann::ordered_json::array();
  for (const TokenId id : ids) {
    nlohmann::ordered_json neighbours = nlohmann::ordered_json::array();
    for (const Neighbour& neighbour : table.Nearest(id, args.count)) {
      neighbours.push_back({{"word", std::string(table.vocabulary().Word(neighbour.word))},
                            {"cosine", neighbour.cosine}});
      if (const auto distance = table.HammingDistance(id, neighbour.word)) {
        neighbours.back()["hamming_distance"] = *distance;
      }
    }
    words.push_back({{"word", std::string(table.vocabulary().Word(id))},
                     {"neighbours", std::move(neighbours)}});
  }
  const nlohmann::ordered_json out = {{"model", args.model},
                                      {"table", args.table.table},
                                      {"values", table.Description()},
                                      {"embedding_size", table.columns()},
                                      {"words", std::move(words)}};
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

absl::Status Neighbours(const NeighboursArguments& args) {
  BITLM_ASSIGN_OR_RETURN(const ModelTable loaded, LoadTable(args.model, args.table));
  BITLM_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, FindWords(args, *loaded.model));
  const std::string out =
      args.json ? Json(args, loaded.table, ids) : Text(loaded.table, ids, args.count);
  std::fputs(out.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddNeighboursCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command =
      app.add_subcommand("neighbours", "The words nearest to a word, by cosine of their vectors");
  auto args = std::make_shared<NeighboursArguments>();
  command->add_option("--model,-m", args->model, "Model directory")->required();
  command->add_option("--word,-w", args->words, "Word; may be repeated")->required();
  command->add_option("--count,-n", args->count, "Neighbours of each word")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 22));
  AddTableOptions(*command, &args->table);
  command->add_flag("--json", args->json, "JSON output");
  command->callback([args, status] { *status = Neighbours(*args); });
}

}  // namespace bitlm::trainer
