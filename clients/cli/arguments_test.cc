#include "clients/cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace bitlm::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Arguments Parse(const std::vector<std::string>& args) {
  const auto result = ParseArguments(args);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(Arguments());
}

std::string Error(const std::vector<std::string>& args) {
  const auto result = ParseArguments(args);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(result.status().message());
}

TEST(ArgumentsTest, ScoreReadsStandardInputByDefault) {
  const Arguments arguments = Parse({"score"});
  EXPECT_EQ(arguments.command, Command::kScore);
  EXPECT_EQ(arguments.score.file, "-");
  EXPECT_TRUE(arguments.score.sentences.empty());
  EXPECT_TRUE(arguments.score.options.begin_of_sentence);
  EXPECT_TRUE(arguments.score.options.end_of_sentence);
  EXPECT_TRUE(arguments.score.header);
}

TEST(ArgumentsTest, ScoreTakesEveryOption) {
  const Arguments arguments =
      Parse({"score",       "--words",           "--format",   "tsv",
             "--base=2",    "--oov-policy",      "offset",     "--oov-logprob",
             "-3.5",        "--self-normalized", "--no-begin", "--no-end",
             "--no-header", "--model",           "m",          "--model-version",
             "4",           "--server",          "h:1",        "--timeout-seconds",
             "0.5",         "one two",           "-",          "three"});
  EXPECT_TRUE(arguments.score.options.words);
  EXPECT_EQ(arguments.score.format, Format::kTsv);
  EXPECT_EQ(arguments.score.base, "2");
  EXPECT_EQ(arguments.score.options.oov_policy, client::OovPolicy::kOffset);
  EXPECT_EQ(arguments.score.options.oov_logprob, -3.5);
  EXPECT_TRUE(arguments.score.options.self_normalized);
  EXPECT_FALSE(arguments.score.options.begin_of_sentence);
  EXPECT_FALSE(arguments.score.options.end_of_sentence);
  EXPECT_FALSE(arguments.score.header);
  EXPECT_EQ(arguments.score.options.model, "m");
  EXPECT_EQ(arguments.score.options.model_version, 4);
  EXPECT_EQ(arguments.connection.options.target, "h:1");
  EXPECT_EQ(arguments.connection.options.timeout, absl::Milliseconds(500));
  EXPECT_THAT(arguments.score.sentences, ElementsAre("one two", "-", "three"));
}

TEST(ArgumentsTest, NextJoinsAndLimits) {
  const Arguments arguments =
      Parse({"next", "-k", "3", "--no-end", "--self-normalized", "the", "cat"});
  EXPECT_EQ(arguments.command, Command::kNext);
  EXPECT_THAT(arguments.next.context, ElementsAre("the", "cat"));
  EXPECT_EQ(arguments.next.options.top_k, 3);
  EXPECT_FALSE(arguments.next.options.allow_end_of_sentence);
  EXPECT_TRUE(arguments.next.options.self_normalized);
}

TEST(ArgumentsTest, NextTakesCandidatesOneByOne) {
  const Arguments arguments =
      Parse({"next", "--candidate", "mat", "the", "--candidate=[a,b]", "cat", "--candidate=</s>"});
  EXPECT_THAT(arguments.next.options.candidates, ElementsAre("mat", "[a,b]", "</s>"));
  EXPECT_THAT(arguments.next.context, ElementsAre("the", "cat"));
  EXPECT_EQ(arguments.next.options.top_k, 0);  // All of them.
  EXPECT_EQ(Parse({"next", "-k2", "--candidate=a", "the"}).next.options.top_k, 2);
  EXPECT_EQ(Parse({"next", "the"}).next.options.top_k, 10);
}

