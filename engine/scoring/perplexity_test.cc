#include "engine/scoring/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/scoring/sentence_scorer.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::HasSubstr;

std::shared_ptr<const LanguageModel> TestModel(const char* preset = "bllm") {
  return *MakeCpuLanguageModel(
      std::make_shared<const Model>(RandomModel(TinyConfig(preset, 40, 11, 11), 3)));
}

std::string RandomText(int lines, uint64_t seed) {
  RandomBits random(seed);
  std::string text;
  for (int i = 0; i < lines; ++i) {
    const uint64_t words = random.Below(9);
    for (uint64_t w = 0; w < words; ++w) text += "w" + std::to_string(random.Below(45)) + " ";
    text += "\n";
  }
  return text;
}

TEST(PerplexityTest, SentencesAddUpToWhatTheScorerGives) {
  const auto model = TestModel();
  const std::string text = "w1 w2\n\nzebra w3\n";
  ASSERT_OK_AND_ASSIGN(const PerplexityResult result,
                       EvaluateText(*model, text, ContextKind::kSentence, nullptr));
  double logprob = 0;
  double oov_logprob = 0;
  for (const std::string line : {"w1 w2", "", "zebra w3"}) {
    const TokenizedSentence sentence = *Tokenize(model->model(), line);
    const ScoreItem item{.sentence = &sentence, .options = {}};
    const SentenceScore score = SentenceScorer(model).Score({&item, 1}, nullptr)[0];
    logprob += score.logprob;
    oov_logprob += score.oov_logprob;
  }
  EXPECT_EQ(result.sentences, 3);
  EXPECT_EQ(result.tokens, 3 + 1 + 3);
  EXPECT_EQ(result.oov_tokens, 1);
  EXPECT_EQ(result.logprob, logprob);
  EXPECT_EQ(result.oov_logprob, oov_logprob);
  EXPECT_EQ(result.perplexity, std::exp(-logprob / 7));
  EXPECT_EQ(result.perplexity_excluding_oov, std::exp(-(logprob - oov_logprob) / 6));
}

// Of a model whose words all have one more in their logits, log Z is one more, but for its sign.
TEST(PerplexityTest, MeasuresLogZOfSelfNormalizedModels) {
  ModelConfig config = TinyConfig("lstm", 40, 11, 11);
  config.output_bias = true;
  const std::string text = RandomText(300, 4);
  const auto evaluate = [&](float shift, ContextKind context) {
    Model model = RandomModel(config, 3);
    for (float& b : model.tensors.at("output_bias").mutable_f32()) {
      b += shift;
    }
    const auto engine = *MakeCpuLanguageModel(std::make_shared<const Model>(std::move(model)));
    return *EvaluateText(*engine, text, context, nullptr);
  };
  EXPECT_EQ(evaluate(20, ContextKind::kSentence).mean_abs_log_z, 0);
  config.self_normalized = true;
  for (const ContextKind context : {ContextKind::kSentence, ContextKind::kDocument}) {
    const PerplexityResult low = evaluate(20, context), high = evaluate(21, context);
    EXPECT_NEAR(high.perplexity, low.perplexity, 1e-3 * low.perplexity);
    EXPECT_GT(low.mean_abs_log_z, 10);
    EXPECT_NEAR(high.mean_abs_log_z, low.mean_abs_log_z + 1, 1e-4);
    EXPECT_NEAR(evaluate(-200, context).mean_abs_log_z, 220 - low.mean_abs_log_z, 1e-2);
  }
}

