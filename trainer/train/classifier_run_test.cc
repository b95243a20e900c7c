// Whole runs of classifiers, and of pruned models.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/scoring/model_loading.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"
#include "trainer/tensor/random.h"
#include "trainer/train/classifier_evaluation.h"
#include "trainer/train/training_run.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

// A tree to the right over words of which some are good, some bad, and "not" turns round what
// follows: its label, from 0 to 2, is the sign of the sum.
std::string Tree(uint64_t seed, int* sum) {
  const uint64_t words = 1 + Mix64(seed) % 6;
  std::string tree;
  *sum = 0;
  for (uint64_t w = 0; w < words; ++w) {
    const uint64_t draw = Combine(seed, w) % 12;
    std::string word;
    if (draw == 0) {
      *sum = -*sum;
      word = "not";
    } else {
      const int value = draw < 4 ? 1 : draw < 7 ? -1 : 0;
      *sum += value;
      word = (value > 0 ? "good" : value < 0 ? "bad" : "so") + std::to_string(draw);
    }
    const auto label = [](int x) { return std::to_string(x > 0 ? 2 : x < 0 ? 0 : 1); };
    const std::string leaf = "(1 " + word + ")";
    tree = tree.empty() ? leaf : "(" + label(*sum) + " " + leaf + " " + tree + ")";
  }
  return tree;
}

std::string Trees(uint64_t seed, uint64_t count) {
  std::string text;
  int sum;
  for (uint64_t s = 0; s < count; ++s) text += Tree(Combine(seed, s), &sum) + "\n";
  return text;
}

class ClassifierRunTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(WriteFileAtomically(directory_.Path("train.txt"), Trees(1, 500)), IsOk());
    ASSERT_THAT(WriteFileAtomically(directory_.Path("valid.txt"), Trees(2, 150)), IsOk());
  }
  absl::StatusOr<Recipe> Parse(const std::string& preset, const std::string& extra = "") {
    return ParseRecipe("name = toy\ndata.train = " + directory_.Path("train.txt") +
                           "\ndata.valid = " + directory_.Path("valid.txt") +
                           "\ndata.phrases = distinct\nmodel.preset = " + preset +
                           "\nmodel.head = classifier\nmodel.classes = 3\n"
                           "model.output_bias = true\nmodel.hidden_size = 24\n"
                           "batch.streams = 8\nbatch.steps = 12\nepochs = 12\noptimizer = adam\n"
                           "learning_rate = 0.01\nschedule = linear\ncheckpoint_seconds = 0\n" +
                           extra,
                       "toy", {});
  }
  TrainingOptions Options(const std::string& output) {
    return {.output = directory_.Path(output),
            .threads = 2,
            .precision = Precision::kFloat32,
            .quiet = true};
  }
  absl::Status CreateStatus(const std::string& preset, const std::string& extra) {
    const auto recipe = Parse(preset, extra);
    if (!recipe.ok()) return recipe.status();
    return TrainingRun::Create(*recipe, Options("refused")).status();
  }
  // Trains to the end, in parts of `steps` steps if not 0, and returns the exported model.
  std::string Run(const Recipe& recipe, const std::string& output, int64_t steps = 0) {
    for (int parts = 0; parts < 1000; ++parts) {
      TrainingOptions options = Options(output);
      options.stop_after_steps = steps;
      auto run = TrainingRun::Create(recipe, options);
      EXPECT_TRUE(run.ok()) << run.status();
      if (!run.ok()) return "";
      const auto end = (*run)->Train();
      EXPECT_TRUE(end.ok()) << end.status();
      if (!end.ok()) return "";
      if (*end == TrainingEnd::kStopped) continue;
      const auto exported = (*run)->Export();
      EXPECT_TRUE(exported.ok()) << exported.status();
      return exported.ok() ? *exported : "";
    }
    ADD_FAILURE() << "does not end";
    return "";
  }
  // The column `column` of a log, from its first line.
  std::vector<double> Logged(const std::string& output, const std::string& column) {
    const std::vector<std::string> lines =
        absl::StrSplit(*ReadFile(directory_.Path(output + "/log.csv")), '\n', absl::SkipEmpty());
    const std::vector<std::string> names = absl::StrSplit(lines[0], ',');
    const auto at = std::find(names.begin(), names.end(), column) - names.begin();
    EXPECT_LT(at, static_cast<std::ptrdiff_t>(names.size())) << column;
    std::vector<double> values;
    for (size_t i = 1; i < lines.size(); ++i) {
      const std::vector<std::string> fields = absl::StrSplit(lines[i], ',');
      values.push_back(std::stod(fields.at(static_cast<size_t>(at))));
    }
    return values;
  }
  // Weights, moments and states of a run's last checkpoint.
  std::string CheckpointArrays(const std::string& output) {
    const std::string bytes = *ReadFile(directory_.Path(output + "/checkpoint.bin"));
    uint64_t header;
    std::memcpy(&header, bytes.data() + 8, sizeof(header));
    return bytes.substr(16 + header, bytes.size() - 16 - header - 64);
  }
  TemporaryDirectory directory_;
};

