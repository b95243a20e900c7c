// What every LanguageModel must do, run on the reference and on the CPU model with each set of
// instructions that this machine has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/cpu_features.h"
#include "engine/nn/cpu_language_model.h"
#include "engine/nn/language_model.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

struct Case {
  std::string name;
  std::string preset;
  int vocabulary;
  int embedding;
  int hidden;
  int layers = 1;
  int planes = 1;
  bool output_bias = false;
  bool tied = false;
  ScaleKind scale = ScaleKind::kPerRow;
  bool int8 = false;
  int bit_planes = 1;
  int recurrent_planes = 0;
  int projection_planes = 0;
  NormKind norm = NormKind::kNone;
  int classes = 0;  // Of a classifier.
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const Case kCases[] = {
    {"lstm", "lstm", 513, 7, 7},
    {"lstm_bias", "lstm", 513, 65, 65, 1, 1, true},
    {"lstm_layers", "lstm", 100, 9, 9, 3},
    {"belm", "belm", 1025, 31, 65},
    {"belm_planes", "belm", 600, 16, 17, 1, 2, true},
    {"bllm", "bllm", 513, 65, 65},
    {"bllm_wide", "bllm", 1025, 33, 500},
    {"bllm_planes", "bllm", 700, 65, 33, 1, 2},
    {"bllm_layers", "bllm", 100, 20, 21, 2, 1, true},
    {"bllm_smallest", "bllm", 2, 1, 1},
    {"bllm_no_i", "bllm-no-i", 300, 7, 7},
    {"bllm_no_o", "bllm-no-o", 300, 20, 20},
    {"bllm_no_io", "bllm-no-io", 300, 24, 24, 2, 2},
    {"bllm_per_matrix", "bllm", 300, 30, 21, 2, 1, false, false, ScaleKind::kPerMatrix},
    {"lstm_tied", "lstm", 515, 21, 21, 1, 1, true, true},
    {"belm_tied", "belm", 515, 30, 21, 1, 1, false, true},
    {"bllm_tied", "bllm", 700, 33, 40, 1, 2, true, true},
    {"bw_lstm", "bw-lstm", 300, 21, 21, 2, 1, true, false, ScaleKind::kPerMatrix},
    {"bw_lstm_planes", "bw-lstm", 300, 65, 65, 1, 2, false, true, ScaleKind::kPerMatrix},
    {"xnor_lstm", "xnor-lstm", 300, 40, 40, 2, 1, false, false, ScaleKind::kPerMatrix},
    {"xnor_lstm_bn", "xnor-lstm-bn", 300, 65, 65, 1, 2, true, false, ScaleKind::kPerMatrix},
    {"lstm_int8", "lstm", 300, 21, 21, 2, 1, true, false, ScaleKind::kPerRow, true},
    {"belm_int8", "belm", 515, 30, 65, 1, 2, false, true, ScaleKind::kPerRow, true},
    {"bllm_two", "bllm", 515, 33, 40, 2, 1, true, false, ScaleKind::kPerRow, false, 2},
    {"bllm_three", "bllm", 300, 30, 65, 1, 2, false, true, ScaleKind::kPerMatrix, false, 3},
    {"belm_int8_two", "belm", 300, 30, 20, 1, 1, true, false, ScaleKind::kPerRow, true, 2},
    {"xnor_lstm_bn_two", "xnor-lstm-bn", 300, 40, 40, 1, 1, false, false, ScaleKind::kPerMatrix,
     false, 2},
    {.name = "lstm_ln",
     .preset = "lstm",
     .vocabulary = 300,
     .embedding = 65,
     .hidden = 65,
     .layers = 2,
     .norm = NormKind::kLayer},
    {.name = "bllm_ln",
     .preset = "bllm",
     .vocabulary = 300,
     .embedding = 20,
     .hidden = 33,
     .planes = 2,
     .output_bias = true,
     .norm = NormKind::kLayer},
    {.name = "bllm_ln_two",
     .preset = "bllm",
     .vocabulary = 300,
     .embedding = 20,
     .hidden = 33,
     .scale = ScaleKind::kPerMatrix,
     .bit_planes = 2,
     .norm = NormKind::kLayer},
    {.name = "bllm_planes_by_matrix",
     .preset = "bllm",
     .vocabulary = 300,
     .embedding = 20,
     .hidden = 33,
     .recurrent_planes = 3,
     .projection_planes = 2},
    {.name = "belm_int8_ln",
     .preset = "belm",
     .vocabulary = 300,
     .embedding = 20,
     .hidden = 40,
     .int8 = true,
     .norm = NormKind::kLayer},
    {.name = "lstm_classifier",
     .preset = "lstm",
     .vocabulary = 50,
     .embedding = 21,
     .hidden = 21,
     .output_bias = true,
     .classes = 5},
    {.name = "bllm_classifier",
     .preset = "bllm",
     .vocabulary = 50,
     .embedding = 21,
     .hidden = 30,
     .layers = 2,
     .classes = 18},
};

// "reference", or a level of cpu::Narrow.
const char* const kImplementations[] = {
    "reference",
    "portable",
#if defined(__aarch64__)
    "neon",
    "neon_dotprod",
#else
    "avx2",      "avx512",   "avx512_vnni", "avx512_vpopcntdq", "avx512_permute", "amx",
#endif
};

Model MakeModel(const Case& c) {
  ModelConfig config = TinyConfig(c.preset, c.vocabulary, c.embedding, c.hidden);
  config.layers = c.layers;
  config.activation_planes = c.planes;
  config.output_bias = c.output_bias;
  config.scale = c.scale;
  config.bit_planes = c.bit_planes;
  config.recurrent_planes = c.recurrent_planes;
  config.projection_planes = c.projection_planes;
  config.norm = c.norm == NormKind::kNone ? config.norm : c.norm;
  config.classes = c.classes;
  if (c.classes > 0) config.head = HeadKind::kClassifier;
  if (c.int8) config.recurrent = MatrixKind::kInt8;
  if (c.tied) config.output_embedding = MatrixKind::kTied;
  return RandomModel(config, 11);
}

class LanguageModelConformanceTest : public testing::TestWithParam<std::tuple<Case, const char*>> {
 protected:
  void SetUp() override {
    auto model = std::make_shared<const Model>(MakeModel(std::get<0>(GetParam())));
    const std::string implementation = std::get<1>(GetParam());
    if (implementation == "reference") {
      ASSERT_OK_AND_ASSIGN(model_, MakeReferenceLanguageModel(model));
    } else {
      ASSERT_OK_AND_ASSIGN(const uint32_t features, cpu::Narrow(~0u, implementation));
      if ((features & ~cpu::Usable()) != 0) GTEST_SKIP() << "this CPU lacks " << implementation;
      // Threads even for the smallest work.
      ASSERT_OK_AND_ASSIGN(
          model_, MakeCpuLanguageModel(model, {.features = features, .min_parallel_cycles = 0}));
    }
    vocabulary_ = model_->config().vocabulary_size;
    outputs_ = model_->config().OutputSize();
  }

