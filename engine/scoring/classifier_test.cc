#include "engine/scoring/classifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/cpu_features.h"
#include "tests/support/random_model.h"

namespace bitlm {
namespace {

// As [ZT] section 4.3 has it: five classes.
Model MakeClassifier(const std::string& preset) {
  ModelConfig config = TinyConfig(preset, 40, 11, 11);
  config.head = HeadKind::kClassifier;
  config.classes = 5;
  config.output_bias = true;
  return RandomModel(config, 3);
}

std::vector<std::vector<float>> ClassifyTexts(const LanguageModel& model,
                                              const std::vector<std::string>& texts,
                                              ThreadPool* pool = nullptr) {
  std::vector<TokenizedSentence> sentences;
  for (const std::string& text : texts) sentences.push_back(*Tokenize(model.model(), text));
  std::vector<const TokenizedSentence*> pointers;
  for (const TokenizedSentence& sentence : sentences) pointers.push_back(&sentence);
  return Classify(model, pointers, pool);
}

const std::vector<std::string> kTexts = {"w1 w2 w3", "", "w1 w2", "w9", "w1 w2 w3", "w4 unheard"};

TEST(ClassifierTest, GivesADistributionOverClasses) {
  const auto model = *MakeCpuLanguageModel(std::make_shared<const Model>(MakeClassifier("lstm")));
  const std::vector<std::vector<float>> classes = ClassifyTexts(*model, kTexts);
  ASSERT_EQ(classes.size(), kTexts.size());
  for (const std::vector<float>& logprobs : classes) {
    ASSERT_EQ(logprobs.size(), 5u);
    double sum = 0;
    for (const float logprob : logprobs) sum += std::exp(static_cast<double>(logprob));
    EXPECT_NEAR(sum, 1, 1e-6);
  }
  EXPECT_EQ(classes[0], classes[4]);
  EXPECT_NE(classes[0], classes[2]);
}

TEST(ClassifierTest, GivesTheSameBitsInEveryBatchAndVariant) {
  for (const std::string preset : {"lstm", "bw-lstm", "xnor-lstm", "bllm"}) {
    const auto model = std::make_shared<const Model>(MakeClassifier(preset));
    const auto portable = *MakeCpuLanguageModel(model, cpu::kNone);
    const auto fast = *MakeCpuLanguageModel(model);
    ThreadPool pool(2);
    const std::vector<std::vector<float>> together = ClassifyTexts(*fast, kTexts, &pool);
    for (size_t i = 0; i < kTexts.size(); ++i) {
      EXPECT_EQ(together[i], ClassifyTexts(*portable, {kTexts[i]})[0]) << preset;
    }
  }
}

TEST(ClassifierTest, IsCloseToTheReference) {
  const auto model = std::make_shared<const Model>(MakeClassifier("lstm"));
  const auto reference = *MakeReferenceLanguageModel(model);
  const auto expected = ClassifyTexts(*reference, kTexts);
  const auto found = ClassifyTexts(**MakeCpuLanguageModel(model), kTexts);
  for (size_t i = 0; i < kTexts.size(); ++i) {
    // Floats: four steps of at most some hundred roundings on values of at most 4.
    for (size_t c = 0; c < 5; ++c) EXPECT_NEAR(found[i][c], expected[i][c], 400 * 4 * 0x1p-24);
  }
}

}  // namespace
}  // namespace bitlm
