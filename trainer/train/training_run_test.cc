#include "trainer/train/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/perplexity.h"
#include "trainer/train/training_run_testing.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

class TrainingRunPresetTest : public TrainingRunTest,
                              public testing::WithParamInterface<const char*> {};

TEST_P(TrainingRunPresetTest, LearnsExportsAndIsEvaluatedByTheEngine) {
  const Recipe recipe = MakeRecipe(
      GetParam(), "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\nepochs = 8\n");
  const std::string exported = TrainAndExport(recipe, Options("out"));
  const auto engine = LoadLanguageModel(exported);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const std::string valid = *ReadTextFile(recipe.valid);
  const auto result = EvaluateText(**engine, valid, ContextKind::kSentence, nullptr);
  ASSERT_TRUE(result.ok());
  // 22 words; the next word is one of two, the end of the sentence one in seven or so: a unigram
  // model is above 15.
  const std::string_view name = GetParam();
  const bool output_layer = !name.starts_with("bllm-no-o") && name != "bllm-no-io";
  // Two layers need longer.
  EXPECT_LT(result->perplexity, output_layer && !name.ends_with("_layers_2") ? 6.0 : 9.0);
  EXPECT_EQ(result->perplexity, (*engine)->model().metadata.valid_perplexity);
  EXPECT_EQ((*engine)->model().golden.size(), 4u);
  // Parity with the trainer's own validation. It cuts the text into streams and starts a stream
  // inside a sentence, so a small difference remains beside bfloat16's.
  const double least = LeastLogged(directory_ + "/out/log.csv");
  EXPECT_NEAR(result->perplexity, least, 0.15 * least);
}

// The exported file is the trained network: with one stream the trainer validates whole sentences,
// as the engine does, and in float32 with two activation planes little separates them. A lost bias,
// scale or transposition would.
TEST_P(TrainingRunPresetTest, ExportIsTheTrainedNetwork) {
  // A batch norm needs many streams: each has one of as many equal texts.
  const int streams = std::string_view(GetParam()) == "xnor-lstm-bn" ? 16 : 1;
  WriteEqualValidationTexts(MadeUpText(2, 60), streams);
  const Recipe recipe = MakeRecipe(
      GetParam(), "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\n" +
                      absl::StrCat("epochs = ", 2 * streams, "\nbatch.streams = ", streams, "\n") +
                      "batch.steps = 64\nmodel.activation_planes = 2\n");
  TrainingOptions options = Options("out");
  options.precision = Precision::kFloat32;
  const std::string exported = TrainAndExport(recipe, options);
  const auto engine = LoadLanguageModel(exported);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const double trained = LeastLogged(directory_ + "/out/log.csv");
  // 16-bit activations, and the trainer's own exp and tanh.
  EXPECT_NEAR((*engine)->model().metadata.valid_perplexity, trained, 1e-3 * trained);
}

// Of a network that was trained too short, sharper logits are better ones.
TEST_P(TrainingRunPresetTest, TunedTemperatureIsBetterAndInTheFile) {
  const std::string text =
      "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\nepochs = 5\n"
      "dropout.output = 0.5\n";
  double perplexity[2];
  for (const bool tuned : {false, true}) {
    const Recipe recipe = MakeRecipe(GetParam(), text + (tuned ? "temperature = tuned\n" : ""));
    const std::string exported = TrainAndExport(recipe, Options(tuned ? "tuned" : "plain"));
    perplexity[tuned] = (*LoadLanguageModel(exported))->model().metadata.valid_perplexity;
  }
  EXPECT_LT(perplexity[true], perplexity[false]);
}

INSTANTIATE_TEST_SUITE_P(
    Presets, TrainingRunPresetTest,
    testing::Values("lstm", "belm", "bllm", "tied", "tied_binary", "belm_planes_3", "bllm_planes_2",
                    "bllm_fitted", "tied_binary_planes_2", "tied_binary_planes_3",
                    "tied_binary_planes_1_2", "bllm_planes_2_3_1", "bllm-no-i", "bllm-no-o",
                    "bllm-no-io", "bllm-no-o_fitted", "bw-lstm", "xnor-lstm", "xnor-lstm-bn",
                    "lstm_layer_norm", "bllm_layer_norm", "xnor-lstm_layer_norm", "lstm_layers_2",
                    "bllm_layers_2", "xnor-lstm_layers_2", "bw-lstm_binary_bias"));

