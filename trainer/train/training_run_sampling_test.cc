// Runs whose softmax is sampled at first (softmax.samples): more than 1,024 words.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/scoring/model_loading.h"
#include "trainer/train/training_run_testing.h"

namespace bitlm::trainer {
namespace {

constexpr int kStreams = 32;

// Ten classes of 150 words. The class of a word says which two classes the next one is of; inside
// of its class the r-th word has a share of about 1 / r. Perplexities, </s> included: 404 of the
// words' shares, 83 of the shares after the word before.
std::string ManyWords(uint64_t seed, int sentences) {
  std::string text;
  for (int s = 0; s < sentences; ++s) {
    const uint64_t key = Combine(seed, static_cast<uint64_t>(s));
    uint64_t of_class = key % 10;
    for (uint64_t w = 0; w < 7; ++w) {
      const auto rank = static_cast<int>(std::pow(151.0, UniformAt(key, w))) - 1;
      absl::StrAppend(&text, w > 0 ? " " : "", "w", of_class, "_", rank);
      of_class = (of_class * 7 + 1 + Combine(key, 90000 + w) % 2) % 10;
    }
    text += "\n";
  }
  return text;
}

class SampledSoftmaxRunTest : public TrainingRunTest {
 protected:
  void SetUp() override {
    TrainingRunTest::SetUp();
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/train.txt", ManyWords(1, 3000)).ok());
    WriteEqualValidationTexts(ManyWords(2, 8), kStreams);
  }
  // 75 steps an epoch, of 320 targets each: they always fit into the half of 1,024.
  Recipe MakeSampled(const std::string& preset, const std::string& extra) {
    return MakeRecipe(preset,
                      "optimizer = adam\nlearning_rate = 0.03\nschedule = linear\n"
                      "epochs = 2\nsoftmax.samples = 1024\n" +
                          extra);
  }
  void Train(const Recipe& recipe, const std::string& output) {
    auto run = TrainingRun::Create(recipe, Options(output));
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
  }
  // Lines of a log without its times, the names of its columns left out.
  std::vector<std::string> LogLines(const std::string& output) const {
    std::vector<std::string> lines = absl::StrSplit(LogWithoutTimes(output), '\n');
    return {lines.begin() + 1, lines.end() - 1};
  }
  static double Perplexity(const std::string& line) {
    return std::stod(line.substr(line.rfind(',') + 1));
  }
};

class SampledSoftmaxPresetTest : public SampledSoftmaxRunTest,
                                 public testing::WithParamInterface<const char*> {};

// Trained, and exported: the serving engine, which computes every word, finds what the trainer's
// own validation has found, whether the last step was sampled or not. Resumed across the end of
// sampling, it ends with the same bytes.
TEST_P(SampledSoftmaxPresetTest, LearnsGoesOnAndIsEvaluatedByTheEngine) {
  const auto sampled = [&](const char* part) {
    return MakeSampled(GetParam(),
                       absl::StrCat("validations_per_epoch = 2\nmodel.activation_planes = 2\n"
                                    "model.output_bias = true\nsoftmax.sampled_part = ",
                                    part, "\n"));
  };
  TrainingOptions options = Options("");
  options.precision = Precision::kFloat32;
  for (const auto& [output, part] : {std::pair("always", "1"), std::pair("whole", "0.6")}) {
    SCOPED_TRACE(output);
    options.output = directory_ + "/" + output;
    auto run = TrainingRun::Create(sampled(part), options);
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
    const std::vector<std::string> lines = LogLines(output);
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_LT(Perplexity(lines[3]), 0.8 * Perplexity(lines[0]));
    EXPECT_LT(Perplexity(lines[3]), 350);  // It has begun to know the classes.
    const auto exported = (*run)->Export();
    ASSERT_TRUE(exported.ok()) << exported.status();
    const auto engine = LoadLanguageModel(*exported);
    ASSERT_TRUE(engine.ok()) << engine.status();
    EXPECT_GT((*engine)->config().vocabulary_size, 1200);
    const double trained = LeastLogged(options.output + "/log.csv");
    EXPECT_NEAR((*engine)->model().metadata.valid_perplexity, trained, 1e-3 * trained);
  }
  options.output = directory_ + "/parts";
  ExpectSameInParts(sampled("0.6"), options);
  EXPECT_EQ(*ReadFile(directory_ + "/whole/best.bin"), *ReadFile(directory_ + "/parts/best.bin"));
}

INSTANTIATE_TEST_SUITE_P(Presets, SampledSoftmaxPresetTest,
                         testing::Values("lstm", "bllm", "tied_binary_planes_2"));

// After its part of the run, and from the very next step on, every word is computed.
TEST_F(SampledSoftmaxRunTest, SwitchesBackToEveryWord) {
  // Validated after every step.
  const std::string every_step = "epochs = 1\nvalidations_per_epoch = 10000\n";
  const auto sampled = [&](double part) {
    return MakeSampled("lstm", absl::StrCat(every_step, "softmax.sampled_part = ", part, "\n"));
  };
  Train(sampled(0.6), "some");
  Train(sampled(1), "all");
  const auto some = LogLines("some"), all = LogLines("all");
  ASSERT_EQ(some.size(), 75u);
  ASSERT_EQ(all.size(), some.size());
  for (size_t i = 0; i < some.size(); ++i) {
    const bool same = i < 45;
    EXPECT_EQ(some[i] == all[i], same) << "step " << i + 1 << ": " << some[i] << ", " << all[i];
  }
  // Without its part, a run is one that has no samples.
  Train(sampled(0), "none");
  Train(MakeSampled("lstm", every_step + "softmax.samples = 0\n"), "without");
  EXPECT_EQ(CheckpointArrays("none"), CheckpointArrays("without"));
  EXPECT_EQ(LogWithoutTimes("none"), LogWithoutTimes("without"));
  EXPECT_NE(LogLines("none").back(), all.back());
}

// As many samples as words are every word.
TEST_F(SampledSoftmaxRunTest, DoesNotSampleFewWords) {
  ASSERT_TRUE(WriteFileAtomically(directory_ + "/train.txt", MadeUpText(1, 400)).ok());
  Train(MakeSampled("lstm", "softmax.sampled_part = 1\n"), "sampled");
  Train(MakeSampled("lstm", "softmax.samples = 0\n"), "every");
  EXPECT_EQ(CheckpointArrays("sampled"), CheckpointArrays("every"));
}

}  // namespace
}  // namespace bitlm::trainer
