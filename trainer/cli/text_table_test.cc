#include "trainer/cli/text_table.h"

#include <gtest/gtest.h>

namespace bitlm::trainer {
namespace {

TextTable Example() {
  TextTable table({"model", "preset", "bytes"}, 2);
  table.Add({"a|b", "lstm", "48,000"});
  table.Add({"école\n", "bllm-no-io", "7"});
  return table;
}

TEST(TextTableTest, PlainColumnsLineUpByCharacters) {
  EXPECT_EQ(Example().Plain(),
            "model   preset       bytes\n"
            "a|b     lstm        48,000\n"
            "école   bllm-no-io       7\n");
}

TEST(TextTableTest, MarkdownEscapesBars) {
  EXPECT_EQ(Example().Markdown(),
            "| model | preset | bytes |\n"
            "| --- | --- | ---: |\n"
            "| a\\|b | lstm | 48,000 |\n"
            "| école  | bllm-no-io | 7 |\n");
}

TEST(TextTableTest, Thousands) {
  EXPECT_EQ(WithThousands(0), "0");
  EXPECT_EQ(WithThousands(999), "999");
  EXPECT_EQ(WithThousands(1000), "1,000");
  EXPECT_EQ(WithThousands(48008000), "48,008,000");
}

}  // namespace
}  // namespace bitlm::trainer