  std::vector<float> Step(const std::vector<float>* state, TokenId token) const {
    std::vector<float> next(model_->state_size(), NAN);
    const float* from = state == nullptr ? nullptr : state->data();
    float* to = next.data();
    model_->Advance({&token, 1}, {&from, 1}, {&to, 1}, nullptr);
    return next;
  }

  // The state after some tokens.
  std::vector<float> StateAfter(const std::vector<int>& tokens) const {
    std::vector<float> state(model_->state_size(), 0.0f);
    for (const int token : tokens) state = Step(&state, token % vocabulary_);
    return state;
  }

  std::vector<float> Distribution(const std::vector<float>& state,
                                  bool self_normalized = false) const {
    std::vector<TokenId> all(static_cast<size_t>(outputs_));
    for (int v = 0; v < outputs_; ++v) all[static_cast<size_t>(v)] = v;
    std::vector<float> logprobs(all.size(), NAN);
    OutputRow row;
    row.state = state.data();
    row.targets = all;
    row.logprobs = logprobs.data();
    row.self_normalized = self_normalized;
    model_->Output({&row, 1}, nullptr);
    return logprobs;
  }

  std::shared_ptr<const LanguageModel> model_;
  int vocabulary_ = 0;
  int outputs_ = 0;  // Words, or classes.
};

TEST_P(LanguageModelConformanceTest, StatesHaveTheDocumentedSizeAndRange) {
  const ModelConfig& config = model_->config();
  const size_t hidden = static_cast<size_t>(config.hidden_size);
  ASSERT_EQ(model_->state_size(), static_cast<size_t>(config.layers) * 2 * hidden);
  const std::vector<float> state = StateAfter({3, 1, 4, 1, 5});
  bool any = false;
  for (int layer = 0; layer < config.layers; ++layer) {
    for (size_t j = 0; j < hidden; ++j) {
      const float h = state[static_cast<size_t>(layer) * 2 * hidden + j];
      EXPECT_LE(std::fabs(h), 1.0f);
      any = any || h != 0.0f;
    }
  }
  EXPECT_TRUE(any);
}

TEST_P(LanguageModelConformanceTest, NullStateIsTheZeroState) {
  const std::vector<float> zero(model_->state_size(), 0.0f);
  EXPECT_EQ(Step(nullptr, 1), Step(&zero, 1));
}

TEST_P(LanguageModelConformanceTest, AdvancesInPlace) {
  const std::vector<float> before = StateAfter({2, 7});
  const std::vector<float> expected = Step(&before, 1);
  std::vector<float> state = before;
  const TokenId token = 1;
  const float* from = state.data();
  float* to = state.data();
  model_->Advance({&token, 1}, {&from, 1}, {&to, 1}, nullptr);
  EXPECT_EQ(state, expected);
}

TEST_P(LanguageModelConformanceTest, TokensAndStatesMatter) {
  const std::vector<float> state = StateAfter({1});
  if (model_->config().embedding_size > 1) {
    EXPECT_NE(Step(&state, 0), Step(&state, 1));
  }
  EXPECT_NE(Step(&state, 0), Step(nullptr, 0));
}

TEST_P(LanguageModelConformanceTest, ProbabilitiesSumToOne) {
  double sum = 0;
  for (const float logprob : Distribution(StateAfter({5, 0, 9}))) {
    ASSERT_LE(logprob, 0.0f);
    sum += std::exp(static_cast<double>(logprob));
  }
  EXPECT_NEAR(sum, 1.0, 1e-5);
}

TEST_P(LanguageModelConformanceTest, RanksOrderTheDistribution) {
  const std::vector<float> state = StateAfter({4});
  const std::vector<float> logprobs = Distribution(state);
  const std::vector<TokenId> targets = {0, outputs_ - 1, outputs_ / 2, 0};
  std::vector<float> found(targets.size(), NAN);
  std::vector<int32_t> ranks(targets.size(), -1);
  OutputRow row;
  row.state = state.data();
  row.targets = targets;
  row.logprobs = found.data();
  row.ranks = ranks.data();
  model_->Output({&row, 1}, nullptr);
  for (size_t i = 0; i < targets.size(); ++i) {
    const size_t target = static_cast<size_t>(targets[i]);
    EXPECT_EQ(found[i], logprobs[target]);
    // Ranks order logits; different logits may round to one log-probability.
    int above = 0;
    int not_below = 0;
    for (const float logprob : logprobs) {
      above += logprob > logprobs[target] ? 1 : 0;
      not_below += logprob >= logprobs[target] ? 1 : 0;
    }
    EXPECT_GE(ranks[i], above + 1);
    EXPECT_LE(ranks[i], not_below);
  }
}

TEST_P(LanguageModelConformanceTest, TopWordsHaveRanksOneToK) {
  const std::vector<float> state = StateAfter({4, 4});
  for (const int k : {1, 2, std::min(17, outputs_), outputs_}) {
    std::vector<TokenScore> top(static_cast<size_t>(k));
    OutputRow row;
    row.state = state.data();
    row.top_k = k;
    row.top = top.data();
    model_->Output({&row, 1}, nullptr);
    std::vector<TokenId> targets;
    for (const TokenScore& word : top) targets.push_back(word.token);
    std::vector<float> logprobs(targets.size());
    std::vector<int32_t> ranks(targets.size());
    row.top_k = 0;
    row.targets = targets;
    row.logprobs = logprobs.data();
    row.ranks = ranks.data();
    model_->Output({&row, 1}, nullptr);
    for (int i = 0; i < k; ++i) {
      ASSERT_EQ(ranks[static_cast<size_t>(i)], i + 1) << "of top " << k;
      ASSERT_EQ(logprobs[static_cast<size_t>(i)], top[static_cast<size_t>(i)].logprob);
    }
  }
}

TEST_P(LanguageModelConformanceTest, TopWordsAmongSomeAreTheirsOfAll) {
  const std::vector<float> state = StateAfter({4, 4});
  const auto top_of = [&](int k, std::span<const TokenId> among) {
    std::vector<TokenScore> top(static_cast<size_t>(k));
    OutputRow row;
    row.state = state.data();
    row.top_k = k;
    row.top = top.data();
    row.among = among;
    model_->Output({&row, 1}, nullptr);
    return top;
  };
  const std::vector<TokenScore> all = top_of(outputs_, {});
  for (const int step : {1, 2, 7, 600}) {
    std::vector<TokenId> among;
    for (TokenId word = outputs_ / 3 % step; word < outputs_; word += step) {
      among.push_back(word);
    }
    std::vector<TokenScore> expected;
    for (const TokenScore& word : all) {
      if (std::binary_search(among.begin(), among.end(), word.token)) expected.push_back(word);
    }
    const int words = static_cast<int>(among.size());
    for (const int k : {1, std::min(5, words), words}) {
      EXPECT_EQ(top_of(k, among), std::vector<TokenScore>(expected.begin(), expected.begin() + k));
    }
  }
}

TEST_P(LanguageModelConformanceTest, SelfNormalizedLogprobsDifferByLogZ) {
  const std::vector<float> state = StateAfter({4, 2});
  const std::vector<float> normalized = Distribution(state);
  const std::vector<float> logits = Distribution(state, true);
  double sum = 0;
  float largest = 0;
  for (const float logit : logits) {
    sum += std::exp(static_cast<double>(logit));
    largest = std::max(largest, std::fabs(logit));
  }
  const double log_z = std::log(sum);
  // Three float operations round, on values up to these; and the softmax has its own error
  // (docs/numerics.md, section 6).
  const double bound = 4 * 0x1p-24 * (2 * largest + std::fabs(log_z)) + 100 * 0x1p-24;
  for (size_t v = 0; v < logits.size(); ++v) {
    ASSERT_NEAR(static_cast<double>(logits[v]) - static_cast<double>(normalized[v]), log_z, bound)
        << v;
  }
}

TEST_P(LanguageModelConformanceTest, SelfNormalizedRowsAgreeHoweverTheyAreAsked) {
  const std::vector<float> state = StateAfter({4, 2});
  const std::vector<float> logits = Distribution(state, true);
  std::vector<TokenId> some;
  for (TokenId word = 1; word < outputs_; word += 1 + word % 37) some.push_back(word);
  std::vector<TokenId> shuffled(some.rbegin(), some.rend());
  shuffled.insert(shuffled.end(), some.begin(), some.end());
  const int k = static_cast<int>(some.size());
  std::vector<float> logprobs(shuffled.size(), NAN);
  std::vector<int32_t> ranks(shuffled.size(), -1);
  std::vector<TokenScore> top(static_cast<size_t>(outputs_));
  OutputRow row;
  row.state = state.data();
  row.self_normalized = true;
  row.targets = shuffled;
  row.logprobs = logprobs.data();
  row.top_k = k;
  row.top = top.data();
  row.among = some;
  model_->Output({&row, 1}, nullptr);
  std::vector<std::pair<float, TokenId>> order;
  for (const TokenId word : some) order.emplace_back(-logits[static_cast<size_t>(word)], word);
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < shuffled.size(); ++i) {
    ASSERT_EQ(logprobs[i], logits[static_cast<size_t>(shuffled[i])]);
  }
  for (size_t i = 0; i < some.size(); ++i) {
    ASSERT_EQ(top[i].logprob, -order[i].first);
    ASSERT_EQ(logits[static_cast<size_t>(top[i].token)], top[i].logprob);
  }
  // With ranks, or the top words of all: over the vocabulary.
  row.ranks = ranks.data();
  row.top_k = outputs_;
  row.among = {};
  model_->Output({&row, 1}, nullptr);
  for (size_t i = 0; i < shuffled.size(); ++i) {
    ASSERT_EQ(logprobs[i], logits[static_cast<size_t>(shuffled[i])]);
    ASSERT_EQ(top[static_cast<size_t>(ranks[i] - 1)].token, shuffled[i]);
    ASSERT_EQ(top[static_cast<size_t>(ranks[i] - 1)].logprob, logprobs[i]);
  }
}

