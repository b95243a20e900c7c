#include "clients/cli/score_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace bitlm::cli {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

const client::SentenceScore kScore = {
    .logprob = -2.5,
    .word_count = 1,
    .token_count = 2,
    .oov_count = 1,
    .oov_logprob = -2.25,
    .words = {{.word = "zyx", .id = 0, .logprob = -2.25f, .oov = true, .rank = 7},
              {.word = "</s>", .id = 1, .logprob = -0.25f, .oov = false, .rank = 1}}};
const client::ScoreResult kResult = {.model = "m", .model_version = 3, .scores = {kScore}};

ScoreArguments With(Format format) {
  ScoreArguments arguments;
  arguments.format = format;
  return arguments;
}

TEST(ScoreFormatTest, TextIsForPeople) {
  ScoreArguments arguments;
  arguments.options.words = true;
  EXPECT_EQ(ScoreFormatter(arguments).Sentence(1, "Zyx", kResult, kScore),
            "     -2.5000    1 words   1 OOV  Zyx\n"
            "     -2.2500    rank 7        zyx  (OOV)\n"
            "     -0.2500    rank 1        </s>\n");
}

TEST(ScoreFormatTest, TsvHasALinePerSentenceOrPerWord) {
  ScoreArguments arguments = With(Format::kTsv);
  EXPECT_EQ(ScoreFormatter(arguments).Sentence(9, "a\tb", kResult, kScore),
            "9\t-2.5\t1\t2\t1\t-2.25\ta\\tb\n");
  EXPECT_EQ(ScoreFormatter(arguments).Header(),
            "sentence_number\tlogprob\twords\ttokens\toov\toov_logprob\tsentence\n");
  arguments.options.words = true;
  EXPECT_EQ(ScoreFormatter(arguments).Sentence(9, "a", kResult, kScore),
            "9\t1\tzyx\t0\t-2.25\t1\t7\n9\t2\t</s>\t1\t-0.25\t0\t1\n");
  arguments.header = false;
  EXPECT_EQ(ScoreFormatter(arguments).Header(), "");
}

TEST(ScoreFormatTest, JsonIsOneObjectALine) {
  ScoreArguments arguments = With(Format::kJson);
  arguments.options.words = true;
  const std::string line = ScoreFormatter(arguments).Sentence(1, "say \"a\"\n", kResult, kScore);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const Json object = Json::parse(line);
  EXPECT_EQ(object["sentence"], "say \"a\"\n");
  EXPECT_EQ(object["logprob"], -2.5);
  EXPECT_EQ(object["model_version"], 3);
  ASSERT_EQ(object["word_scores"].size(), 2u);
  EXPECT_EQ(object["word_scores"][0]["rank"], 7);
  EXPECT_EQ(object["word_scores"][1]["logprob"], -0.25);
}

TEST(ScoreFormatTest, OtherBasesDivideByTheirLogarithm) {
  ScoreArguments arguments = With(Format::kJson);
  arguments.base = "10";
  const Json object = Json::parse(ScoreFormatter(arguments).Sentence(1, "x", kResult, kScore));
  EXPECT_DOUBLE_EQ(object["logprob"], -2.5 / std::log(10.0));
}

TEST(ScoreFormatTest, TotalsAreTextUnlessTheyAreAll) {
  client::Totals totals;
  totals.Add(kScore);
  ScoreArguments arguments = With(Format::kJson);
  EXPECT_FALSE(ScoreFormatter(arguments).TotalsOnStdout());
  EXPECT_THAT(ScoreFormatter(arguments).Totals(totals),
              HasSubstr("perplexity including OOV  3.4903"));
  EXPECT_THAT(ScoreFormatter(arguments).Totals(totals),
              HasSubstr("perplexity excluding OOV  1.2840"));
  arguments.totals_only = true;
  EXPECT_TRUE(ScoreFormatter(arguments).TotalsOnStdout());
  EXPECT_EQ(ScoreFormatter(arguments).Sentence(1, "x", kResult, kScore), "");
  EXPECT_DOUBLE_EQ(Json::parse(ScoreFormatter(arguments).Totals(totals))["perplexity"],
                   std::exp(1.25));
  arguments.format = Format::kTsv;
  EXPECT_EQ(ScoreFormatter(arguments).Totals(totals),
            "sentences\twords\ttokens\toov_tokens\tlogprob\tperplexity\tperplexity_excluding_oov\n"
            "1\t1\t2\t1\t-2.5\t3.4903\t1.2840\n");
}

}  // namespace
}  // namespace bitlm::cli
