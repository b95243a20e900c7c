// compare, similarity and neighbours as a user calls them, on small models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/perplexity.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"
#include "trainer/cli/commands.h"

namespace bitlm::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class EvaluationCommandsTest : public testing::Test {
 protected:
  EvaluationCommandsTest() {
    WriteNamed("lstm", "float");
    WriteNamed("bllm", "bits");
    Write("text", "w2 w3 w4\nw5 other w6\n\nw2 w2\n");
  }

  void WriteNamed(const std::string& preset, const std::string& name) {
    ModelConfig config = TinyConfig(preset, 30, 16, 16);
    config.context = preset == "lstm" ? ContextKind::kDocument : ContextKind::kSentence;
    Model model = RandomModel(config, 3);
    model.metadata.name = name;
    std::filesystem::create_directories(Path("models/" + name));
    EXPECT_THAT(WriteModel(model, Directory(name)), IsOk());
  }
  void Write(const std::string& name, const std::string& text) const {
    EXPECT_THAT(WriteFileAtomically(Path(name), text), IsOk());
  }
  std::string Path(const std::string& name) const { return directory_.Path(name); }
  std::string Directory(const std::string& name) const { return Path("models/" + name + "/1"); }

  // Runs a command; its standard output lands in out_.
  absl::Status Run(std::vector<std::string> arguments) {
    absl::Status status;
    CLI::App app;
    AddCompareCommand(app, &status);
    AddSimilarityCommand(app, &status);
    AddNeighboursCommand(app, &status);
    std::reverse(arguments.begin(), arguments.end());
    testing::internal::CaptureStdout();
    try {
      app.parse(arguments);
    } catch (const CLI::ParseError& error) {
      status = absl::InvalidArgumentError(error.what());
    }
    out_ = testing::internal::GetCapturedStdout();
    return status;
  }
  nlohmann::json Json() const { return nlohmann::json::parse(out_); }
  double Perplexity(const std::string& name, ContextKind context) const {
    ThreadPool pool(1);
    const auto engine = LoadLanguageModel(Directory(name)).value();
    return EvaluateText(*engine, ReadFile(Path("text")).value(), context, &pool)->perplexity;
  }

  TemporaryDirectory directory_;
  std::string out_;
};

TEST_F(EvaluationCommandsTest, CompareTakesEachModelsOwnProtocol) {
  ASSERT_THAT(Run({"compare", "--model", Directory("float"), Directory("bits"), "--text",
                   Path("text"), "--json"}),
              IsOk());
  const nlohmann::json models = Json()["models"];
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(Json()["baseline"], "float");
  EXPECT_EQ(Json()["same_vocabulary"], true);
  EXPECT_EQ(models[0]["compression"], 1);
  EXPECT_EQ(models[1]["compression"].get<double>(),
            models[0]["tensor_bytes"].get<double>() / models[1]["tensor_bytes"].get<double>());
  EXPECT_EQ(models[1]["tensor_bytes"], WeightBytes(TinyConfig("bllm", 30, 16, 16)));
  EXPECT_EQ(models[0]["results"][0]["protocol"], "document");
  EXPECT_EQ(models[0]["results"][0]["perplexity"], Perplexity("float", ContextKind::kDocument));
  EXPECT_EQ(models[0]["results"][0]["oov_tokens"], 1);
  EXPECT_EQ(models[1]["results"][0]["protocol"], "sentence");
  EXPECT_EQ(models[1]["results"][0]["perplexity"], Perplexity("bits", ContextKind::kSentence));
}

TEST_F(EvaluationCommandsTest, CompareBothProtocolsOfARepositoryWithGivenFigures) {
  ASSERT_THAT(
      Run({"compare", "--repository", Path("models"), "--text", Path("text"), "--protocol", "both",
           "--row", "KN-5 (8-bit, trie),4500,141.2", "--baseline", "KN-5 (8-bit, trie)", "--json"}),
      IsOk());
  const nlohmann::json models = Json()["models"];
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0]["name"], "bits");
  ASSERT_EQ(models[0]["results"].size(), 2u);
  EXPECT_EQ(models[0]["results"][1]["perplexity"], Perplexity("bits", ContextKind::kDocument));
  EXPECT_EQ(models[0]["compression"].get<double>(), 4500 / models[0]["tensor_bytes"].get<double>());
  EXPECT_EQ(models[2]["measured"], false);
  EXPECT_EQ(models[2]["perplexity"], 141.2);
  EXPECT_FALSE(models[2].contains("results"));
}

TEST_F(EvaluationCommandsTest, CompareTables) {
  const std::vector<std::string> command{
      "compare",    "--repository", Path("models"),      "--text",
      Path("text"), "--row",        "KN-5,9700000,141.2"};
  ASSERT_THAT(Run(command), IsOk());
  EXPECT_THAT(out_, testing::StartsWith("model   preset  protocol   V   E   H  L      bytes"));
  EXPECT_THAT(out_, HasSubstr("\nfloat   lstm    document  30  16  16  1"));
  EXPECT_THAT(out_, HasSubstr("\nKN-5 *  -       -"));
  EXPECT_THAT(out_, HasSubstr("\n* as given, not measured.\n"));
  EXPECT_THAT(out_, HasSubstr("counted as in [LCY18] Table 1"));
  EXPECT_THAT(out_, HasSubstr("compression: bytes of float / bytes."));
  EXPECT_THAT(out_, Not(HasSubstr("do not compare")));
  std::vector<std::string> markdown = command;
  markdown.push_back("--markdown");
  ASSERT_THAT(Run(markdown), IsOk());
  EXPECT_THAT(out_, HasSubstr("| bits | bllm | sentence | 30 | 16 | 16 | 1 |"));
  EXPECT_THAT(out_, HasSubstr("\n\\* as given, not measured.\n"));
}

