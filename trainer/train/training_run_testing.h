// Runs on a small made-up language, for tests of TrainingRun.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "trainer/tensor/random.h"
#include "trainer/train/training_run.h"

namespace bitlm::trainer {

// Sentences of a small made-up language: each word depends on the one before.
inline std::string MadeUpText(uint64_t seed, int sentences) {
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
// have several planes, "_planes_1_2" of projections alone, "_planes_2_3_1" of each matrix its own,
// "_fitted" has fitted scales, "_binary_bias" a bias of one bit, "_layer_norm" a layer norm,
// "_layers_2" two layers.
inline std::string ModelText(const std::string& full_name) {
  std::string name = full_name;
  if (const size_t at = name.find("_layer_norm"); at != std::string::npos) {
    return "model.preset = " + name.substr(0, at) + "\nmodel.norm = layer\n";
  }
  for (const auto& [suffix, text] : {std::pair("_planes_2", "model.bit_planes = 2\n"),
                                     std::pair("_planes_3", "model.bit_planes = 3\n"),
                                     std::pair("_planes_1_2", "model.projection_planes = 2\n"),
                                     std::pair("_planes_2_3_1",
                                               "model.bit_planes = 2\nmodel.recurrent_planes = 3\n"
                                               "model.projection_planes = 1\n"),
                                     std::pair("_fitted", "binary.scales = fitted\n"),
                                     std::pair("_binary_bias", "binary.bias = true\n"),
                                     std::pair("_layers_2", "model.layers = 2\n")}) {
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
  // Validation text of `streams` equal parts: so many streams have one each, whole sentences from a
  // state of zero, as the engine scores them.
  void WriteEqualValidationTexts(const std::string& text, int streams) {
    std::string all;
    for (int i = 0; i < streams; ++i) all += text;
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/valid.txt", all).ok());
  }
  TrainingOptions Options(const std::string& output) {
    return {.output = directory_ + "/" + output,
            .threads = 2,
            .precision = BestPrecision(),
            .quiet = true};
  }
  // Trains to the end and returns the exported model's directory; "" after a failure.
  static std::string TrainAndExport(const Recipe& recipe, const TrainingOptions& options) {
    auto run = TrainingRun::Create(recipe, options);
    EXPECT_TRUE(run.ok()) << run.status();
    if (!run.ok()) return "";
    const auto end = (*run)->Train();
    EXPECT_TRUE(end.ok() && *end == TrainingEnd::kFinished) << end.status();
    const auto exported = (*run)->Export();
    EXPECT_TRUE(exported.ok()) << exported.status();
    return exported.value_or("");
  }
  // The least validation perplexity of a log.
  static double LeastLogged(const std::string& path) {
    const std::string log = *ReadFile(path);
    EXPECT_THAT(log, testing::HasSubstr("valid_perplexity\n"));
    double least = 1e9;
    for (size_t at = 0; (at = log.find('\n', at)) != std::string::npos; ++at) {
      const size_t comma = log.rfind(',', at);
      if (comma != std::string::npos && std::isdigit(static_cast<unsigned char>(log[comma + 1]))) {
        least = std::min(least, std::stod(log.substr(comma + 1, at - comma - 1)));
      }
    }
    return least;
  }
  // Trains `recipe` in pieces of seven steps in "parts", the step after the last checkpoint of each
  // lost as by a kill, and expects what the finished run in "whole" has left.
  void ExpectSameInParts(const Recipe& recipe) { ExpectSameInParts(recipe, Options("parts")); }
  void ExpectSameInParts(const Recipe& recipe, TrainingOptions options) {
    options.stop_after_steps = 7;
    for (TrainingEnd end = TrainingEnd::kStopped; end == TrainingEnd::kStopped;) {
      auto part = TrainingRun::Create(recipe, options);
      ASSERT_TRUE(part.ok()) << part.status();
      end = *(*part)->Train();
    }
    EXPECT_EQ(CheckpointArrays("whole"), CheckpointArrays("parts"));
    EXPECT_EQ(LogWithoutTimes("whole"), LogWithoutTimes("parts"));
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

}  // namespace bitlm::trainer
