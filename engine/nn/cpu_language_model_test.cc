// The CPU model against the reference, its variants against each other, and what it refuses.
#include "engine/nn/cpu_language_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/cpu_features.h"
#include "engine/nn/error_bound.h"
#include "engine/nn/language_model.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::HasSubstr;

struct Outputs {
  std::vector<float> states;    // After every token.
  std::vector<float> logprobs;  // Of every word after every token.
};

std::vector<float> Step(const LanguageModel& model, const std::vector<float>& state,
                        TokenId token) {
  std::vector<float> next(model.state_size(), NAN);
  const float* from = state.data();
  float* to = next.data();
  model.Advance({&token, 1}, {&from, 1}, {&to, 1}, nullptr);
  return next;
}

std::vector<float> Distribution(const LanguageModel& model, const std::vector<float>& state) {
  std::vector<TokenId> all(static_cast<size_t>(model.config().vocabulary_size));
  for (size_t v = 0; v < all.size(); ++v) all[v] = static_cast<TokenId>(v);
  std::vector<float> logprobs(all.size(), NAN);
  OutputRow row;
  row.state = state.data();
  row.targets = all;
  row.logprobs = logprobs.data();
  model.Output({&row, 1}, nullptr);
  return logprobs;
}

// Reads `tokens` from the zero state.
Outputs Read(const LanguageModel& model, const std::vector<TokenId>& tokens) {
  Outputs outputs;
  std::vector<float> state(model.state_size(), 0.0f);
  for (const TokenId token : tokens) {
    state = Step(model, state, token);
    const std::vector<float> logprobs = Distribution(model, state);
    outputs.states.insert(outputs.states.end(), state.begin(), state.end());
    outputs.logprobs.insert(outputs.logprobs.end(), logprobs.begin(), logprobs.end());
  }
  return outputs;
}

std::vector<TokenId> RandomTokens(int vocabulary, int count, uint64_t seed) {
  RandomBits random(seed);
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(static_cast<TokenId>(random.Below(static_cast<uint64_t>(vocabulary))));
  }
  return tokens;
}

std::vector<ModelConfig> Configs() {
  std::vector<ModelConfig> configs;
  for (const std::string preset :
       {"lstm", "belm", "bllm", "bllm-no-i", "bllm-no-o", "bllm-no-io"}) {
    const bool square = preset == "lstm" || preset == "bllm-no-o" || preset == "bllm-no-io";
    for (const int hidden : {1, 7, 33, 65}) {
      for (const int planes : {1, 2}) {
        ModelConfig config =
            TinyConfig(preset, hidden == 1 ? 2 : 515, square ? hidden : 19, hidden);
        if (preset == "bllm-no-i") config.embedding_size = hidden;
        config.activation_planes = planes;
        config.layers = hidden == 33 ? 2 : 1;
        config.output_bias = hidden == 7;
        configs.push_back(config);
      }
    }
  }
  for (const char* preset : {"lstm", "belm"}) {
    for (const int hidden : {7, 65}) {
      ModelConfig config = TinyConfig(preset, 515, hidden, hidden);
      config.recurrent = MatrixKind::kInt8;
      config.activation_planes = hidden == 7 ? 2 : 1;
      config.layers = 2;
      configs.push_back(config);
    }
  }
  for (const char* preset : {"belm", "bllm", "bllm-no-io"}) {
    for (const int bit_planes : {2, 3}) {
      ModelConfig config = TinyConfig(preset, 515, 33, 33);
      config.bit_planes = bit_planes;
      config.activation_planes = bit_planes - 1;
      configs.push_back(config);
    }
  }
  for (const char* preset : {"belm", "bllm", "bllm-no-i"}) {
    ModelConfig config = TinyConfig(preset, 515, 33, 33);
    config.bit_planes = preset == std::string("bllm") ? 1 : 3;
    if (preset != std::string("belm")) {
      config.recurrent_planes = 2;
      config.projection_planes = preset == std::string("bllm") ? 3 : 1;
    }
    configs.push_back(config);
  }
  return configs;
}

