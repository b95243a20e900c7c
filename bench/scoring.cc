// Sentence scores and next words of a random bllm (E = H = 500), engine only: our side of rows 6 to
// 11 of `scripts/bench cpu`.
//
//   bitlm-bench-scoring --lists FILE --threads 1 --seconds 2
//
// FILE has one sentence a line, word numbers separated by blanks, and an empty line after each list
// of sentences that are scored together; with --next each line is the context of one request.
// Prints one JSON object: what was computed, and in which time. BITLM_CPU_ISA narrows the kernels.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "engine/nn/language_model.h"
#include "engine/scoring/next_word.h"
#include "engine/scoring/score_items.h"
#include "tests/support/random_model.h"

namespace bitlm::bench {
namespace {

using List = std::vector<TokenizedSentence>;

// Throws std::runtime_error.
std::vector<List> ReadLists(const std::string& path, int vocabulary) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  std::vector<List> lists(1);
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) {
      lists.emplace_back();
      continue;
    }
    TokenizedSentence& sentence = lists.back().emplace_back();
    std::istringstream words(line);
    for (TokenId word; words >> word;) {
      if (word < 0 || word >= vocabulary) throw std::runtime_error(path + ": no such word");
      sentence.tokens.push_back(word);
    }
    sentence.words.resize(sentence.tokens.size());
    sentence.oov.resize(sentence.tokens.size());
  }
  std::erase_if(lists, [](const List& list) { return list.empty(); });
  if (lists.empty()) throw std::runtime_error(path + ": no sentences");
  return lists;
}

void ScoreList(const LanguageModel& model, const List& list, ThreadPool* pool,
               ScoreStatistics* statistics) {
  std::vector<ScoreItem> items;
  for (const TokenizedSentence& sentence : list)
    items.push_back({.sentence = &sentence, .options = {}});
  ScoreStatistics of_list;
  ScoreItems(model, items, pool, &of_list);
  statistics->steps += of_list.steps;
  statistics->output_rows += of_list.output_rows;
  statistics->tokens += of_list.tokens;
}

void PredictNext(const LanguageModel& model, const List& list, ThreadPool* pool,
                 ScoreStatistics* statistics) {
  for (const TokenizedSentence& sentence : list) {
    const NextWordItem item{.context = &sentence, .options = {.top_k = 10}};
    NextWords(model, {&item, 1}, nullptr, pool);
    ++statistics->tokens;
  }
}

}  // namespace
}  // namespace bitlm::bench

int main(int argc, char** argv) {
  using namespace bitlm;         // NOLINT: a program of its own.
  using namespace bitlm::bench;  // NOLINT
  CLI::App app("Scores lists of sentences with a random bllm, engine only");
  std::string path;
  bool next = false;
  int threads = 1, vocabulary = 10000, hidden = 500;
  double seconds = 2;
  app.add_option("--lists", path, "Lists of sentences")->required();
  app.add_flag("--next", next, "The ten most probable next words of each line instead");
  app.add_option("--threads", threads, "Threads")->capture_default_str();
  app.add_option("--vocabulary", vocabulary, "Words")->capture_default_str();
  app.add_option("--hidden", hidden, "E and H")->capture_default_str();
  app.add_option("--seconds", seconds, "At least so long")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    auto random = std::make_shared<const Model>(
        RandomModel(TinyConfig("bllm", vocabulary, hidden, hidden), 1));
    uint64_t tensor_bytes = 0;
    for (const auto& [name, tensor] : random->tensors) tensor_bytes += tensor.bytes.size();
    const auto model = *MakeCpuLanguageModel(std::move(random));
    const auto lists = ReadLists(path, vocabulary);
    ThreadPool pool(threads);
    ScoreStatistics warm_up, statistics;
    const auto run = next ? &PredictNext : &ScoreList;
    run(*model, lists[0], &pool, &warm_up);
    using Clock = std::chrono::steady_clock;
    double elapsed = 0;
    for (const auto start = Clock::now(); elapsed < seconds;) {
      for (const List& list : lists) {
        run(*model, list, &pool, &statistics);
        elapsed = std::chrono::duration<double>(Clock::now() - start).count();
        if (elapsed >= seconds) break;
      }
    }
    const nlohmann::json json{
        {"tokens", statistics.tokens},           {"steps", statistics.steps},
        {"output_rows", statistics.output_rows}, {"seconds", elapsed},
        {"weight_bytes", model->weight_bytes()}, {"tensor_bytes", tensor_bytes},
        {"kernels", model->description()}};
    std::printf("%s\n", json.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bitlm-bench-scoring: %s\n", error.what());
    return 1;
  }
  return 0;
}