TEST_P(LanguageModelConformanceTest, BatchesAndThreadsGiveTheSameBits) {
  // Rows of every kind in one call: with and without targets, ranks, top words of all or some.
  constexpr int kRows = 61;
  std::vector<std::vector<float>> states;
  for (int b = 0; b < kRows; ++b) states.push_back(StateAfter({b, b / 3, b / 7}));
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (const int batch : {1, 2, 5, 12, 13, 24, 37, kRows}) {
      std::vector<std::vector<float>> next(static_cast<size_t>(batch),
                                           std::vector<float>(model_->state_size(), NAN));
      std::vector<TokenId> tokens;
      std::vector<const float*> from;
      std::vector<float*> to;
      for (int b = 0; b < batch; ++b) {
        tokens.push_back(b % vocabulary_);
        from.push_back(b % 5 == 4 ? nullptr : states[static_cast<size_t>(b)].data());
        to.push_back(next[static_cast<size_t>(b)].data());
      }
      model_->Advance(tokens, from, to, &pool);
      std::vector<OutputRow> rows(static_cast<size_t>(batch));
      std::vector<float> logprobs(rows.size() * 2, NAN);
      std::vector<int32_t> ranks(rows.size() * 2, -1);
      std::vector<TokenScore> top(rows.size() * 2);
      const std::vector<TokenId> targets = {1, outputs_ - 1};
      const std::vector<TokenId> among = {0, outputs_ - 1};
      for (size_t b = 0; b < rows.size(); ++b) {
        rows[b].state = states[b].data();
        rows[b].self_normalized = b % 5 < 2;
        if (b % 4 != 3) {
          rows[b].targets = targets;
          rows[b].logprobs = &logprobs[2 * b];
        }
        if (b % 4 == 1) rows[b].ranks = &ranks[2 * b];
        if (b % 3 == 0) {
          rows[b].top_k = 2;
          rows[b].top = &top[2 * b];
          if (b % 2 == 1) rows[b].among = among;
        }
      }
      model_->Output(rows, &pool);
      for (size_t b = 0; b < rows.size(); ++b) {
        const std::vector<float>* state = from[b] == nullptr ? nullptr : &states[b];
        ASSERT_EQ(next[b], Step(state, tokens[b])) << "row " << b << " of " << batch;
        std::vector<float> one(2, NAN);
        std::vector<int32_t> one_ranks(2, -1);
        std::vector<TokenScore> one_top(2);
        OutputRow row = rows[b];
        if (!row.targets.empty()) row.logprobs = one.data();
        if (row.ranks != nullptr) row.ranks = one_ranks.data();
        if (row.top != nullptr) row.top = one_top.data();
        model_->Output({&row, 1}, nullptr);
        for (size_t i = 0; i < 2; ++i) {
          if (!row.targets.empty()) {
            ASSERT_EQ(logprobs[2 * b + i], one[i]) << b << " of " << batch;
          }
          ASSERT_EQ(ranks[2 * b + i], one_ranks[i]) << b << " of " << batch;
          ASSERT_EQ(top[2 * b + i], one_top[i]) << b << " of " << batch;
        }
      }
    }
  }
}

TEST_P(LanguageModelConformanceTest, EmptyBatchesAreNothing) {
  model_->Advance({}, {}, {}, nullptr);
  model_->Output({}, nullptr);
}

std::string TestName(const testing::TestParamInfo<std::tuple<Case, const char*>>& info) {
  return std::get<0>(info.param).name + "_" + std::get<1>(info.param);
}

INSTANTIATE_TEST_SUITE_P(Models, LanguageModelConformanceTest,
                         testing::Combine(testing::ValuesIn(kCases),
                                          testing::ValuesIn(kImplementations)),
                         TestName);

}  // namespace
}  // namespace bitlm