std::string Describe(const ModelConfig& config) {
  return config.preset + " H=" + std::to_string(config.hidden_size) +
         " planes=" + std::to_string(config.activation_planes);
}

// Configs without a derived bound: a sign may turn over by any error.
std::vector<ModelConfig> MoreConfigs() {
  std::vector<ModelConfig> configs;
  for (const char* preset : {"bw-lstm", "xnor-lstm", "xnor-lstm-bn"}) {
    for (const int hidden : {1, 7, 33, 65}) {
      ModelConfig config = TinyConfig(preset, hidden == 1 ? 2 : 515, hidden, hidden);
      config.activation_planes = hidden == 65 ? 2 : 1;
      config.layers = hidden == 33 ? 2 : 1;
      configs.push_back(config);
    }
  }
  for (const char* preset : {"lstm", "belm", "bllm"}) {
    ModelConfig config = TinyConfig(preset, 515, 33, 33);
    config.output_embedding = MatrixKind::kTied;
    config.scale = ScaleKind::kPerMatrix;
    config.norm = NormKind::kBatch;
    configs.push_back(config);
  }
  for (const char* preset : {"lstm", "bllm", "xnor-lstm"}) {
    for (const int hidden : {1, 17, 65}) {
      ModelConfig config = TinyConfig(preset, 515, hidden, hidden);
      config.norm = NormKind::kLayer;
      config.layers = hidden == 17 ? 2 : 1;
      config.bit_planes = hidden == 65 && preset != std::string("lstm") ? 2 : 1;
      configs.push_back(config);
    }
  }
  return configs;
}

TEST(CpuLanguageModelTest, EveryInstructionSetGivesTheSameBits) {
  std::vector<ModelConfig> configs = Configs();
  for (const ModelConfig& config : MoreConfigs()) configs.push_back(config);
  for (const ModelConfig& config : configs) {
    SCOPED_TRACE(Describe(config));
    auto model = std::make_shared<const Model>(RandomModel(config, 5));
    const std::vector<TokenId> tokens = RandomTokens(config.vocabulary_size, 6, 9);
    ASSERT_OK_AND_ASSIGN(auto portable, MakeCpuLanguageModel(model, cpu::kNone));
    const Outputs expected = Read(*portable, tokens);
    for (const char* level : {"avx2", "avx512", "avx512_vnni", "avx512_vpopcntdq", "avx512_permute",
                              "amx", "neon", "neon_dotprod"}) {
      ASSERT_OK_AND_ASSIGN(const uint32_t features, cpu::Narrow(cpu::Usable(), level));
      ASSERT_OK_AND_ASSIGN(auto variant, MakeCpuLanguageModel(model, features));
      const Outputs found = Read(*variant, tokens);
      // As vectors: NaN would differ from itself, so equality also says that there is none.
      ASSERT_EQ(found.states, expected.states) << level;
      ASSERT_EQ(found.logprobs, expected.logprobs) << level;
    }
  }
}

TEST(CpuLanguageModelTest, EachStepStaysWithinTheDerivedBoundOfTheReference) {
  for (const ModelConfig& config : Configs()) {
    SCOPED_TRACE(Describe(config));
    auto model = std::make_shared<const Model>(RandomModel(config, 5));
    ASSERT_OK_AND_ASSIGN(auto reference, MakeReferenceLanguageModel(model));
    ASSERT_OK_AND_ASSIGN(auto cpu, MakeCpuLanguageModel(model));
    const ErrorBound bound(*model);
    std::vector<float> state(reference->state_size(), 0.0f);
    for (int t = 0; t < 6; ++t) {
      const TokenId token = (7 * t + 1) % config.vocabulary_size;
      const std::vector<float> expected = Step(*reference, state, token);
      const std::vector<float> found = Step(*cpu, state, token);
      // |c| grows by at most 1 a step (equation 3).
      const double state_bound = bound.State(t);
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_LE(std::fabs(found[i] - expected[i]), state_bound) << "step " << t;
      }
      state = expected;
      const std::vector<float> expected_logprobs = Distribution(*reference, state);
      const std::vector<float> found_logprobs = Distribution(*cpu, state);
      for (size_t v = 0; v < expected_logprobs.size(); ++v) {
        ASSERT_LE(std::fabs(found_logprobs[v] - expected_logprobs[v]), bound.Logprob())
            << "step " << t;
      }
      // The bounds are worth something: floats agree to three digits in the worst case.
      if (config.recurrent == MatrixKind::kFloat && config.layers == 1) {
        EXPECT_LT(state_bound, 1e-3);
      }
      if (config.output_embedding == MatrixKind::kFloat) {
        EXPECT_LT(bound.Logprob(), 1e-3);
      }
    }
  }
}

