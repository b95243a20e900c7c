// What a run can be trained for, with, and averaged over, through to the exported model.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/model/model.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/perplexity.h"
#include "trainer/train/training_run_testing.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

// log Z near 0 by the engine and in the log, for some of a short run's perplexity; the flag is in
// the file.
TEST_F(TrainingRunTest, SelfNormalizedModelsHaveLogZNearZero) {
  const std::string text =
      "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\nepochs = 8\n"
      "model.output_bias = true\n";
  for (const char* preset : {"lstm", "bllm"}) {
    SCOPED_TRACE(preset);
    double perplexity[2];
    for (const bool normalized : {false, true}) {
      const std::string output = absl::StrCat(preset, normalized);
      const std::string exported =
          TrainAndExport(MakeRecipe(preset, text + (normalized ? "model.self_normalized = true\n"
                                                                 "self_normalization.weight = 1\n"
                                                               : "")),
                         Options(output));
      const auto engine = *LoadLanguageModel(exported);
      EXPECT_EQ(engine->config().self_normalized, normalized);
      const auto result = *EvaluateText(*engine, *ReadTextFile(directory_ + "/valid.txt"),
                                        ContextKind::kSentence, nullptr);
      perplexity[normalized] = result.perplexity;
      if (!normalized) continue;
      EXPECT_LT(result.mean_abs_log_z, 0.15);
      EXPECT_GT(result.mean_abs_log_z, 0);
      const std::string log = *ReadFile(directory_ + "/" + output + "/log.csv");
      EXPECT_THAT(log, HasSubstr("valid_perplexity,valid_mean_abs_log_z\n"));
      const double logged = std::stod(log.substr(log.rfind(',') + 1));
      EXPECT_NEAR(logged, result.mean_abs_log_z, 0.05);
    }
    EXPECT_LT(perplexity[true], 1.25 * perplexity[false]);
  }
  const auto tuned = TrainingRun::Create(
      MakeRecipe("lstm", "model.self_normalized = true\ntemperature = tuned\n"), Options("tuned"));
  EXPECT_THAT(std::string(tuned.status().message()), HasSubstr("model.self_normalized"));
}

// Where the weights still swing about, their average is better.
TEST_F(TrainingRunTest, AveragedWeightsAreValidatedAndExported) {
  const std::string text = "optimizer = sgd\nlearning_rate = 20\nschedule = constant\n";
  double least[2];
  for (const bool averaged : {false, true}) {
    const std::string output = averaged ? "averaged" : "last";
    const Recipe recipe =
        MakeRecipe("lstm", text + (averaged ? "average.decay = 1\naverage.from = 0.5\n" : ""));
    const std::string exported = TrainAndExport(recipe, Options(output));
    least[averaged] = LeastLogged(directory_ + "/" + output + "/log.csv");
    EXPECT_NEAR((*LoadLanguageModel(exported))->model().metadata.valid_perplexity, least[averaged],
                0.15 * least[averaged]);
  }
  EXPECT_LT(least[true], 0.98 * least[false]);
}

// Averaging begins at the first validation that is worse than an earlier one, and not before.
TEST_F(TrainingRunTest, AveragingWaitsForItsTrigger) {
  const std::string text =
      "optimizer = sgd\nlearning_rate = 20\nschedule = constant\nvalidations_per_epoch = 5\n";
  std::vector<double> logged[2];
  for (const bool averaged : {false, true}) {
    const std::string output = averaged ? "averaged" : "plain";
    const Recipe recipe =
        MakeRecipe("lstm", text + (averaged ? "average.decay = 1\naverage.patience = 1\n" : ""));
    auto run = TrainingRun::Create(recipe, Options(output));
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
    const std::string log = *ReadFile(directory_ + "/" + output + "/log.csv");
    for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
      const std::string last(line.substr(line.rfind(',') + 1));
      if (last != "valid_perplexity") logged[averaged].push_back(std::stod(last));
    }
  }
  // The validation that fires it is the last of the same weights.
  size_t fired = 2;
  while (fired < logged[0].size() &&
         logged[0][fired] <=
             *std::min_element(logged[0].begin(),
                               logged[0].begin() + static_cast<ptrdiff_t>(fired - 1)))
    ++fired;
  ASSERT_LT(fired + 2, logged[0].size());
  for (size_t i = 0; i <= fired; ++i) EXPECT_EQ(logged[0][i], logged[1][i]) << i;
  for (size_t i = fired + 1; i < logged[0].size(); ++i) EXPECT_NE(logged[0][i], logged[1][i]) << i;
}

