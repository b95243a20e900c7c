#include "clients/cli/line_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace bitlm::cli {
namespace {

class LineReaderTest : public ::testing::Test {
 protected:
  LineReaderTest() { EXPECT_EQ(pipe(pipe_), 0); }
  ~LineReaderTest() override {
    close(pipe_[0]);
    CloseWriter();
  }
  void Write(const std::string& text) {
    EXPECT_EQ(write(pipe_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void CloseWriter() {
    if (pipe_[1] >= 0) close(pipe_[1]);
    pipe_[1] = -1;
  }
  static std::string Line(LineReader& reader) {
    const auto line = reader.Next();
    EXPECT_TRUE(line.ok());
    return line.ok() ? line->value_or("(end)") : "(error)";
  }
  int reader_fd() const { return pipe_[0]; }

 private:
  int pipe_[2] = {-1, -1};
};

TEST_F(LineReaderTest, GivesEveryLineWithOrWithoutALastNewline) {
  Write("one\n\nthree\r\nlast");
  CloseWriter();
  LineReader reader(reader_fd(), "pipe");
  EXPECT_EQ(Line(reader), "one");
  EXPECT_EQ(Line(reader), "");
  EXPECT_EQ(Line(reader), "three\r");
  EXPECT_EQ(Line(reader), "last");
  EXPECT_EQ(Line(reader), "(end)");
  EXPECT_EQ(Line(reader), "(end)");
}

TEST_F(LineReaderTest, IsReadyOnlyForAWholeLineOrTheEnd) {
  LineReader reader(reader_fd(), "pipe");
  EXPECT_FALSE(reader.Ready());
  Write("par");
  EXPECT_FALSE(reader.Ready());
  Write("tial\nrest");
  EXPECT_TRUE(reader.Ready());
  EXPECT_EQ(Line(reader), "partial");
  EXPECT_FALSE(reader.Ready());
  CloseWriter();
  EXPECT_TRUE(reader.Ready());
  EXPECT_EQ(Line(reader), "rest");
  EXPECT_TRUE(reader.Ready());
  EXPECT_EQ(Line(reader), "(end)");
}

TEST_F(LineReaderTest, JoinsLinesThatSpanManyReads) {
  const std::string longer(50000, 'x');
  LineReader reader(reader_fd(), "pipe");
  Write(longer);
  EXPECT_FALSE(reader.Ready());
  Write("y\n");
  EXPECT_EQ(Line(reader), longer + "y");
}

TEST_F(LineReaderTest, RefusesALineOverTheLimit) {
  LineReader reader(reader_fd(), "pipe", /*max_line_bytes=*/10);
  Write("short\n01234567890123456789");
  EXPECT_EQ(Line(reader), "short");
  const auto line = reader.Next();
  EXPECT_EQ(line.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(LineReaderTest, ReportsReadErrors) {
  LineReader reader(-1, "nothing");
  const auto line = reader.Next();
  ASSERT_FALSE(line.ok());
  EXPECT_EQ(std::string(line.status().message()).rfind("nothing: ", 0), 0u);
}

}  // namespace
}  // namespace bitlm::cli