// Quantization is the papers' loss, and it must stay small: perplexity within 0.1 %, a mean
// log-probability within 0.001. (bundled_model_test and `bitlm-train eval --reference` look at
// trained models; the random ones here have far less structure to lose.)
TEST(CpuLanguageModelTest, PerplexityIsThatOfTheReference) {
  std::vector<ModelConfig> configs = MoreConfigs();
  for (const char* preset : {"lstm", "belm", "bllm"}) {
    configs.push_back(TinyConfig(preset, 1025, 65, 65));
  }
  for (const ModelConfig& config : configs) {
    if (config.vocabulary_size < 100) continue;
    auto model = std::make_shared<const Model>(RandomModel(config, 3));
    ASSERT_OK_AND_ASSIGN(auto reference, MakeReferenceLanguageModel(model));
    ASSERT_OK_AND_ASSIGN(auto cpu, MakeCpuLanguageModel(model));
    const std::vector<TokenId> tokens = RandomTokens(config.vocabulary_size, 200, 17);
    const Outputs expected = Read(*reference, tokens);
    const Outputs found = Read(*cpu, tokens);
    double difference = 0;
    for (size_t t = 0; t + 1 < tokens.size(); ++t) {
      const size_t at =
          t * static_cast<size_t>(config.vocabulary_size) + static_cast<size_t>(tokens[t + 1]);
      difference += static_cast<double>(found.logprobs[at]) - expected.logprobs[at];
    }
    EXPECT_LT(std::fabs(difference / 199), 1e-3) << Describe(config);
  }
}

TEST(CpuLanguageModelTest, ResidentWeightsFollowThePapersTable) {
  // [LCY18] Table 1 with H = E.
  const double v = 10000, h = 500;
  ModelConfig config = TinyConfig("bllm", 10000, 500, 500);
  ASSERT_OK_AND_ASSIGN(auto bllm,
                       MakeCpuLanguageModel(std::make_shared<const Model>(RandomModel(config, 1))));
  EXPECT_NEAR(static_cast<double>(bllm->weight_bytes()) / (0.25 * v * h + 1.25 * h * h + 48 * h), 1,
              0.02);
  config = TinyConfig("belm", 10000, 500, 500);
  ASSERT_OK_AND_ASSIGN(auto belm,
                       MakeCpuLanguageModel(std::make_shared<const Model>(RandomModel(config, 1))));
  EXPECT_NEAR(static_cast<double>(belm->weight_bytes()) / (0.25 * v * h + 40 * h * h + 24 * h), 1,
              0.02);
}

