#include "clients/bench/workload.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace bitlm::bench {
namespace {

TEST(WorkloadTest, SentencesFillRequests) {
  std::istringstream text("a b\n\n  \nc\nd e f\n");
  const auto workload = ReadSentences(text, {.model = "m", .sentences_per_request = 2});
  ASSERT_TRUE(workload.ok());
  ASSERT_EQ(workload->size(), 2u);
  EXPECT_EQ(workload->score[0].model(), "m");
  ASSERT_EQ(workload->score[0].sentences_size(), 2);
  EXPECT_EQ(workload->score[0].sentences(1), "c");
  ASSERT_EQ(workload->score[1].sentences_size(), 1);
  EXPECT_EQ(workload->score[1].sentences(0), "d e f");
}

TEST(WorkloadTest, NextWordsAreAskedAfterEveryBeginning) {
  std::istringstream text("one two  three\nfour\n");
  const auto workload = ReadSentences(text, {.rpc = Rpc::kNextWords, .model = "", .top_k = 3});
  ASSERT_TRUE(workload.ok());
  std::vector<std::string> contexts;
  for (const auto& request : workload->next) {
    contexts.push_back(request.context());
    EXPECT_EQ(request.top_k(), 3);
  }
  EXPECT_EQ(contexts, (std::vector<std::string>{"", "one", "one two", ""}));
}

TEST(WorkloadTest, AnNBestListIsARequest) {
  std::istringstream text(
      R"({"id": 1, "ref": "x", "hyps": [{"text": "a b", "am": -3}, {"text": "a"}]})"
      "\n"
      R"({"hyps": [{"text": "c"}]})"
      "\n");
  const auto workload = ReadNBestLists(text, {.model = "m"});
  ASSERT_TRUE(workload.ok());
  ASSERT_EQ(workload->size(), 2u);
  ASSERT_EQ(workload->score[0].sentences_size(), 2);
  EXPECT_EQ(workload->score[0].sentences(0), "a b");
  EXPECT_EQ(workload->score[1].sentences(0), "c");
}

TEST(WorkloadTest, RefusesWhatIsNoWorkload) {
  std::istringstream empty("\n \n");
  EXPECT_EQ(ReadSentences(empty, {}).status().code(), absl::StatusCode::kInvalidArgument);
  for (const std::string line :
       {"", "{", "[]", "{}", R"({"hyps": []})", R"({"hyps": {"text": "a"}})", R"({"hyps": ["a"]})",
        R"({"hyps": [{"text": 1}]})"}) {
    std::istringstream text(R"({"hyps": [{"text": "c"}]})"
                            "\n" +
                            line + "\n");
    const auto workload = ReadNBestLists(text, {});
    ASSERT_FALSE(workload.ok()) << line;
    EXPECT_EQ(workload.status().message().substr(0, 7), "line 2:") << line;
  }
}

}  // namespace
}  // namespace bitlm::bench
