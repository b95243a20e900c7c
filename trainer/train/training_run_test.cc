#include "trainer/train/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/perplexity.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

// Sentences of a small made-up language: each word depends on the one before.
std::string MadeUpText(uint64_t seed, int sentences) {
  std::string text;
  for (int s = 0; s < sentences; ++s) {
    uint64_t word = Combine(seed, static_cast<uint64_t>(s)) % 20;
    const uint64_t length = 3 + Combine(seed, 5000 + static_cast<uint64_t>(s)) % 8;
    for (uint64_t w = 0; w < length; ++w) {
      text += (w ? " w" : "w") + std::to_string(word);
      word = (word * 7 + 1 + Combine(seed, 90000 + w * 1000 + static_cast<uint64_t>(s)) % 2) % 20;
    }
    text += "\n";
  }
  return text;
}

// A preset, or a network with one table for input and output and a bias per word; "_planes_2" and 3
// have several planes, "_fitted" has fitted scales.
std::string ModelText(const std::string& full_name) {
  std::string name = full_name;
  for (const auto& [suffix, text] : {std::pair("_planes_2", "model.bit_planes = 2\n"),
                                     std::pair("_planes_3", "model.bit_planes = 3\n"),
                                     std::pair("_fitted", "binary.scales = fitted\n")}) {
    if (!name.ends_with(suffix)) continue;
    return ModelText(name.substr(0, name.size() - std::strlen(suffix))) + text;
  }
  if (!name.starts_with("tied")) return "model.preset = " + name + "\n";
  std::string text =
      "model.preset = custom\nmodel.embedding_size = 24\nmodel.output_embedding = tied\n"
      "model.output_bias = true\n";
  const std::string kind = name == "tied" ? "float" : "binary";
  if (kind == "binary") text += "init.gamma_output = 3\n";
  for (const char* option : {"embedding", "recurrent", "output_projection"}) {
    text += std::string("model.") + option + " = " + kind + "\n";
  }
  return text;
}

class TrainingRunTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/training_run_" +
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/train.txt", MadeUpText(1, 400)).ok());
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/valid.txt", MadeUpText(2, 60)).ok());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Recipe MakeRecipe(const std::string& preset, const std::string& extra = "") {
    const std::string text =
        "name = toy\ndata.train = " + directory_ + "/train.txt\ndata.valid = " + directory_ +
        "/valid.txt\n" + ModelText(preset) +
        "model.hidden_size = 32\nbatch.streams = 32\nbatch.steps = 10\nepochs = 4\n"
        "dropout.output = 0.1\ncheckpoint_seconds = 0\n" +
        extra;
    absl::StatusOr<Recipe> recipe = ParseRecipe(text, "toy", {});
    EXPECT_TRUE(recipe.ok()) << recipe.status();
    return *std::move(recipe);
  }
  TrainingOptions Options(const std::string& output) {
    return {.output = directory_ + "/" + output,
            .threads = 2,
            .precision = BestPrecision(),
            .quiet = true};
  }
  // The least validation perplexity of a log.
  static double LeastLogged(const std::string& path) {
    const std::string log = *ReadFile(path);
    EXPECT_THAT(log, HasSubstr("valid_perplexity\n"));
    double least = 1e9;
    for (size_t at = 0; (at = log.find('\n', at)) != std::string::npos; ++at) {
      const size_t comma = log.rfind(',', at);
      if (comma != std::string::npos && std::isdigit(static_cast<unsigned char>(log[comma + 1]))) {
        least = std::min(least, std::stod(log.substr(comma + 1, at - comma - 1)));
      }
    }
    return least;
  }
  // The arrays of a run's last checkpoint: weights, moments, states. Its header has times.
  std::string CheckpointArrays(const std::string& output) const {
    const std::string bytes = *ReadFile(directory_ + "/" + output + "/checkpoint.bin");
    uint64_t header;
    std::memcpy(&header, bytes.data() + 8, sizeof(header));
    return bytes.substr(16 + header, bytes.size() - 16 - header - 64);
  }
  // A log without the columns of times.
  std::string LogWithoutTimes(const std::string& output) const {
    std::string kept;
    const std::string log = *ReadFile(directory_ + "/" + output + "/log.csv");
    for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
      std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
      fields.erase(fields.begin() + 4);
      fields.erase(fields.begin());
      absl::StrAppend(&kept, absl::StrJoin(fields, ","), "\n");
    }
    return kept;
  }
  std::string directory_;
};

class TrainingRunPresetTest : public TrainingRunTest,
                              public testing::WithParamInterface<const char*> {};