class ClassifierPresetTest : public ClassifierRunTest,
                             public testing::WithParamInterface<const char*> {};

// The best validation is the exported model, and the serving engine finds what the trainer found:
// in float32 with 16-bit activations the two answer alike but for near ties.
TEST_P(ClassifierPresetTest, LearnsAndTheEngineAgrees) {
  const auto recipe = Parse(GetParam(),
                            "model.activation_planes = 2\ninit.gamma_input = 2\n"
                            "init.gamma_output = 1.5\n");
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  const std::string directory = Run(*recipe, "out");
  ASSERT_OK_AND_ASSIGN(const auto engine, LoadLanguageModel(directory));
  EXPECT_EQ(engine->config().head, HeadKind::kClassifier);
  ASSERT_OK_AND_ASSIGN(const ClassificationResult result,
                       EvaluateClassifier(*engine, recipe->valid, nullptr));
  EXPECT_EQ(result.sentences, 150);
  const std::vector<double> accuracies = Logged("out", "valid_accuracy");
  const auto best = std::max_element(accuracies.begin(), accuracies.end());
  EXPECT_NEAR(result.accuracy(), *best, 1.01 / 150);
  const double logged =
      Logged("out", "valid_perplexity")[static_cast<size_t>(best - accuracies.begin())];
  EXPECT_NEAR(result.perplexity(), logged, 2e-3 * logged);
  EXPECT_EQ(result.perplexity(), engine->model().metadata.valid_perplexity);
  EXPECT_EQ(engine->model().golden.size(), 4u);
  // One class has about two fifths of the sentences; "not" needs the order of the words.
  EXPECT_GT(result.accuracy(), 0.85);
  int64_t confused = 0;
  for (const auto& row : result.confusion) {
    for (const int64_t count : row) confused += count;
  }
  EXPECT_EQ(confused, result.sentences);
}

INSTANTIATE_TEST_SUITE_P(Presets, ClassifierPresetTest,
                         testing::Values("lstm", "belm", "bllm", "bw-lstm", "xnor-lstm"));

TEST_F(ClassifierRunTest, ResumedRunEndsWithTheSameBytes) {
  const auto recipe = Parse("lstm", "epochs = 3\ndropout.words = 0.1\ndropout.output = 0.2\n");
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  Run(*recipe, "whole");
  Run(*recipe, "parts", 7);
  EXPECT_EQ(CheckpointArrays("whole"), CheckpointArrays("parts"));
  EXPECT_EQ(*ReadFile(directory_.Path("whole/best.bin")),
            *ReadFile(directory_.Path("parts/best.bin")));
  EXPECT_EQ(Logged("whole", "valid_accuracy"), Logged("parts", "valid_accuracy"));
}

