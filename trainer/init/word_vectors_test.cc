#include "trainer/init/word_vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/base/file.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

class WordVectorsTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/word_vectors_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  absl::StatusOr<WordVectorReport> Read(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(path_, text).ok());
    std::fill(table_.value.begin(), table_.value.end(), 9.0f);
    return ReadWordVectors(path_, vocabulary_, counts_, &table_);
  }
  std::vector<float> Row(const char* word) {
    const float* row = table_.value.data() + 3 * vocabulary_.Find(word);
    return {row, row + 3};
  }
  Vocabulary vocabulary_ = *Vocabulary::FromWords({"<unk>", "</s>", "a", "b", "c"});
  std::vector<int64_t> counts_{0, 4, 3, 2, 1};
  Parameter<float> table_ = MakeParameter<float>("embedding", 5, 3);
  std::string path_;
};

TEST_F(WordVectorsTest, SetsTheRowsOfItsWords) {
  for (const char* header : {"", "5 3\n"}) {
    const auto report = Read(header + std::string("b 1 -2.5 3e-1\n"
                                                  "x 7 7 7\n"
                                                  "a\t4 5 6 \r\n"
                                                  ". . . 1 2 3\n"
                                                  "b 8 8 8"));
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->vectors, 5);
    EXPECT_EQ(report->words, 2);
    EXPECT_EQ(report->repeated, 1);
    EXPECT_DOUBLE_EQ(report->coverage, 0.5);
    EXPECT_THAT(Row("a"), testing::ElementsAre(4, 5, 6));
    EXPECT_THAT(Row("b"), testing::ElementsAre(1, -2.5f, 0.3f));
    EXPECT_THAT(Row("c"), testing::ElementsAre(9, 9, 9));
  }
}

TEST_F(WordVectorsTest, NamesTheLineOfAMistake) {
  for (const auto& [text, fragment] : std::vector<std::pair<std::string, std::string>>{
           {"a 1 2 3 4\n", "line 1: 4 values, expected embedding_size 3"},
           {"2 4\na 1 2 3 4\n", "line 2: 4 values, expected embedding_size 3"},
           {"a 1 2\n", "line 1: 2 values, expected 3"},
           {"a 1 2 3\nb 1 2\n", "line 2: 2 values, expected 3"},
           {"a 1 2 3\n\nb 1 2 3\n", "line 2: "},
           {"a 1 2 3\nb 1 x 3\n", "line 2: value 2 of 3 is not a finite number"},
           {"a 1 2 3\nb 1 2 nan\n", "line 2: value 3 of 3 is not a finite number"},
           {"a 1e99 2 3\n", "line 1: value 1 of 3 is not a finite number"},
           {"x 1 2 3\n", "none of the vocabulary's words"},
           {"", "none of the vocabulary's words"}}) {
    const auto report = Read(text);
    EXPECT_EQ(report.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(report.status().message()), HasSubstr(path_ + ": "));
    EXPECT_THAT(std::string(report.status().message()), HasSubstr(fragment));
  }
  EXPECT_EQ(ReadWordVectors(path_ + ".absent", vocabulary_, counts_, &table_).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace bitlm::trainer