TEST_F(EvaluationCommandsTest, CompareSaysWhenPerplexitiesDoNotCompare) {
  std::filesystem::create_directories(Path("models/other"));
  ASSERT_THAT(WriteModel(RandomModel(TinyConfig("bllm", 31, 16, 16), 3), Directory("other")),
              IsOk());
  ASSERT_THAT(Run({"compare", "-m", Directory("bits"), Directory("other"), "-t", Path("text")}),
              IsOk());
  EXPECT_THAT(out_, HasSubstr("perplexities do not compare"));
  EXPECT_THAT(out_, Not(HasSubstr("compression: "))) << "no float model";
}

TEST_F(EvaluationCommandsTest, SimilarityOfSeveralModelsAndFiles) {
  Write("pairs", "w2\tw3\t1\nW2 w4 2\nw2 absent 3\n");
  Write("none", "up down 1\nleft right 2\n");
  ASSERT_THAT(Run({"similarity", "--model", Directory("float"), Directory("bits"), "--pairs",
                   Path("pairs"), Path("none"), "--json"}),
              IsOk());
  const nlohmann::json rows = Json();
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0]["covered"], 2);
  EXPECT_EQ(rows[0]["pairs"], 3);
  EXPECT_EQ(std::abs(rows[0]["spearman"].get<double>()), 1);
  EXPECT_EQ(rows[0]["missing_words"], std::vector<std::string>{"absent"});
  EXPECT_EQ(rows[0]["values"], "float");
  EXPECT_EQ(rows[2]["values"], "binary");
  EXPECT_EQ(rows[1]["covered"], 0);
  EXPECT_TRUE(rows[1]["spearman"].is_null());
  ASSERT_THAT(Run({"similarity", "-m", Directory("bits"), "--pairs", Path("none")}), IsOk());
  EXPECT_THAT(out_, HasSubstr("  input  binary  none        0      2         -\n"));
}

TEST_F(EvaluationCommandsTest, NeighboursOfSeveralWords) {
  ASSERT_THAT(Run({"neighbours", "-m", Directory("bits"), "--word", "w2", "W3", "-n", "4",
                   "--table", "output", "--json"}),
              IsOk());
  const nlohmann::json words = Json()["words"];
  ASSERT_EQ(words.size(), 2u);
  EXPECT_EQ(words[1]["word"], "w3");
  ASSERT_EQ(words[0]["neighbours"].size(), 4u);
  const nlohmann::json nearest = words[0]["neighbours"][0];
  EXPECT_EQ(nearest["cosine"].get<double>(), 1 - nearest["hamming_distance"].get<int>() / 8.0);
  ASSERT_THAT(Run({"neighbours", "-m", Directory("float"), "-w", "w2", "-n", "1"}), IsOk());
  EXPECT_THAT(out_, testing::MatchesRegex("w2 +cosine\nw[0-9]+ +0\\.[0-9]{4}\n"));
}

TEST_F(EvaluationCommandsTest, MistakesAreNamed) {
  Write("bad", "w2 w3 1\nw2 w3\n");
  Write("empty", "");
  const auto expect = [&](const std::vector<std::string>& arguments, const std::string& message) {
    const absl::Status status = Run(arguments);
    EXPECT_FALSE(status.ok()) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_EQ(out_, "");
  };
  const std::string bits = Directory("bits");
  expect({"compare", "-t", Path("text")}, "--model");
  expect({"compare", "-m", Path("absent"), "-t", Path("text")}, "absent");
  expect({"compare", "-m", Path("models/bits"), "-t", Path("text")}, "models/bits/config.json");
  expect({"compare", "--repository", bits, "-t", Path("text")}, "no model in it");
  expect({"compare", "-m", bits, "-t", Path("absent.txt")}, "absent.txt");
  expect({"compare", "-m", bits, "-t", Path("empty")}, "empty");
  expect({"compare", "-m", bits, "-t", Path("text"), "-p", "word"}, "word");
  expect({"compare", "-m", bits, "-t", Path("text"), "--baseline", "x"}, "none of: bits");
  expect({"compare", "-m", bits, "-t", Path("text"), "--row", "KN-5,1"}, "--row \"KN-5,1\"");
  expect({"similarity", "-m", bits, "--pairs", Path("bad")}, "bad: line 2: 2 fields");
  expect({"similarity", "-m", bits, "--pairs", Path("empty")}, "empty: no word pairs");
  expect({"similarity", "-m", Path("absent"), "--pairs", Path("bad")}, "bad: line 2");
  expect({"neighbours", "-m", bits, "-w", "zebra"}, "bits/1/vocab.txt: no word \"zebra\"");
  expect({"neighbours", "-m", bits, "-w", "W2", "--exact-case"}, "no word \"W2\"");
  expect({"neighbours", "-m", bits, "-w", "w2", "-n", "0"}, "--count");
}

}  // namespace
}  // namespace bitlm::trainer
