#include "trainer/train/text_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "trainer/export/exporter.h"
#include "trainer/init/initialize.h"

namespace bitlm::trainer {
namespace {

constexpr int kVocabulary = 100;

class TextGeneratorTest : public testing::Test {
 protected:
  TextGeneratorTest() {
    ModelConfig config = PresetConfig("bllm").value();
    config.hidden_size = config.embedding_size = 32;
    config.vocabulary_size = kVocabulary;
    Network<FastBackend> network(backend_, config, {.streams = 1, .steps = 2});
    InitializeAtRandom({.gamma_input = 2, .gamma_output = 3}, 1, &network);
    std::vector<std::string> words{"<unk>", "</s>"};
    while (words.size() < kVocabulary) words.push_back("w" + std::to_string(words.size()));
    model_ = *ExportModel(network, Vocabulary::FromWords(words).value(), ModelMetadata{});
    network.Pack();
    for (int32_t word = 0; word < kVocabulary; ++word) {
      const double p = std::exp(-Loss(network, {1}, {word}));
      first_[Word(word)] = p;
      if (word > 1 && (likeliest_ == 0 || p > first_[Word(likeliest_)])) likeliest_ = word;
    }
    for (int32_t word = 0; word < kVocabulary; ++word) {
      after_likeliest_[Word(word)] = std::exp(-Loss(network, {1, likeliest_}, {-1, word}));
    }
  }

  std::string Word(int32_t id) const { return std::string(model_->vocabulary.Word(id)); }

  // -log p of the targets that are not negative, from the zero state.
  static double Loss(Network<FastBackend>& network, std::vector<int32_t> inputs,
                     std::vector<int32_t> targets) {
    inputs.resize(2, 0);
    targets.resize(2, -1);
    const Batch batch{.streams = 1,
                      .steps = 2,
                      .inputs = inputs,
                      .targets = targets,
                      .resets = {1, 0},
                      .scored = 1};
    auto state = network.ZeroState();
    return network.Loss(batch, &state);
  }

  // The mean of -log p of all words and sentence ends, in nats; with the state zero at every line
  // or carried over.
  double TextLoss(const std::vector<std::vector<std::string>>& text, bool reset) {
    Network<FastBackend> network(backend_, model_->config, {.streams = 1, .steps = 32});
    InitializeAtRandom({.gamma_input = 2, .gamma_output = 3}, 1, &network);
    network.Pack();
    Batch batch{.streams = 1, .steps = 32, .inputs = {}, .targets = {}, .resets = {}, .scored = 32};
    auto state = network.ZeroState();
    double sum = 0;
    int64_t segments = 0;
    const TokenId end = model_->vocabulary.end_of_sentence_id();
    TokenId last = end;
    for (const auto& line : text) {
      for (size_t i = 0; i <= line.size(); ++i) {
        batch.inputs.push_back(last);
        batch.resets.push_back(reset && i == 0);
        last = i == line.size() ? end : model_->vocabulary.Find(line[i]);
        batch.targets.push_back(last);
        if (batch.inputs.size() < 32) continue;
        sum += network.Loss(batch, &state);
        ++segments;
        batch.inputs.clear();
        batch.targets.clear();
        batch.resets.clear();
      }
    }
    return sum / (32.0 * static_cast<double>(segments));
  }

  std::vector<std::vector<std::string>> Generate(int64_t tokens, uint64_t seed, int threads = 2,
                                                 double temperature = 1) {
    ThreadPool pool(threads);
    std::vector<std::vector<std::string>> sentences;
    const absl::Status status = GenerateText(
        *model_, {.tokens = tokens, .seed = seed, .longest = 30, .temperature = temperature}, &pool,
        [&](std::string_view line) {
          sentences.push_back(absl::StrSplit(std::string(line), ' ', absl::SkipEmpty()));
        });
    EXPECT_TRUE(status.ok()) << status;
    return sentences;
  }

  // The model with `bias` nats for </s>.
  Model WithEndBias(float bias) {
    ModelConfig config = model_->config;
    config.output_bias = true;
    Network<FastBackend> network(backend_, config, {.streams = 1, .steps = 2});
    InitializeAtRandom({.gamma_input = 2, .gamma_output = 3}, 1, &network);
    network.output().bias()->value[1] = bias;
    return *ExportModel(network, model_->vocabulary, ModelMetadata{});
  }

