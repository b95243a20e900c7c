// bitlm, the command-line client, against a real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/perplexity.h"
#include "tests/integration/running_server.h"
#include "tests/integration/tiny_repository.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Json = nlohmann::json;

class CliProcessTest : public ::testing::Test {
 protected:
  struct Result {
    int status;
    std::string output;
    std::string errors;
  };
  Result Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), Program("bitlm"));
    Process process(arguments,
                    {.input = input, .environment = {"BITLM_SERVER=" + server_.target()}});
    const int status = process.Wait();
    return {status, process.output(), process.errors()};
  }
  static std::vector<std::string> Lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }

  TinyRepository repository_;
  RunningServer server_{repository_.path()};
};

TEST_F(CliProcessTest, ScoresArgumentsForPeople) {
  const Result result = Run({"score", "w1 w2", "w3 zebra"});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.output, HasSubstr("1 OOV  w3 zebra\n"));
  EXPECT_THAT(result.output, HasSubstr("\nperplexity including OOV  "));
  EXPECT_THAT(result.output, HasSubstr("\ntokens (with </s>)        6\n"));
}

TEST_F(CliProcessTest, ScoresAPipeAsJsonLinesInOrder) {
  std::string input;
  const std::vector<std::string> sentences = TinySentences(700, 3);  // Several requests.
  for (const std::string& sentence : sentences) input += sentence + "\n";
  const Result result = Run({"score", "--format=json", "--words"}, input);
  EXPECT_EQ(result.status, 0) << result.errors;
  const std::vector<std::string> lines = Lines(result.output);
  ASSERT_EQ(lines.size(), sentences.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    const Json object = Json::parse(lines[i]);
    EXPECT_EQ(object["sentence"], sentences[i]);
    double sum = 0;
    for (const Json& word : object["word_scores"]) {
      sum += static_cast<double>(word["logprob"].get<float>());
    }
    EXPECT_EQ(sum, object["logprob"].get<double>());
  }
  EXPECT_THAT(result.errors, HasSubstr("sentences                 700\n"));
}

TEST_F(CliProcessTest, AFilesPerplexityIsThatOfTheEngineToTheLastDigit) {
  TemporaryDirectory directory;
  const std::string path = directory.Path("text.txt");
  std::string text;
  for (const std::string& sentence : TinySentences(2000, 9)) text += sentence + "\n";
  text += "w1 the last line has no newline";
  std::ofstream(path) << text;
  ASSERT_OK_AND_ASSIGN(const std::shared_ptr<const LanguageModel> model,
                       LoadLanguageModel(repository_.ModelDirectory(3)));
  ASSERT_OK_AND_ASSIGN(const PerplexityResult expected,
                       EvaluateText(*model, text, ContextKind::kSentence, nullptr));
  for (const char* batch_size : {"1", "7", "256"}) {
    const Result result = Run(
        {"score", "--file", path, "--totals-only", "--format=json", "--batch-size", batch_size});
    ASSERT_EQ(result.status, 0) << result.errors;
    const Json totals = Json::parse(result.output);
    EXPECT_EQ(totals["sentences"], expected.sentences);
    EXPECT_EQ(totals["tokens"], expected.tokens);
    EXPECT_EQ(totals["oov_tokens"], expected.oov_tokens);
    EXPECT_EQ(totals["logprob"].get<double>(), expected.logprob);
    EXPECT_EQ(totals["perplexity"].get<double>(), expected.perplexity);
    EXPECT_EQ(totals["perplexity_excluding_oov"].get<double>(), expected.perplexity_excluding_oov);
  }
  const Result text_result = Run({"score", "--totals-only", "--file", path});
  EXPECT_THAT(text_result.output,
              HasSubstr(absl::StrFormat("perplexity including OOV  %.4f\n", expected.perplexity)));
}

TEST_F(CliProcessTest, TsvHasAHeaderAndTotalsAside) {
  const Result result = Run({"score", "--format=tsv", "--base=10"}, "w1\n\n");
  EXPECT_EQ(result.status, 0);
  const std::vector<std::string> lines = Lines(result.output);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], StartsWith("sentence_number\tlogprob"));
  EXPECT_THAT(lines[1], StartsWith("1\t-"));
  EXPECT_THAT(lines[2], StartsWith("2\t-"));
  EXPECT_THAT(result.errors, HasSubstr("log probability (base 10)"));
}

TEST_F(CliProcessTest, ErrorsNameTheLineAndComeAfterWhatWasScored) {
  const Result utf8 = Run({"score"}, "w1\nw2 \xff\n");
  EXPECT_EQ(utf8.status, 1);
  EXPECT_EQ(utf8.errors, "bitlm: standard input:2: invalid UTF-8 at byte 3\n");
  EXPECT_THAT(utf8.output, HasSubstr("0 OOV  w1\n"));
  const Result together = Run({"score"}, "w1\nw3\nw2 </s>\nw4\n");  // In one request.
  EXPECT_EQ(together.status, 1);
  EXPECT_THAT(together.errors, StartsWith("bitlm: standard input:3: "));
  EXPECT_EQ(Lines(together.output).size(), 2u);
  const Result mark = Run({"score", "--batch-size=1"}, "w1\nw2 </s>\n");
  EXPECT_EQ(mark.status, 1);
  EXPECT_THAT(mark.errors, StartsWith("bitlm: standard input:2: "));
  EXPECT_THAT(mark.output, HasSubstr("0 OOV  w1\n"));
  const Result argument = Run({"score", "w1", "<s>"});
  EXPECT_THAT(argument.errors, StartsWith("bitlm: sentence 2: "));
  const Result missing = Run({"score", "--file", "/no/such/file"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.errors, HasSubstr("/no/such/file"));
}

TEST_F(CliProcessTest, AnInputErrorComesAfterTheAnswersToWhatWasRead) {
  TemporaryDirectory directory;
  const std::string path = directory.Path("text.txt");
  std::ofstream(path) << "w1\n";
  std::filesystem::resize_file(path, size_t{65} << 20);  // A line that is too long.
  const Result result = Run({"score", "--file", path});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("a line is longer than"));
  EXPECT_THAT(result.output, HasSubstr("0 OOV  w1\n"));
}