TEST_F(ClassifierRunTest, StartsFromWordVectors) {
  std::string vectors;
  for (const char* word : {"not", "good1", "bad4"}) {
    vectors += word;
    for (int i = 0; i < 24; ++i) vectors += " 0." + std::to_string(i);
    vectors += "\n";
  }
  const std::string path = directory_.Path("vectors.txt");
  ASSERT_THAT(WriteFileAtomically(path, vectors), IsOk());
  // One step of no size: what is exported is what it started from.
  const auto recipe =
      Parse("lstm", "init.word_vectors = " + path + "\nlearning_rate = 0\nepochs = 0.001\n");
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  ASSERT_OK_AND_ASSIGN(const auto model, ReadModel(Run(*recipe, "out")));
  const auto row = static_cast<size_t>(model->vocabulary.Find("bad4")) * 24;
  EXPECT_EQ(model->tensors.at("embedding.weight").f32()[row + 7], 0.7f);
  EXPECT_THAT(CreateStatus("belm", "init.word_vectors = " + path + "\n"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("init.word_vectors")));
  EXPECT_THAT(CreateStatus("lstm", "init.word_vectors = " + path +
                                       "\nmodel.hidden_size = 8\n"
                                       "model.embedding_size = 8\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("init.word_vectors: " + path + ": line 1: 24 values")));
}

TEST_F(ClassifierRunTest, RefusesKeysWithoutMeaning) {
  for (const auto& [extra, fragment] : std::vector<std::pair<std::string, std::string>>{
           {"model.context = document\n", "model.context: not of head \"classifier\""},
           {"data.synthetic = x\n", "data.synthetic: not of head"},
           {"softmax.samples = 1024\n", "softmax.samples: not of head"},
           {"model.classes = 1\n", "model.classes: 1, expected at least 2"},
           {"model.classes = 2\n", "expected a label in [0, 1]"},
           {"batch.steps = 6\n",
            "batch.steps: 6, but a classifier reads whole sentences, of up to 6"},
           {"model.head = language_model\nmodel.classes = 0\n", "data.phrases: only of head"},
           {"pruning.recurrent = 0.5\n", "pruning: needs init.model"}}) {
    EXPECT_THAT(CreateStatus("lstm", extra),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(fragment)));
  }
}

TEST_F(ClassifierRunTest, RefusesALanguageModelToStartFrom) {
  auto recipe = Parse("lstm",
                      "model.head = language_model\nmodel.classes = 0\ndata.phrases = sentences\n"
                      "epochs = 0.1\n");
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  const std::string model = Run(*recipe, "words");
  EXPECT_THAT(CreateStatus("lstm", "init.model = " + model + "\n"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("head \"language_model\" of 0 classes, expected \"classifier\"")));
}

// A pruned start, fine-tuned: the zeros stay through resumes, and reach the file.
TEST_F(ClassifierRunTest, PrunedWeightsAreZeroInTheExportedModel) {
  const auto plain = Parse("lstm", "epochs = 4\n");
  ASSERT_TRUE(plain.ok()) << plain.status();
  const std::string start = Run(*plain, "plain");
  const auto recipe = Parse("lstm", "epochs = 2\ninit.model = " + start +
                                        "\npruning.embedding = 0.5\npruning.recurrent = 0.75\n");
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  ASSERT_OK_AND_ASSIGN(const auto model, ReadModel(Run(*recipe, "whole")));
  const auto zeros = [&](const char* name) {
    const auto values = model->tensors.at(name).f32();
    return static_cast<double>(std::count(values.begin(), values.end(), 0.0f)) /
           static_cast<double>(values.size());
  };
  EXPECT_NEAR(zeros("embedding.weight"), 0.5, 0.005);
  EXPECT_NEAR(zeros("output_embedding.weight"), 0.5, 0.005);
  EXPECT_NEAR(zeros("lstm.0.weight_x"), 0.75, 0.001);
  EXPECT_NEAR(zeros("lstm.0.weight_h"), 0.75, 0.001);
  EXPECT_EQ(zeros("output_bias"), 0.0);
  // Fine-tuned: better than pruned alone, which the first line of the log has.
  const std::vector<double> perplexities = Logged("whole", "valid_perplexity");
  EXPECT_LT(perplexities.back(), 0.98 * perplexities.front());
  Run(*recipe, "parts", 5);
  EXPECT_EQ(CheckpointArrays("whole"), CheckpointArrays("parts"));
}

}  // namespace
}  // namespace bitlm::trainer
