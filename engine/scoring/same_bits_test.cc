// One text, one score: the same sentences alone, in batches of every size, in any order, with any
// number of threads and any instruction set have the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "engine/base/cpu_features.h"
#include "engine/nn/cpu_language_model.h"
#include "engine/scoring/sentence_scorer.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

constexpr size_t kSentences = 1000;

struct Case {
  const char* name;
  const char* preset;
  void (*change)(ModelConfig&) = [](ModelConfig&) {};
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// Every preset, and every option on one that it changes the most.
const Case kCases[] = {
    {"lstm", "lstm"},
    {"belm", "belm"},
    {"bllm", "bllm"},
    {"bllm_no_i", "bllm-no-i"},
    {"bllm_no_o", "bllm-no-o"},
    {"bllm_no_io", "bllm-no-io"},
    {"bw_lstm", "bw-lstm"},
    {"xnor_lstm", "xnor-lstm"},
    {"xnor_lstm_bn", "xnor-lstm-bn"},
    {"int8", "belm", [](ModelConfig& c) { c.recurrent = MatrixKind::kInt8; }},
    {"two_bit_planes", "bllm", [](ModelConfig& c) { c.bit_planes = 2; }},
    {"three_bit_planes", "xnor-lstm", [](ModelConfig& c) { c.bit_planes = 3; }},
    {"planes_by_matrix", "bllm",
     [](ModelConfig& c) { c.recurrent_planes = 2, c.projection_planes = 3; }},
    {"two_activation_planes", "bllm", [](ModelConfig& c) { c.activation_planes = 2; }},
    {"layer_norm", "bllm", [](ModelConfig& c) { c.norm = NormKind::kLayer; }},
    {"layer_norm_float", "lstm", [](ModelConfig& c) { c.norm = NormKind::kLayer; }},
    {"tied", "bllm", [](ModelConfig& c) { c.output_embedding = MatrixKind::kTied; }},
    {"layers", "bllm", [](ModelConfig& c) { c.layers = 3, c.output_bias = true; }},
};

class SameBitsTest : public testing::TestWithParam<Case> {};

// Sentences like those of n-best lists: groups that share their beginnings, of 0 to 5 words.
std::vector<TokenizedSentence> MakeSentences(const Model& model) {
  RandomBits random(20);
  std::vector<TokenizedSentence> sentences;
  std::vector<std::string> words;
  while (sentences.size() < kSentences) {
    if (sentences.size() % 5 == 0) words.clear();
    words.resize(std::min<size_t>(words.size(), random.Below(4)));
    const size_t length = std::max<size_t>(words.size(), random.Below(6));
    while (words.size() < length) words.push_back("w" + std::to_string(random.Below(620)));
    std::string text;
    for (const std::string& word : words) text += word + " ";
    sentences.push_back(*Tokenize(model, text));
  }
  return sentences;
}

TEST_P(SameBitsTest, WhateverTheBatchOrderThreadsAndInstructions) {
  // Without projections the embedding has the LSTM's size.
  const Case& test_case = GetParam();
  const bool square = PresetConfig(test_case.preset)->output_projection == MatrixKind::kNone;
  ModelConfig config = TinyConfig(test_case.preset, 600, square ? 19 : 9, 19);
  test_case.change(config);
  auto model = std::make_shared<const Model>(RandomModel(config, 4));
  const std::vector<TokenizedSentence> sentences = MakeSentences(*model);
  std::vector<ScoreItem> items;
  for (size_t i = 0; i < sentences.size(); ++i) {
    items.push_back({.sentence = &sentences[i],
                     .options = {.want_ranks = i % 7 == 0, .self_normalized = i % 5 == 0}});
  }
  // The specification: portable, alone, one thread.
  ASSERT_OK_AND_ASSIGN(auto portable, MakeCpuLanguageModel(model, cpu::kNone));
  std::vector<SentenceScore> expected;
  for (const ScoreItem& item : items) {
    expected.push_back(SentenceScorer(portable).Score({&item, 1}, nullptr)[0]);
  }
  const auto check = [&](size_t i, const SentenceScore& score) {
    ASSERT_EQ(score.token_logprobs, expected[i].token_logprobs) << "sentence " << i;
    ASSERT_EQ(score.logprob, expected[i].logprob) << "sentence " << i;
    ASSERT_EQ(score.token_ranks, expected[i].token_ranks) << "sentence " << i;
  };
  std::vector<std::string> tried;
  for (const char* level : {"amx", "avx512_permute", "avx512_vpopcntdq", "avx512_vnni", "avx512",
                            "avx2", "neon_dotprod", "neon", "portable"}) {
    ASSERT_OK_AND_ASSIGN(const uint32_t features, cpu::Narrow(cpu::Usable(), level));
    ASSERT_OK_AND_ASSIGN(auto variant, MakeCpuLanguageModel(model, {.features = features,
                                                                    .min_parallel_cycles = 0}));
    // Levels without kernels of their own run those of the level below.
    if (std::find(tried.begin(), tried.end(), variant->description()) != tried.end()) continue;
    tried.push_back(variant->description());
    SCOPED_TRACE(variant->description());
    const SentenceScorer scorer(variant);
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      for (size_t i = 0; i < items.size(); ++i) {
        check(i, scorer.Score({&items[i], 1}, &pool)[0]);
        if (HasFatalFailure()) return;
      }
      for (size_t batch = 1; batch <= 64; ++batch) {
        // Waking a thread for every small step is slow: every size with the fastest kernels, some
        // with the others.
        if (threads > 1 && tried.size() > 1 && batch % 13 != 12) continue;
        std::vector<size_t> order(items.size());
        std::iota(order.begin(), order.end(), size_t{0});
        // Every second size in the given order, the others shuffled.
        if (batch % 2 == 0) std::shuffle(order.begin(), order.end(), std::mt19937_64(batch));
        for (size_t first = 0; first < order.size(); first += batch) {
          std::vector<ScoreItem> chosen;
          for (size_t i = first; i < std::min(first + batch, order.size()); ++i) {
            chosen.push_back(items[order[i]]);
          }
          const std::vector<SentenceScore> scores = scorer.Score(chosen, &pool);
          for (size_t i = 0; i < scores.size(); ++i) {
            check(order[first + i], scores[i]);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SameBitsTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bitlm