// Two teachers, their temperature, and what else a run may be regularized with: resumed, it ends
// with the same bytes.
TEST_F(TrainingRunTest, LearnsFromSeveralTeachersAndGoesOn) {
  std::string models;
  for (const char* preset : {"lstm", "bllm"}) {
    models +=
        " " + TrainAndExport(
                  MakeRecipe(preset, "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\n"),
                  Options(absl::StrCat("source_", preset)));
  }
  const Recipe recipe = MakeRecipe("bllm",
                                   "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\n"
                                   "epochs = 6\ndistillation.model =" +
                                       models +
                                       "\ndistillation.weight = 0.9\ndistillation.temperature = 2\n"
                                       "activation_regularization = 0.2\n"
                                       "temporal_activation_regularization = 0.1\n"
                                       "dropout.state = 0.1\ndropout.projection = 0.05\n");
  auto run = TrainingRun::Create(recipe, Options("whole"));
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
  EXPECT_LT(LeastLogged(directory_ + "/whole/log.csv"), 12.0);  // Untrained: 22.
  ExpectSameInParts(recipe);
}

class ActivationQuantizationRunTest : public TrainingRunTest,
                                      public testing::WithParamInterface<const char*> {};

// With the engine's rounding of activations in training the two agree with one plane, too, about as
// closely as two float implementations do: without it they differ by up to 1.3e-4 here.
TEST_P(ActivationQuantizationRunTest, TrainsWhatIsServed) {
  const Recipe recipe =
      MakeRecipe(GetParam(),
                 "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\nepochs = 2\n"
                 "batch.streams = 1\nbatch.steps = 64\nactivation_quantization = true\n");
  TrainingOptions options = Options("out");
  options.precision = Precision::kFloat32;
  const std::string exported = TrainAndExport(recipe, options);
  const double trained = LeastLogged(directory_ + "/out/log.csv");
  EXPECT_NEAR((*LoadLanguageModel(exported))->model().metadata.valid_perplexity, trained,
              3e-5 * trained);
}

INSTANTIATE_TEST_SUITE_P(Presets, ActivationQuantizationRunTest,
                         testing::Values("lstm", "belm", "bllm", "tied", "tied_binary",
                                         "bllm_fitted", "bllm_planes_2", "tied_binary_planes_3",
                                         "xnor-lstm"));

// Logits of a network that has learned little are far too small: farther than one step of the
// search for their factor goes, which is e^0.2.
TEST_F(TrainingRunTest, ATunedTemperatureIsFoundFarAway) {
  float weight[2];
  double perplexity[2];
  for (const bool tuned : {false, true}) {
    const Recipe recipe =
        MakeRecipe("lstm", std::string("optimizer = adam\nlearning_rate = 0.002\nepochs = 2\n") +
                               (tuned ? "temperature = tuned\n" : ""));
    const std::string exported = TrainAndExport(recipe, Options(tuned ? "tuned" : "plain"));
    const auto model = *ReadModel(exported);
    weight[tuned] = model->tensors.at("output_embedding.weight").f32()[0];
    perplexity[tuned] = model->metadata.valid_perplexity;
  }
  EXPECT_GT(weight[true] / weight[false], std::exp(0.25));
  EXPECT_LT(perplexity[true], perplexity[false]);
}

}  // namespace
}  // namespace bitlm::trainer