TEST(PerplexityTest, DocumentCarriesTheStateOverLines) {
  const auto model = TestModel();
  const TokenId end = model->vocabulary().end_of_sentence_id();
  const std::string text = RandomText(300, 1);  // More tokens than one execution.
  ASSERT_OK_AND_ASSIGN(const PerplexityResult result,
                       EvaluateText(*model, text, ContextKind::kDocument, nullptr));
  // One step and one row at a time.
  std::vector<float> state(model->state_size(), 0.0f);
  double logprob = 0;
  int64_t tokens = 0;
  TokenId input = end;
  size_t begin = 0;
  for (size_t newline = text.find('\n'); newline != std::string::npos;
       begin = newline + 1, newline = text.find('\n', begin)) {
    std::vector<TokenId> targets =
        Tokenize(model->model(), text.substr(begin, newline - begin))->tokens;
    targets.push_back(end);
    double sentence = 0;
    for (const TokenId target : targets) {
      const float* from = state.data();
      float* to = state.data();
      model->Advance({&input, 1}, {&from, 1}, {&to, 1}, nullptr);
      float token_logprob = 0;
      OutputRow row;
      row.state = state.data();
      row.targets = {&target, 1};
      row.logprobs = &token_logprob;
      model->Output({&row, 1}, nullptr);
      sentence += token_logprob;
      ++tokens;
      input = target;
    }
    logprob += sentence;
  }
  EXPECT_EQ(result.sentences, 300);
  EXPECT_EQ(result.tokens, tokens);
  EXPECT_EQ(result.logprob, logprob);
  ASSERT_OK_AND_ASSIGN(const PerplexityResult by_sentence,
                       EvaluateText(*model, text, ContextKind::kSentence, nullptr));
  EXPECT_NE(by_sentence.logprob, result.logprob);
  EXPECT_EQ(by_sentence.tokens, result.tokens);
}

TEST(PerplexityTest, ThreadsDoNotMatter) {
  for (const char* preset : {"lstm", "bllm"}) {
    const auto model = TestModel(preset);
    const std::string text = RandomText(1500, 2);  // More sentences than are scored at once.
    for (const ContextKind context : {ContextKind::kSentence, ContextKind::kDocument}) {
      ThreadPool pool(2);
      ASSERT_OK_AND_ASSIGN(const PerplexityResult one,
                           EvaluateText(*model, text, context, nullptr));
      ASSERT_OK_AND_ASSIGN(const PerplexityResult two, EvaluateText(*model, text, context, &pool));
      EXPECT_EQ(one.logprob, two.logprob);
      EXPECT_EQ(one.oov_logprob, two.oov_logprob);
    }
  }
}

TEST(PerplexityTest, LastNewlineIsOptionalAndEmptyTextIsNothing) {
  const auto model = TestModel();
  for (const ContextKind context : {ContextKind::kSentence, ContextKind::kDocument}) {
    ASSERT_OK_AND_ASSIGN(const auto with, EvaluateText(*model, "w1\nw2\n", context, nullptr));
    ASSERT_OK_AND_ASSIGN(const auto without, EvaluateText(*model, "w1\nw2", context, nullptr));
    EXPECT_EQ(with.logprob, without.logprob);
    EXPECT_EQ(with.sentences, 2);
    ASSERT_OK_AND_ASSIGN(const auto nothing, EvaluateText(*model, "", context, nullptr));
    EXPECT_EQ(nothing.tokens, 0);
    EXPECT_EQ(nothing.perplexity, 0);
    ASSERT_OK_AND_ASSIGN(const auto all_oov, EvaluateText(*model, "zebra zebra", context, nullptr));
    EXPECT_EQ(all_oov.oov_tokens, 2);
    EXPECT_EQ(all_oov.tokens, 3);
    // What is left is </s>.
    EXPECT_GT(all_oov.perplexity_excluding_oov, 1);
    EXPECT_LT(std::log(all_oov.perplexity_excluding_oov), -all_oov.logprob);
  }
}

TEST(PerplexityTest, ErrorsNameTheLine) {
  const auto model = TestModel();
  for (const ContextKind context : {ContextKind::kSentence, ContextKind::kDocument}) {
    EXPECT_THAT(EvaluateText(*model, "w1\n\nw2 </s>\n", context, nullptr),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 3: word 2")));
  }
}

}  // namespace
}  // namespace bitlm
