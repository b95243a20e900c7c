// bitlm-train as a process: trained, killed, resumed, exported, evaluated, inspected, and served.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "tests/integration/running_server.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {
namespace {

using ::testing::HasSubstr;

class TrainProcessTest : public ::testing::Test {
 protected:
  struct Result {
    int status;
    std::string output;
    std::string errors;
  };

  TrainProcessTest() {
    RandomBits random(3);
    const auto write = [&](const std::string& name, int lines) {
      std::string text;
      for (int i = 0; i < lines; ++i) {
        const uint64_t words = random.Below(9);
        for (uint64_t w = 0; w < words; ++w) absl::StrAppend(&text, "w", random.Below(40), " ");
        text += "\n";
      }
      EXPECT_TRUE(WriteFileAtomically(Path(name), text).ok());
    };
    write("train.txt", 3000);
    write("valid.txt", 200);
    EXPECT_TRUE(WriteFileAtomically(Path("toy.recipe"),
                                    "name = toy\ndata.train = " + Path("train.txt") +
                                        "\ndata.valid = " + Path("valid.txt") +
                                        "\nmodel.preset = bllm\nmodel.hidden_size = 64\n"
                                        "batch.streams = 8\nbatch.steps = 10\nepochs = 3\n"
                                        "optimizer = adam\nlearning_rate = 0.01\n"
                                        "dropout.words = 0.1\ndropout.recurrent = 0.2\n"
                                        "checkpoint_seconds = 0.05\n")
                    .ok());
  }
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  static Result Run(const std::vector<std::string>& command,
                    const std::vector<std::string>& environment = {}) {
    Process process(command, {.input = "", .environment = environment});
    const int status = process.Wait();
    return {status, process.output(), process.errors()};
  }
  Result Train(const std::string& output, const std::string& threads = "1") const {
    return Run({Program("bitlm-train"), "train", Path("toy.recipe"), "--output", Path(output),
                "--quiet", "--threads", threads});
  }
  // Of the last checkpoint, after which a run writes its metrics; 0 before the first.
  int64_t Steps(const std::string& output) const {
    const auto metrics = ReadFile(Path(output + "/metrics.prom"));
    const std::string name = "bitlm_train_steps_total{model=\"toy\"} ";
    const size_t at = metrics.ok() ? metrics->find("\n" + name) : std::string::npos;
    return at == std::string::npos ? 0 : std::stoll(metrics->substr(at + 1 + name.size()));
  }
  std::string Exported(const std::string& output) const { return Path(output + "/models/toy/1"); }

  TemporaryDirectory directory_;
};

// "name   number" of each line that ends in a number.
std::map<std::string, std::string> Figures(const std::string& text) {
  std::map<std::string, std::string> figures;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t value = line.find_last_of(' ');
    if (value == std::string::npos) continue;
    const size_t end = line.find_last_not_of(' ', value);
    if (end != std::string::npos) figures[line.substr(0, end + 1)] = line.substr(value + 1);
  }
  return figures;
}

// Killed before and after its first checkpoint, then whenever it has got so many steps farther than
// it was when it started again: inside of steps, validations and the writing of checkpoints, as it
// happens.
TEST_F(TrainProcessTest, KilledAtAnyMomentItEndsInTheSameModel) {
  const Result whole = Train("whole", "2");
  ASSERT_EQ(whole.status, 0) << whole.errors;
  EXPECT_EQ(whole.output, Exported("whole") + "\n");
  const int64_t last = Steps("whole");
  ASSERT_GT(last, 500);
  int midway = 0;
  const auto kill_when = [&](const std::function<bool()>& reached) {
    Process process({Program("bitlm-train"), "train", Path("toy.recipe"), "--output",
                     Path("killed"), "--quiet", "--threads", "1"});
    while (!reached() && !process.Ended()) std::this_thread::yield();
    process.Signal(SIGKILL);
    const int status = process.Wait();
    EXPECT_TRUE(status == 128 + SIGKILL || status == 0) << status << ": " << process.errors();
    const int64_t steps = Steps("killed");
    midway += status == 128 + SIGKILL && steps > 0 && steps < last;
  };
  for (const char* file : {"killed/recipe.txt", "killed/checkpoint.bin"})
    kill_when([&] { return std::filesystem::exists(Path(file)); });
  for (const int64_t farther : {1, 1, 40, 90}) {
    const int64_t before = Steps("killed");
    kill_when([&] { return Steps("killed") >= before + farther; });
  }
  EXPECT_GE(midway, 1);
  const Result rest = Train("killed");
  ASSERT_EQ(rest.status, 0) << rest.errors;
  EXPECT_EQ(Steps("killed"), last);
  for (const char* file : {"/model.safetensors", "/vocab.txt", "/config.json"}) {
    EXPECT_EQ(*ReadFile(Exported("whole") + file), *ReadFile(Exported("killed") + file)) << file;
  }
}