TEST_P(TrainingRunPresetTest, LearnsExportsAndIsEvaluatedByTheEngine) {
  const Recipe recipe = MakeRecipe(
      GetParam(), "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\nepochs = 8\n");
  auto run = TrainingRun::Create(recipe, Options("out"));
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
  const auto exported = (*run)->Export();
  ASSERT_TRUE(exported.ok()) << exported.status();
  const auto engine = LoadLanguageModel(*exported);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const std::string valid = *ReadTextFile(recipe.valid);
  const auto result = EvaluateText(**engine, valid, ContextKind::kSentence, nullptr);
  ASSERT_TRUE(result.ok());
  // 22 words; the next word is one of two, the end of the sentence one in seven or so: a unigram
  // model is above 15.
  EXPECT_LT(result->perplexity, 6.0);
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
  const Recipe recipe =
      MakeRecipe(GetParam(),
                 "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\nepochs = 2\n"
                 "batch.streams = 1\nbatch.steps = 64\nmodel.activation_planes = 2\n");
  TrainingOptions options = Options("out");
  options.precision = Precision::kFloat32;
  auto run = TrainingRun::Create(recipe, options);
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
  const auto exported = (*run)->Export();
  ASSERT_TRUE(exported.ok()) << exported.status();
  const auto engine = LoadLanguageModel(*exported);
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
    auto run = TrainingRun::Create(recipe, Options(tuned ? "tuned" : "plain"));
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
    const auto exported = (*run)->Export();
    ASSERT_TRUE(exported.ok()) << exported.status();
    perplexity[tuned] = (*LoadLanguageModel(*exported))->model().metadata.valid_perplexity;
  }
  EXPECT_LT(perplexity[true], perplexity[false]);
}

INSTANTIATE_TEST_SUITE_P(Presets, TrainingRunPresetTest,
                         testing::Values("lstm", "belm", "bllm", "tied", "tied_binary",
                                         "belm_planes_3", "bllm_planes_2", "bllm_fitted",
                                         "tied_binary_planes_2", "tied_binary_planes_3"));

// Where the weights still swing about, their average is better.
TEST_F(TrainingRunTest, AveragedWeightsAreValidatedAndExported) {
  const std::string text = "optimizer = sgd\nlearning_rate = 20\nschedule = constant\n";
  double least[2];
  for (const bool averaged : {false, true}) {
    const std::string output = averaged ? "averaged" : "last";
    const Recipe recipe =
        MakeRecipe("lstm", text + (averaged ? "average.decay = 1\naverage.from = 0.5\n" : ""));
    auto run = TrainingRun::Create(recipe, Options(output));
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
    least[averaged] = LeastLogged(directory_ + "/" + output + "/log.csv");
    const auto exported = (*run)->Export();
    ASSERT_TRUE(exported.ok()) << exported.status();
    EXPECT_NEAR((*LoadLanguageModel(*exported))->model().metadata.valid_perplexity, least[averaged],
                0.15 * least[averaged]);
  }
  EXPECT_LT(least[true], 0.98 * least[false]);
}

// A kill at any moment leaves the last checkpoint; the rest of the run is a pure function of it.
TEST_F(TrainingRunTest, ResumedRunEndsWithTheSameBytesAsAnUninterruptedOne) {
  for (const char* optimizer :
       {"optimizer = sgd\nlearning_rate = 1\n", "optimizer = adam\nlearning_rate = 0.003\n",
        "optimizer = adam\nlearning_rate = 0.003\naverage.decay = 0.9\naverage.from = 0.2\n"
        "binary.anneal = 0.4\n"}) {
    const bool averaged = std::string_view(optimizer).find("average") != std::string_view::npos;
    const Recipe recipe = MakeRecipe(averaged ? "tied_binary_planes_3" : "bllm", optimizer);
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
    auto source = TrainingRun::Create(
        MakeRecipe(preset,
                   "optimizer = adam\nlearning_rate = 0.01\nepochs = 6\nmodel.hidden_size = 96\n"),
        Options(preset));
    ASSERT_TRUE(source.ok()) << source.status();
    ASSERT_EQ(*(*source)->Train(), TrainingEnd::kFinished);
    models[preset] = *(*source)->Export();
    ASSERT_LT(LeastLogged(directory_ + "/" + preset + "/log.csv"), 6.0);
  }
  for (const char* preset : {"belm", "bllm", "tied_binary", "tied_binary_planes_2"}) {
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
    EXPECT_LT(std::stod(first.back()), 14.0);
    EXPECT_LT(LeastLogged(directory_ + "/whole/log.csv"), 0.9 * std::stod(first.back()));
    for (TrainingEnd end = TrainingEnd::kStopped; end == TrainingEnd::kStopped;) {
      TrainingOptions options = Options("parts");
      options.stop_after_steps = 7;
      auto part = TrainingRun::Create(recipe, options);
      ASSERT_TRUE(part.ok()) << part.status();
      end = *(*part)->Train();
    }
    EXPECT_EQ(CheckpointArrays("whole"), CheckpointArrays("parts"));
    EXPECT_EQ(LogWithoutTimes("whole"), LogWithoutTimes("parts"));
  }
}

TEST_F(TrainingRunTest, RefusesToGoOnWithAnotherTeacher) {
  auto source = TrainingRun::Create(MakeRecipe("lstm", "epochs = 2\n"), Options("source"));
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_EQ(*(*source)->Train(), TrainingEnd::kFinished);
  const std::string model = *(*source)->Export();
  const Recipe recipe = MakeRecipe("bllm", "distillation.model = " + model + "\n");
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