// The derived bound knows the weights alone, not the deviation that a layer norm divides by.
TEST(CpuLanguageModelTest, LayerNormStaysCloseToTheReference) {
  for (const char* preset : {"lstm", "bllm"}) {
    ModelConfig config = TinyConfig(preset, 515, 65, 65);
    config.norm = NormKind::kLayer;
    config.activation_planes = 2;
    auto model = std::make_shared<const Model>(RandomModel(config, 5));
    ASSERT_OK_AND_ASSIGN(auto reference, MakeReferenceLanguageModel(model));
    ASSERT_OK_AND_ASSIGN(auto cpu, MakeCpuLanguageModel(model));
    // Products of 65 terms: floats of at most 0.3 * 1 are off by 66 * 65 * 0.3 * 2^-24 = 8e-5,
    // signs of scale 0.1 by half a step of their inputs, 65 * 0.1 / 32512 = 2e-4. Their deviations
    // are those of 65 random terms, above 0.1; gains are up to 1.5, and there are two products.
    const double gate = 2 * 1.5 * (preset == std::string("lstm") ? 8e-5 : 2e-4) * 2 / 0.1;
    std::vector<float> state(reference->state_size(), 0.0f);
    for (int t = 0; t < 6; ++t) {
      const std::vector<float> expected = Step(*reference, state, 7 * t + 1);
      const std::vector<float> found = Step(*cpu, state, 7 * t + 1);
      for (size_t i = 0; i < expected.size(); ++i) {
        // Through slopes of at most 1, and a third norm.
        ASSERT_NEAR(found[i], expected[i], 3 * gate) << preset << ", step " << t;
      }
      state = expected;
    }
  }
}

TEST(CpuLanguageModelTest, KeepsNoSecondCopyOfTheWeights) {
  auto model = std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 50, 9, 9), 1));
  const std::weak_ptr<const Model> watched = model;
  ASSERT_OK_AND_ASSIGN(auto cpu, MakeCpuLanguageModel(std::move(model)));
  EXPECT_TRUE(watched.expired());
  EXPECT_TRUE(cpu->model().tensors.empty());
  EXPECT_EQ(cpu->vocabulary().size(), 50);
}

TEST(CpuLanguageModelTest, RefusesWhatItCannotCompute) {
  auto refused = std::make_shared<const Model>(RandomModel(UnservableConfig(), 1));
  EXPECT_THAT(MakeCpuLanguageModel(refused), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(MakeReferenceLanguageModel(refused), StatusIs(absl::StatusCode::kFailedPrecondition));
  auto model = std::make_shared<const Model>(RandomModel(TinyConfig("lstm", 20, 8, 8), 1));
  EXPECT_THAT(MakeCpuLanguageModel(model, 1u << 31),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("asked for")));
}

TEST(CpuLanguageModelTest, RefusesWeightsThatAreNotNumbers) {
  for (const float bad : {std::numeric_limits<float>::infinity(), NAN}) {
    Model model = RandomModel(TinyConfig("bllm", 20, 8, 8), 1);
    model.tensors.at("lstm.0.scale").mutable_f32()[3] = bad;
    EXPECT_THAT(MakeCpuLanguageModel(std::make_shared<const Model>(std::move(model))),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("\"lstm.0.scale\": value 3")));
  }
}

// Finite weights can still overflow. The answers are then worthless, but defined: no crash, and
// the same bits everywhere.
TEST(CpuLanguageModelTest, OverflowIsDefined) {
  for (const char* preset : {"lstm", "bllm"}) {
    Model extreme = RandomModel(TinyConfig(preset, 515, 33, 33), 1);
    for (auto& [name, tensor] : extreme.tensors) {
      if (tensor.dtype != DType::kF32) continue;
      for (float& value : tensor.mutable_f32()) value = value < 0 ? -3e38f : 3e38f;
    }
    auto model = std::make_shared<const Model>(std::move(extreme));
    std::vector<std::vector<TokenScore>> tops;
    for (const uint32_t features : {uint32_t{cpu::kNone}, cpu::Usable()}) {
      ASSERT_OK_AND_ASSIGN(auto cpu, MakeCpuLanguageModel(model, features));
      const Outputs outputs = Read(*cpu, {1, 2});
      std::vector<TokenScore> top(515);
      OutputRow row;
      row.state = outputs.states.data();
      row.top_k = 515;
      row.top = top.data();
      cpu->Output({&row, 1}, nullptr);
      std::vector<bool> seen(515);
      for (const TokenScore& word : top) seen[static_cast<size_t>(word.token)] = true;
      EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 515);
      tops.push_back(top);
    }
    for (size_t i = 0; i < 515; ++i) EXPECT_EQ(tops[0][i].token, tops[1][i].token);
  }
}

}  // namespace
}  // namespace bitlm
