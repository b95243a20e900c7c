#include "trainer/eval/text_evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "engine/base/file.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm::trainer {
namespace {

TEST(TextEvaluationTest, MessagesNameTheFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.Path("text");
  ThreadPool pool(1);
  const auto engine =
      MakeCpuLanguageModel(std::make_shared<Model>(RandomModel(TinyConfig("bllm", 9, 8, 8), 1)))
          .value();
  ASSERT_THAT(WriteFileAtomically(path, "w2 w3\n\nw4 other\n"), IsOk());
  ASSERT_OK_AND_ASSIGN(const EvaluationText text, ReadEvaluationText(path));
  ASSERT_OK_AND_ASSIGN(const PerplexityResult result,
                       Evaluate(*engine, text, ContextKind::kSentence, &pool));
  EXPECT_EQ(result.sentences, 3);
  EXPECT_EQ(result.tokens, 7);
  EXPECT_EQ(result.oov_tokens, 1);
  EXPECT_EQ(result.perplexity,
            EvaluateText(*engine, text.contents, ContextKind::kSentence, &pool)->perplexity);

  ASSERT_THAT(WriteFileAtomically(path, "w2\nw3 \xff\n"), IsOk());
  ASSERT_OK_AND_ASSIGN(const EvaluationText bad, ReadEvaluationText(path));
  EXPECT_THAT(
      Evaluate(*engine, bad, ContextKind::kSentence, &pool),
      StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith(path + ": line 2: ")));
  ASSERT_THAT(WriteFileAtomically(path, ""), IsOk());
  EXPECT_THAT(ReadEvaluationText(path),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith(path + ": empty")));
  EXPECT_THAT(ReadEvaluationText(directory.Path("absent")),
              StatusIs(absl::StatusCode::kNotFound, testing::HasSubstr("absent")));
}

}  // namespace
}  // namespace bitlm::trainer