// A kill at any moment leaves the last checkpoint; the rest of the run is a pure function of it.
TEST_F(TrainingRunTest, ResumedRunEndsWithTheSameBytesAsAnUninterruptedOne) {
  const std::string adam = "optimizer = adam\nlearning_rate = 0.003\n";
  const std::string averaged = "average.decay = 0.9\naverage.from = 0.2\nbinary.anneal = 0.4\n";
  const std::string triggered =
      "optimizer = adam\nadam.beta1 = 0\nlearning_rate = 0.03\nschedule = cosine\n"
      "clip_latent = false\nvalidations_per_epoch = 5\naverage.decay = 1\n"
      "average.patience = 1\n";
  for (const auto& [preset, optimizer] :
       {std::pair("bllm", std::string("optimizer = sgd\nlearning_rate = 1\n")),
        std::pair("bllm", adam), std::pair("tied_binary_planes_3", adam + averaged),
        std::pair("bllm", triggered), std::pair("xnor-lstm-bn", adam)}) {
    SCOPED_TRACE(preset);
    const Recipe recipe = MakeRecipe(preset, optimizer);
    std::filesystem::remove_all(directory_ + "/whole");
    std::filesystem::remove_all(directory_ + "/parts");
    auto whole = TrainingRun::Create(recipe, Options("whole"));
    ASSERT_TRUE(whole.ok()) << whole.status();
    ASSERT_EQ(*(*whole)->Train(), TrainingEnd::kFinished);
    int parts = 0;
    for (TrainingEnd end = TrainingEnd::kStopped; end == TrainingEnd::kStopped; ++parts) {
      TrainingOptions options = Options("parts");
      options.threads = 1 + parts % 2;  // Changes nothing, either.
      options.stop_after_steps = 7;     // The step after the last checkpoint is lost, as by a kill.
      auto part = TrainingRun::Create(recipe, options);
      ASSERT_TRUE(part.ok()) << part.status();
      end = *(*part)->Train();
      ASSERT_LT(parts, 100);
    }
    EXPECT_GT(parts, 3);
    EXPECT_EQ(*ReadFile(directory_ + "/whole/best.bin"), *ReadFile(directory_ + "/parts/best.bin"));
    EXPECT_EQ(CheckpointArrays("whole"), CheckpointArrays("parts"));
    EXPECT_EQ(LogWithoutTimes("whole"), LogWithoutTimes("parts"));
    if (recipe.average_patience > 0) {  // It did begin.
      EXPECT_THAT(*ReadFile(directory_ + "/parts/checkpoint.bin"),
                  HasSubstr("\"average_fired\":1.0"));
    }
  }
}