TEST_F(TrainProcessTest, StopsOnSigtermWithACheckpoint) {
  Process process({Program("bitlm-train"), "train", Path("toy.recipe"), "--output", Path("out"),
                   "--set", "epochs=10000", "--threads", "1"});
  // The first validation's line says that training is under way.
  while (!std::filesystem::exists(Path("out/best.bin"))) std::this_thread::yield();
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 1);
  EXPECT_THAT(process.errors(), HasSubstr("the same command goes on from the checkpoint"));
  EXPECT_TRUE(std::filesystem::exists(Path("out/checkpoint.bin")));
}

TEST_F(TrainProcessTest, EvaluatesAsTheServerScores) {
  ASSERT_EQ(Train("out").status, 0);
  const Result eval = Run({Program("bitlm-train"), "eval", "--model", Exported("out"), "--text",
                           Path("valid.txt"), "--protocol", "sentence"});
  ASSERT_EQ(eval.status, 0) << eval.errors;
  const RunningServer server(Path("out/models"));
  const Result score = Run({Program("bitlm"), "score", "--file", Path("valid.txt")},
                           {"BITLM_SERVER=" + server.target()});
  ASSERT_EQ(score.status, 0) << score.errors;
  auto expected = Figures(eval.output);
  auto scored = Figures(score.output);
  for (const char* name : {"tokens (with </s>)", "OOV tokens", "perplexity including OOV",
                           "perplexity excluding OOV"}) {
    ASSERT_TRUE(expected.contains(name)) << name << "\n" << eval.output;
    EXPECT_EQ(scored[name], expected[name]) << name;
  }
  const Result json = Run({Program("bitlm-train"), "eval", "--model", Exported("out"), "--text",
                           Path("valid.txt"), "--protocol", "sentence", "--json"});
  const auto parsed = nlohmann::json::parse(json.output);
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%.4f", parsed["perplexity"].get<double>());
  EXPECT_EQ(expected["perplexity including OOV"], digits);
  EXPECT_EQ(expected["weight bytes"], std::to_string(parsed["weight_bytes"].get<uint64_t>()));
  const Result inspect = Run({Program("bitlm-train"), "inspect", Exported("out")});
  EXPECT_EQ(inspect.status, 0) << inspect.errors;
  EXPECT_EQ(Figures(inspect.output)["resident weight bytes"], expected["weight bytes"]);
}

TEST_F(TrainProcessTest, MistakesEndWithAMessageThatNamesThem) {
  ASSERT_EQ(Train("out").status, 0);
  ASSERT_TRUE(WriteFileAtomically(Path("bad.txt"), "w1\nw2 \xff\n").ok());
  const auto expect = [&](const std::vector<std::string>& arguments, const std::string& message) {
    std::vector<std::string> command{Program("bitlm-train")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const Result result = Run(command);
    EXPECT_NE(result.status, 0) << message;
    EXPECT_THAT(result.errors, HasSubstr(message));
  };
  expect({"train", Path("absent.recipe"), "-o", Path("x")}, "absent.recipe");
  expect({"train", Path("toy.recipe"), "-o", Path("x"), "--set", "lr=1"}, "lr: unknown key");
  // An override before the recipe does not take it.
  expect({"train", "--set", "seed=2", Path("absent.recipe"), "-o", Path("x")}, "absent.recipe");
  expect({"train", Path("toy.recipe"), "-o", Path("x"), "--no-such-flag"}, "--no-such-flag");
  expect({"export", Path("toy.recipe"), "-o", Path("x")}, "no run with a validated model");
  expect({"eval", "-m", Path("absent"), "-t", Path("valid.txt"), "-p", "sentence"}, "absent");
  expect({"eval", "-m", Exported("out"), "-t", Path("bad.txt"), "-p", "sentence"},
         Path("bad.txt") + ": line 2");
  expect({"eval", "-m", Exported("out"), "-t", Path("valid.txt"), "-p", "both"}, "both");
  expect({"inspect", Path("absent")}, "absent");
  expect({"train", Path("toy.recipe"), "-o", Path("float"), "-q", "--set", "model.recurrent=float",
          "--set", "stop_epoch=1", "--set", "name=../x"},
         "name: \"../x\"");
  // A float model is not replaced by what is made of it.
  ASSERT_EQ(Run({Program("bitlm-train"), "train", Path("toy.recipe"), "-o", Path("float"), "-q",
                 "--set", "model.recurrent=float", "--set", "epochs=1"})
                .status,
            0);
  const std::string before = *ReadFile(Exported("float") + "/model.safetensors");
  expect({"quantize", "-m", Exported("float"), "--text", Path("valid.txt"), "-o",
          Path("float/models")},
         "would replace the model that it is made of; give another --name or --output");
  expect({"quantize", "-m", Exported("float"), "--text", Path("valid.txt"), "-o", Path("int8"),
          "--name", "../x"},
         "--name: \"../x\"");
  EXPECT_EQ(*ReadFile(Exported("float") + "/model.safetensors"), before);
}

}  // namespace
}  // namespace bitlm