TEST(ArgumentsTest, NextTakesAPrefix) {
  const Arguments arguments = Parse({"next", "--prefix", "th", "the", "cat"});
  EXPECT_EQ(arguments.next.options.prefix, "th");
  EXPECT_THAT(arguments.next.context, ElementsAre("the", "cat"));
  EXPECT_EQ(Parse({"next"}).next.options.prefix, std::nullopt);
  EXPECT_EQ(Parse({"next", "--prefix", ""}).next.options.prefix, "");
  EXPECT_EQ(Parse({"next", "--prefix", "[a"}).next.options.prefix, "[a");
  EXPECT_THAT(Error({"next", "--prefix=t", "--candidate=to"}), HasSubstr("--candidate"));
}

TEST(ArgumentsTest, TakesTextThatLooksLikeAListAsItStands) {
  const std::vector<std::string> sentences = {"[a, b]", "[]", "{}", "%%", "", "\x01[x]", "[a", "b"};
  std::vector<std::string> args = {"score", "--model=[m,n]"};
  args.insert(args.end(), sentences.begin(), sentences.end());
  const Arguments arguments = Parse(args);
  EXPECT_EQ(arguments.score.sentences, sentences);
  EXPECT_EQ(arguments.score.options.model, "[m,n]");
  EXPECT_THAT(Parse({"score", "[]"}).score.sentences, ElementsAre("[]"));
  EXPECT_THAT(Parse({"score", "{}"}).score.sentences, ElementsAre("{}"));
  EXPECT_THAT(Parse({"score", "--", "--x=[a,b]"}).score.sentences, ElementsAre("--x=[a,b]"));
  EXPECT_THAT(Parse({"next", "[a,b]", "[c]"}).next.context, ElementsAre("[a,b]", "[c]"));
  EXPECT_EQ(Parse({"score", "--file", "[f]"}).score.file, "[f]");
  EXPECT_EQ(Parse({"models", "--server", "[::1]"}).connection.options.target, "[::1]");
  EXPECT_THAT(Error({"score", "--format=[x]"}), HasSubstr(" [x]"));
}

TEST(ArgumentsTest, TheFlagBeatsTheEnvironment) {
  setenv("BITLM_SERVER", "from-environment:1", 1);
  EXPECT_EQ(Parse({"models"}).connection.options.target, "from-environment:1");
  EXPECT_EQ(Parse({"--server=flag:2", "models"}).connection.options.target, "flag:2");
  unsetenv("BITLM_SERVER");
  EXPECT_EQ(Parse({"models"}).connection.options.target, "127.0.0.1:50051");
}

TEST(ArgumentsTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Error({"score", "--frobnicate"}), HasSubstr("--frobnicate"));
  EXPECT_THAT(Error({"sing"}), HasSubstr("subcommand"));
  EXPECT_THAT(Error({}), HasSubstr("subcommand"));
  EXPECT_THAT(Error({"score", "--base=3"}), HasSubstr("--base"));
  EXPECT_THAT(Error({"score", "--format=xml"}), HasSubstr("--format"));
  EXPECT_THAT(Error({"score", "--batch-size=4097"}), HasSubstr("--batch-size"));
  EXPECT_THAT(Error({"next", "-k", "0"}), HasSubstr("--top-k"));
  EXPECT_THAT(Error({"score", "--file", "f", "sentence"}), HasSubstr("exclude each other"));
}

TEST(ArgumentsTest, PrintsHelpAndVersion) {
  EXPECT_THAT(Parse({"--help"}).output, HasSubstr("score"));
  EXPECT_THAT(Parse({"score", "--help"}).output, HasSubstr("--oov-policy"));
  EXPECT_THAT(Parse({"--version"}).output, HasSubstr("bitlm "));
}

TEST(ArgumentsTest, LogarithmFactorsAreOneOverLnOfTheBase) {
  EXPECT_EQ(LogarithmFactor("e"), 1);
  EXPECT_DOUBLE_EQ(std::log(1000.0) * LogarithmFactor("10"), 3);
  EXPECT_DOUBLE_EQ(std::log(8.0) * LogarithmFactor("2"), 3);
}

}  // namespace
}  // namespace bitlm::cli