  ThreadPool pool_{2};
  FastBackend backend_{Precision::kFloat32, &pool_};
  std::optional<Model> model_;
  int32_t likeliest_ = 0;                                  // First word but </s>.
  std::map<std::string, double> first_, after_likeliest_;  // Of next words.
};

TEST_F(TextGeneratorTest, WordsComeWithTheirProbabilities) {
  std::map<std::string, double> first, second;
  double sentences = 0, begun = 0;
  for (const auto& sentence : Generate(400000, 1)) {
    ++sentences;
    ++first[sentence[0]];
    if (sentence[0] != Word(likeliest_)) continue;
    ++begun;
    ++second[sentence.size() > 1 ? sentence[1] : "</s>"];
  }
  ASSERT_GT(sentences, 10000);
  ASSERT_GT(begun, 300);
  // Empty sentences are left out.
  const double written = 1 - first_.at("</s>");
  EXPECT_EQ(first.count("</s>"), 0u);
  double total = 0;
  for (const auto& [word, p] : first_) {
    total += p;
    if (word == "</s>") continue;
    const double expected = sentences * p / written;
    EXPECT_NEAR(first[word], expected, 6 * std::sqrt(expected) + 3) << word;
  }
  EXPECT_NEAR(total, 1, 1e-4);
  for (const auto& [word, p] : after_likeliest_) {
    EXPECT_NEAR(second[word], begun * p, 6 * std::sqrt(begun * p) + 3) << word;
  }
}

TEST_F(TextGeneratorTest, ATemperatureIsAPowerOfTheProbabilities) {
  constexpr double kTemperature = 0.5;
  std::map<std::string, double> first;
  double sentences = 0;
  for (const auto& sentence : Generate(400000, 1, 2, kTemperature)) {
    ++sentences;
    ++first[sentence[0]];
  }
  ASSERT_GT(sentences, 10000);
  double total = 0;
  for (const auto& [word, p] : first_) {
    if (word != "</s>") total += std::pow(p, 1 / kTemperature);
  }
  for (const auto& [word, p] : first_) {
    if (word == "</s>") continue;
    const double expected = sentences * std::pow(p, 1 / kTemperature) / total;
    EXPECT_NEAR(first[word], expected, 6 * std::sqrt(expected) + 3) << word;
  }
}

TEST_F(TextGeneratorTest, ADocumentModelCarriesItsStateFromLineToLine) {
  for (const ContextKind context : {ContextKind::kSentence, ContextKind::kDocument}) {
    model_->config.context = context;
    const auto text = Generate(40000, 1);
    // The text is likelier under the protocol by which it was drawn, read in its order.
    const double reset = TextLoss(text, true), carried = TextLoss(text, false);
    if (context == ContextKind::kDocument) {
      EXPECT_LT(carried, reset - 0.02);
    } else {
      EXPECT_LT(reset, carried - 0.02);
    }
  }
}

TEST_F(TextGeneratorTest, FollowsATextButForAShareOfItsWords) {
  const std::vector<std::vector<std::string>> text{{"w2", "w3", "w4", "w5"}, {"w6"}, {"w7", "w8"}};
  GeneratorOptions options{
      .tokens = 60000, .text = TokenizeCorpus(text, model_->vocabulary), .redraw = 0.25};
  std::vector<std::vector<std::string>> written;
  const auto write = [&](std::string_view line) {
    written.push_back(absl::StrSplit(std::string(line), ' '));
  };
  ASSERT_TRUE(GenerateText(*model_, options, &pool_, write).ok());
  std::map<size_t, int> lengths;
  double kept = 0, words = 0;
  for (const auto& sentence : written) {
    ++lengths[sentence.size()];
    if (sentence.size() != 4) continue;
    for (size_t i = 0; i < 4; ++i) kept += sentence[i] == text[0][i];
    words += 4;
  }
  // Sentences keep their lengths, and come equally often but for those that 256 streams end with.
  ASSERT_EQ(lengths.size(), 3u);
  for (const size_t length : {1, 2, 4}) EXPECT_NEAR(lengths[length], written.size() / 3.0, 260);
  // What is drawn may be the same word, or </s>, which is not taken.
  EXPECT_GT(kept / words, 0.75 - 0.01);
  EXPECT_LT(kept / words, 0.85);

  options.redraw = 0;
  options.tokens = 12;
  written.clear();
  ASSERT_TRUE(GenerateText(*model_, options, &pool_, write).ok());
  for (const auto& sentence : written) EXPECT_THAT(text, testing::Contains(sentence));

  model_->config.context = ContextKind::kDocument;
  EXPECT_EQ(GenerateText(*model_, options, &pool_, write).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(TextGeneratorTest, EmptySentencesAreBlankLinesOfDocuments) {
  const double p = first_.at("</s>");
  model_ = WithEndBias(static_cast<float>(std::log((1 - p) / p) - 1));  // Now 1 / (1 + e).
  for (const ContextKind context : {ContextKind::kSentence, ContextKind::kDocument}) {
    model_->config.context = context;
    const auto text = Generate(5000, 1);
    const auto empty = std::count_if(text.begin(), text.end(),
                                     [](const auto& sentence) { return sentence.empty(); });
    if (context == ContextKind::kDocument) {
      EXPECT_GT(empty, 100);
    } else {
      EXPECT_EQ(empty, 0);
    }
  }
}

TEST_F(TextGeneratorTest, AModelThatEndsEverySentenceAtOnceIsRefused) {
  const Model ends = WithEndBias(1000);
  int lines = 0;
  const absl::Status status =
      GenerateText(ends, {.tokens = 50}, &pool_, [&](std::string_view) { ++lines; });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(lines, 0);
}

TEST_F(TextGeneratorTest, SeedsAndNotThreadsDecide) {
  const auto text = Generate(5000, 7);
  EXPECT_EQ(text, Generate(5000, 7, 1));
  EXPECT_NE(text, Generate(5000, 8));
  int64_t tokens = 0;
  for (const auto& sentence : text) {
    tokens += static_cast<int64_t>(sentence.size()) + 1;
    EXPECT_LE(sentence.size(), 30u);
    for (const std::string& word : sentence) EXPECT_TRUE(first_.contains(word)) << word;
  }
  EXPECT_GE(tokens, 5000);
  EXPECT_LT(tokens, 5000 + 257 * 31);
}

}  // namespace
}  // namespace bitlm::trainer