// Validation text that is no file of lines is written beside the model, for others to evaluate on.
TEST_F(TrainingRunTest, HeldOutTextIsWrittenAndValidatedOn) {
  std::string bars;
  for (const absl::string_view line : absl::StrSplit(MadeUpText(1, 400), '\n', absl::SkipEmpty())) {
    absl::StrAppend(&bars, "speaker|", line, "|act\n");
  }
  ASSERT_TRUE(WriteFileAtomically(directory_ + "/bars.txt", bars).ok());
  const std::string text = "name = toy\ndata.train = " + directory_ +
                           "/bars.txt\ndata.column = 2\ndata.hold_out = 8\n"
                           "data.longest_sentence = 5\nmodel.preset = lstm\n"
                           "model.hidden_size = 16\nbatch.streams = 8\nepochs = 1\n";
  const Recipe recipe = *ParseRecipe(text, "toy", {});
  for (int again = 0; again < 2; ++again) {
    const std::string exported = TrainAndExport(recipe, Options("out"));
    const auto engine = *LoadLanguageModel(exported);
    const std::string valid = *ReadTextFile(directory_ + "/out/valid.txt");
    EXPECT_GT(std::count(valid.begin(), valid.end(), '\n'), 50);
    for (const absl::string_view line : absl::StrSplit(valid, '\n')) {
      EXPECT_LE(std::count(line.begin(), line.end(), ' '), 4);
      EXPECT_EQ(line.find('|'), absl::string_view::npos);
    }
    EXPECT_EQ(EvaluateText(*engine, valid, ContextKind::kSentence, nullptr)->perplexity,
              engine->model().metadata.valid_perplexity);
  }
  ASSERT_TRUE(WriteFileAtomically(directory_ + "/out/valid.txt", "w1 w2\n").ok());
  EXPECT_EQ(TrainingRun::Create(recipe, Options("out")).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(TrainingRunTest, BatchNormNeedsStreamsAndTheWeightsThemselves) {
  for (const auto& [extra, key] : {std::pair("batch.streams = 7\n", "batch.streams: 7"),
                                   std::pair("average.decay = 1\n", "average.decay: ")}) {
    const absl::Status status =
        TrainingRun::Create(MakeRecipe("xnor-lstm-bn", extra), Options("out")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(key));
  }
}

TEST_F(TrainingRunTest, RefusesADirectoryOfAnotherRecipe) {
  auto first = TrainingRun::Create(MakeRecipe("bllm"), Options("out"));
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE((*first)->Train().ok());
  first->reset();
  const auto second = TrainingRun::Create(MakeRecipe("bllm", "seed = 2\n"), Options("out"));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another recipe"));
}

TEST_F(TrainingRunTest, RefusesOtherTextsAndAnotherPrecision) {
  const Recipe recipe = MakeRecipe("bllm");
  TrainingOptions options = Options("out");
  options.precision = Precision::kFloat32;
  options.stop_after_steps = 3;
  ASSERT_TRUE((*TrainingRun::Create(recipe, options))->Train().ok());
  if (BestPrecision() == Precision::kBfloat16) {
    const absl::Status status = TrainingRun::Create(recipe, Options("out")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("--precision fp32"));
  }
  // The same words and as many of them, in another order.
  std::string text = MadeUpText(1, 400);
  const size_t half = text.find('\n', text.size() / 2) + 1;
  ASSERT_TRUE(
      WriteFileAtomically(directory_ + "/train.txt", text.substr(half) + text.substr(0, half))
          .ok());
  const absl::Status status = TrainingRun::Create(recipe, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another text"));
}

TEST_F(TrainingRunTest, ExportLeavesARunAsItIs) {
  const Recipe recipe = MakeRecipe("bllm");
  const auto training = TrainingRun::Create(recipe, Options("out"));
  ASSERT_TRUE(training.ok()) << training.status();
  ASSERT_TRUE((*training)->Train().ok());
  const std::string out = directory_ + "/out/";
  // A line that no checkpoint knows yet, as between a validation and its checkpoint.
  const std::string log = *ReadFile(out + "log.csv") + "now,9.0,999999,1,1,1,1,1\n";
  ASSERT_TRUE(WriteFileAtomically(out + "log.csv", log).ok());
  TrainingOptions options = Options("out");
  options.existing_only = true;
  const auto exporting = TrainingRun::Create(recipe, options);
  ASSERT_TRUE(exporting.ok()) << exporting.status();
  ASSERT_TRUE((*exporting)->Export().ok());
  EXPECT_EQ(*ReadFile(out + "log.csv"), log);
  // Again: the model is replaced, and what lies beside its files stays.
  ASSERT_TRUE(WriteFileAtomically(out + "models/toy/1/README.md", "mine").ok());
  ASSERT_TRUE((*exporting)->Export().ok());
  EXPECT_EQ(*ReadFile(out + "models/toy/1/README.md"), "mine");
  EXPECT_TRUE(LoadLanguageModel(out + "models/toy/1").ok());
  size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(out + "models/toy")) {
    EXPECT_EQ(entry.path().filename(), "1");
    ++entries;
  }
  EXPECT_EQ(entries, 1u);
}

TEST_F(TrainingRunTest, RefusesADirectoryThatAnotherRunTrainsIn) {
  const auto first = TrainingRun::Create(MakeRecipe("bllm"), Options("out"));
  ASSERT_TRUE(first.ok());
  const auto second = TrainingRun::Create(MakeRecipe("bllm"), Options("out"));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("out/lock: locked by another"));
}

TEST_F(TrainingRunTest, ExportWithoutARunChangesNothing) {
  TrainingOptions options = Options("absent");
  options.existing_only = true;
  const auto run = TrainingRun::Create(MakeRecipe("bllm"), options);
  EXPECT_EQ(run.status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/absent"));
  // Nor is a validation text written that is a part of the training text.
  Recipe recipe = MakeRecipe("bllm");
  recipe.valid.clear();
  recipe.hold_out = 5;
  EXPECT_EQ(TrainingRun::Create(recipe, options).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/absent"));
}

TEST_F(TrainingRunTest, ReportsMistakesBeforeItReadsTexts) {
  Recipe recipe = MakeRecipe("tied", "model.output_projection = none\ntemperature = tuned\n");
  recipe.model.embedding_size = recipe.model.hidden_size;
  recipe.train = {directory_ + "/absent.txt"};
  const absl::Status status = TrainingRun::Create(recipe, Options("out")).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("temperature: \"tuned\" needs"));
}

// A directory is a run's from the start: killed in its first step, or in the validation before it,
// no other recipe takes it, and the same one goes on.
TEST_F(TrainingRunTest, ADirectoryIsARunsBeforeItsFirstStep) {
  const std::string text = "optimizer = adam\nlearning_rate = 0.01\nepochs = 1\n";
  const std::string start =
      text + "init.model = " + TrainAndExport(MakeRecipe("lstm", text), Options("source")) + "\n";
  const Recipe recipe = MakeRecipe("bllm", start);
  TrainingOptions options = Options("parts");
  options.stop_after_steps = 1;  // Its log has step 0; its checkpoint is from before.
  for (int i = 0; i < 2; ++i) {
    const std::string initial = directory_ + "/parts/checkpoint.bin";
    std::string bytes;
    {
      auto run = TrainingRun::Create(recipe, options);
      ASSERT_TRUE(run.ok()) << run.status();
      bytes = *ReadFile(initial);
      ASSERT_EQ(*(*run)->Train(), TrainingEnd::kStopped);
    }
    ASSERT_TRUE(WriteFileAtomically(initial, bytes).ok());
    EXPECT_EQ(
        TrainingRun::Create(MakeRecipe("bllm", start + "seed = 2\n"), options).status().code(),
        absl::StatusCode::kFailedPrecondition);
  }
  auto whole = TrainingRun::Create(recipe, Options("whole"));
  ASSERT_EQ(*(*whole)->Train(), TrainingEnd::kFinished);
  ExpectSameInParts(recipe);
}

// It ends early, with the schedule of the whole run.
TEST_F(TrainingRunTest, StopsAtItsStopEpochAndExportsTheBestUpToThere) {
  const std::string text = "optimizer = adam\nlearning_rate = 0.01\nschedule = cosine\n";
  auto whole = TrainingRun::Create(MakeRecipe("bllm", text), Options("whole"));
  ASSERT_EQ(*(*whole)->Train(), TrainingEnd::kFinished);
  auto run = TrainingRun::Create(MakeRecipe("bllm", text + "stop_epoch = 2\n"), Options("early"));
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
  EXPECT_TRUE((*run)->Export().ok());
  const std::string early = LogWithoutTimes("early");
  EXPECT_EQ(std::count(early.begin(), early.end(), '\n'), 3);
  EXPECT_THAT(LogWithoutTimes("whole"), testing::StartsWith(early));
  const std::string metrics = *ReadFile(directory_ + "/early/metrics.prom");
  const std::vector<std::string> lines = absl::StrSplit(early, '\n', absl::SkipEmpty());
  const std::vector<std::string> last = absl::StrSplit(lines.back(), ',');
  EXPECT_THAT(metrics, HasSubstr("bitlm_train_steps_total{model=\"toy\"} " + last[1] + "\n"));
  EXPECT_THAT(metrics, HasSubstr("bitlm_train_last_step{model=\"toy\"} " + last[1] + "\n"));
  EXPECT_THAT(metrics, HasSubstr("bitlm_train_tokens_total{model=\"toy\"} " + last[2] + "\n"));
  EXPECT_THAT(metrics, HasSubstr("bitlm_train_epochs{model=\"toy\"} 2\n"));
  EXPECT_THAT(metrics, HasSubstr("bitlm_train_valid_perplexity{model=\"toy\"} "));
}

// Averaged latent values go on as they are, with other data and another optimizer; init.model
// would keep their signs alone.
TEST_F(TrainingRunTest, StartsFromTheWeightsOfAnotherRun) {
  const std::string text = "optimizer = adam\nlearning_rate = 0.01\n";
  for (const char* preset : {"bllm", "tied_binary_planes_2", "xnor-lstm-bn"}) {
    SCOPED_TRACE(preset);
    for (const char* name : {"source", "whole", "parts", "refused"})
      std::filesystem::remove_all(directory_ + "/" + name);
    const bool averages = preset != std::string_view("xnor-lstm-bn");
    auto source = TrainingRun::Create(
        MakeRecipe(preset, text + (averages ? "average.decay = 0.9\n" : "")), Options("source"));
    ASSERT_TRUE(source.ok()) << source.status();
    ASSERT_EQ(*(*source)->Train(), TrainingEnd::kFinished);
    const std::string start = "init.run = " + directory_ +
                              "/source\nlearning_rate = 0.001\nschedule = linear\nepochs = 2\n"
                              "seed = 2\ndropout.input = 0.1\n";
    const Recipe recipe = MakeRecipe(preset, start);
    auto run = TrainingRun::Create(recipe, Options("whole"));
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
    ExpectSameInParts(recipe);
    const std::vector<std::string> lines =
        absl::StrSplit(*ReadFile(directory_ + "/whole/log.csv"), '\n');
    const std::vector<std::string> first = absl::StrSplit(lines[1], ',');
    EXPECT_EQ(first[2], "0");
    EXPECT_EQ(std::stod(first.back()), LeastLogged(directory_ + "/source/log.csv"));

    const auto refuse = [&](const std::string& other, const std::string& fragment) {
      const absl::Status status =
          TrainingRun::Create(MakeRecipe(other, start), Options("refused")).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_THAT(std::string(status.message()), HasSubstr(fragment));
      std::filesystem::remove_all(directory_ + "/refused");
    };
    refuse("lstm", "init.run: " + directory_ + "/source/best.bin: its network is another");
    const std::string train = *ReadFile(directory_ + "/train.txt");
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/train.txt", train + "another word\n").ok());
    refuse(preset, "its words are not those of data.train");
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/train.txt", train).ok());
  }
}

TEST_F(TrainingRunTest, DamagedCheckpointIsAnError) {
  const Recipe recipe = MakeRecipe("bllm");
  TrainingOptions options = Options("out");
  options.stop_after_steps = 3;
  {
    auto run = TrainingRun::Create(recipe, options);
    ASSERT_TRUE(run.ok());
    ASSERT_TRUE((*run)->Train().ok());
  }
  const std::string path = directory_ + "/out/checkpoint.bin";
  std::string bytes = *ReadFile(path);
  for (const size_t at : {size_t{0}, size_t{9}, size_t{40}, bytes.size() / 2, bytes.size() - 1}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    ASSERT_TRUE(WriteFileAtomically(path, damaged).ok());
    EXPECT_EQ(TrainingRun::Create(recipe, options).status().code(), absl::StatusCode::kDataLoss)
        << at;
  }
  for (const size_t length : {size_t{0}, size_t{5}, size_t{30}, bytes.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomically(path, bytes.substr(0, length)).ok());
    EXPECT_EQ(TrainingRun::Create(recipe, options).status().code(), absl::StatusCode::kDataLoss)
        << length;
  }
}

// A run that starts from a trained model and learns from it: from that model's perplexity on, also
// when it is stopped again and again.
TEST_F(TrainingRunTest, StartsFromATrainedModelAndLearnsFromIt) {
  std::map<std::string, std::string> models;
  for (const char* preset : {"lstm", "tied"}) {
    models[preset] = TrainAndExport(
        MakeRecipe(preset,
                   "optimizer = adam\nlearning_rate = 0.01\nepochs = 6\nmodel.hidden_size = 96\n"),
        Options(preset));
    ASSERT_LT(LeastLogged(directory_ + "/" + preset + "/log.csv"), 6.0);
  }
  for (const char* preset : {"belm", "bllm", "tied_binary", "tied_binary_planes_2", "bw-lstm",
                             "xnor-lstm", "xnor-lstm-bn"}) {
    const std::string model =
        models[std::string_view(preset).starts_with("tied") ? "tied" : "lstm"];
    SCOPED_TRACE(preset);
    std::filesystem::remove_all(directory_ + "/whole");
    std::filesystem::remove_all(directory_ + "/parts");
    const Recipe recipe = MakeRecipe(preset,
                                     "model.hidden_size = 96\noptimizer = adam\nlearning_rate = "
                                     "0.001\nschedule = linear\nepochs = 2\n"
                                     "init.model = " +
                                         model + "\ndistillation.model = " + model +
                                         "\ndistillation.weight = 0.8\nmodel.context = document\n");
    auto run = TrainingRun::Create(recipe, Options("whole"));
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
    // The first line, before any step: untrained, a model of 22 words is above 20.
    const std::string log = *ReadFile(directory_ + "/whole/log.csv");
    const std::vector<std::string> lines = absl::StrSplit(log, '\n');
    const std::vector<std::string> first = absl::StrSplit(lines[1], ',');
    EXPECT_EQ(first[2], "0");
    // One table of signs for both ends loses a little more.
    EXPECT_LT(std::stod(first.back()), preset == std::string_view("tied_binary") ? 13.0 : 12.0);
    EXPECT_LT(LeastLogged(directory_ + "/whole/log.csv"), 0.9 * std::stod(first.back()));
    ExpectSameInParts(recipe);
  }
}

TEST_F(TrainingRunTest, RefusesToGoOnWithAnotherTeacher) {
  const std::string first = TrainAndExport(MakeRecipe("lstm", "epochs = 1\n"), Options("constant"));
  const std::string model = TrainAndExport(MakeRecipe("lstm", "epochs = 2\n"), Options("source"));
  const Recipe recipe = MakeRecipe("bllm", "distillation.model = " + first + " " + model + "\n");
  TrainingOptions options = Options("out");
  options.stop_after_steps = 3;
  ASSERT_TRUE((*TrainingRun::Create(recipe, options))->Train().ok());
  ASSERT_TRUE(TrainingRun::Create(recipe, options).ok());
  auto other = TrainingRun::Create(MakeRecipe("lstm", "epochs = 2\nseed = 2\n"), Options("other"));
  ASSERT_EQ(*(*other)->Train(), TrainingEnd::kFinished);
  const std::string another = *(*other)->Export();
  std::filesystem::remove_all(model);
  std::filesystem::rename(another, model);
  const absl::Status status = TrainingRun::Create(recipe, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another teacher"));
}

TEST_F(TrainingRunTest, RefusesAModelOfOtherWordsToStartOrLearnFrom) {
  ASSERT_TRUE(WriteFileAtomically(directory_ + "/other.txt", "a b c\nc b a\n").ok());
  Recipe other = MakeRecipe("lstm");
  other.train = {directory_ + "/other.txt"};
  other.valid = other.train[0];
  auto source = TrainingRun::Create(other, Options("source"));
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_TRUE((*source)->Train().ok());
  const std::string model = *(*source)->Export();
  for (const std::string key : {"init.model", "distillation.model"}) {
    const auto create = [&](const std::string& path) {
      return TrainingRun::Create(MakeRecipe("bllm", key + " = " + path + "\n"), Options("out"))
          .status();
    };
    const absl::Status words = create(model);
    EXPECT_EQ(words.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(words.message()), HasSubstr(key + ": " + model + ": its words"));
    const absl::Status absent = create(directory_ + "/absent");
    EXPECT_EQ(absent.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(absent.message()), HasSubstr(key + ": " + directory_ + "/absent"));
  }
}

}  // namespace
}  // namespace bitlm::trainer
