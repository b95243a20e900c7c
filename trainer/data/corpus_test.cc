#include "trainer/data/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/base/file.h"

namespace bitlm::trainer {
namespace {

using testing::ElementsAre;

TEST(CorpusTest, ReadsNormalizedSentencesAndSkipsEmptyLines) {
  const std::string path = testing::TempDir() + "/corpus.txt";
  ASSERT_TRUE(WriteFileAtomically(path, "The cat.\n\n  \nA dog, too!").ok());
  const auto sentences = ReadSentences({path}, NormalizationKind::kLowercaseNoPunctuation);
  ASSERT_TRUE(sentences.ok()) << sentences.status();
  EXPECT_THAT(*sentences, ElementsAre(ElementsAre("the", "cat"), ElementsAre("a", "dog", "too")));
}

TEST(CorpusTest, NamesFileAndLineOfInvalidText) {
  const std::string path = testing::TempDir() + "/invalid.txt";
  ASSERT_TRUE(WriteFileAtomically(path, "good\nbad \xff\n").ok());
  const auto sentences = ReadSentences({path}, NormalizationKind::kNone);
  EXPECT_EQ(sentences.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(sentences.status().message()), testing::HasSubstr("invalid.txt: line 2"));
}

TEST(CorpusTest, VocabularyKeepsTheMostFrequentWordsWithTiesInByteOrder) {
  const auto vocabulary = BuildVocabulary({{"b", "a", "c", "c"}, {"<unk>", "d", "d", "d"}}, 5);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  EXPECT_EQ(vocabulary->Serialize(), "<unk>\n</s>\nd\nc\na\n");
}

TEST(CorpusTest, ReservedWordsInTheTextAreRefused) {
  const std::string path = testing::TempDir() + "/reserved.txt";
  ASSERT_TRUE(WriteFileAtomically(path, "good\n\na </s> b\n").ok());
  const auto sentences = ReadSentences({path}, NormalizationKind::kNone);
  EXPECT_EQ(sentences.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(sentences.status().message()),
              testing::HasSubstr("reserved.txt: line 3: the reserved word </s>"));
}

TEST(CorpusTest, TokenizesWithEndsOfSentences) {
  const Vocabulary vocabulary = BuildVocabulary({{"a", "b"}}, 0).value();
  const TokenizedCorpus corpus = TokenizeCorpus({{"b", "zebra"}, {"a"}}, vocabulary);
  EXPECT_THAT(corpus.tokens, ElementsAre(3, 0, 1, 2, 1));
  EXPECT_THAT(corpus.starts, ElementsAre(0, 3, 5));
}

TEST(CorpusTest, AppendedSentencesComeAfter) {
  const Vocabulary vocabulary = BuildVocabulary({{"a", "b"}}, 0).value();
  TokenizedCorpus corpus = TokenizeCorpus({{"b"}}, vocabulary);
  Append(TokenizeCorpus({{"a", "a"}, {"b"}}, vocabulary), &corpus);
  EXPECT_THAT(corpus.tokens, ElementsAre(3, 1, 2, 2, 1, 3, 1));
  EXPECT_THAT(corpus.starts, ElementsAre(0, 2, 5, 7));
}

}  // namespace
}  // namespace bitlm::trainer