TEST_F(CliProcessTest, ASentenceThatNoServerTakesFailsAloneAndIsNamed) {
  const std::string huge(size_t{5} << 20, 'x');  // Over the server's limit of a message.
  const Result result = Run({"score"}, "w1\nw2\n" + huge + "\nw3\n");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, StartsWith("bitlm: standard input:3: "));
  EXPECT_THAT(result.errors, HasSubstr("larger than max"));
  EXPECT_EQ(Lines(result.output).size(), 2u);
  const std::string large(size_t{1} << 20, 'x');  // Over what a request of several holds.
  const Result fits = Run({"score", "--format=tsv"}, "w1\n" + large + "\n" + large + "\nw2\n");
  EXPECT_EQ(fits.status, 0) << fits.errors;
  EXPECT_EQ(Lines(fits.output).size(), 5u);
}

TEST_F(CliProcessTest, EveryErrorNamesAPlace) {
  const Result result = Run({"score", "--model=none", "--batch-size=1"}, "w1\nw2\n");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, StartsWith("bitlm: standard input:1: model: no such model"));
}

TEST_F(CliProcessTest, NoServerIsExplained) {
  const Result result = Run({"score", "--server=127.0.0.1:1", "w1"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("no server answers at 127.0.0.1:1"));
  EXPECT_THAT(result.errors, HasSubstr("--server"));
}

TEST_F(CliProcessTest, UsageErrorsExitWithTwo) {
  EXPECT_EQ(Run({"score", "--no-such-flag"}).status, 2);
  EXPECT_EQ(Run({}).status, 2);
  EXPECT_EQ(Run({"--version"}).status, 0);
}

TEST_F(CliProcessTest, NextGivesTheMostProbableWords) {
  const Result result = Run({"next", "-k", "3", "--format=tsv", "w1", "w2"});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(Lines(result.output).size(), 4u);  // And the header.
  const Result start = Run({"next"});
  EXPECT_EQ(Lines(start.output).size(), 10u);
  EXPECT_EQ(Run({"next", "-k", "51"}).status, 1);
}

TEST_F(CliProcessTest, NextRanksCandidates) {
  const Result result = Run({"next", "--format=json", "--allow-unknown", "--candidate=zebra",
                             "--candidate=w7", "w1", "w2"});
  EXPECT_EQ(result.status, 0) << result.errors;
  ASSERT_EQ(Lines(result.output).size(), 2u);
  for (const std::string& line : Lines(result.output)) {
    const Json word = Json::parse(line);
    EXPECT_EQ(word["oov"], word["word"] == "zebra");
  }
  const Result known = Run({"next", "--candidate=zebra", "--candidate=w7"});
  EXPECT_EQ(Lines(known.output).size(), 1u);
  EXPECT_THAT(known.output, HasSubstr("  w7\n"));
}

TEST_F(CliProcessTest, NextCompletesAPrefix) {
  const Result result = Run({"next", "--format=tsv", "--prefix=w4", "-k", "20", "w1"});
  EXPECT_EQ(result.status, 0) << result.errors;
  const std::vector<std::string> lines = Lines(result.output);
  ASSERT_EQ(lines.size(), 10u);  // A header, w4, and w40 to w47.
  for (size_t i = 1; i < lines.size(); ++i) EXPECT_THAT(lines[i], HasSubstr("\tw4"));
  const Result none = Run({"next", "--prefix=q"});
  EXPECT_EQ(none.status, 0);
  EXPECT_THAT(none.output, IsEmpty());
}

TEST_F(CliProcessTest, SelfNormalizedScoresNeedAModelTrainedForThem) {
  const Result next = Run({"next", "--self-normalized"});
  EXPECT_EQ(next.status, 1);
  EXPECT_THAT(next.errors, StartsWith("bitlm: self_normalized: "));
  const Result score = Run({"score", "--self-normalized", "w1"});
  EXPECT_EQ(score.status, 1);
  EXPECT_THAT(score.errors, HasSubstr("options.self_normalized: "));
}

TEST_F(CliProcessTest, ModelsAreATable) {
  const Result result = Run({"models"});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.output, HasSubstr("tiny"));
  EXPECT_EQ(Lines(result.output).size(), 3u);
  const Json latest = Json::parse(Lines(Run({"models", "--format=json"}).output)[1]);
  EXPECT_EQ(latest["version"], 3);
  EXPECT_TRUE(latest["latest"].get<bool>());
}

TEST_F(CliProcessTest, AReaderThatHasSeenEnoughEndsItQuietly) {
  std::string input;
  for (int i = 0; i < 5000; ++i) input += "w1 w2 w3 w4\n";
  Process process(
      {"/bin/sh", "-c",
       absl::StrCat(Program("bitlm"), " score --server=", server_.target(), " | head -n 1")},
      {.input = input, .environment = {}});
  EXPECT_EQ(process.Wait(), 0);
  EXPECT_EQ(Lines(process.output()).size(), 1u);
  EXPECT_THAT(process.errors(), IsEmpty());
}

}  // namespace
}  // namespace bitlm
