#include "engine/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <string>

#include "engine/base/file_lock.h"
#include "engine/base/sha256.h"

namespace bitlm {
namespace {

using testing::HasSubstr;

std::string TempPath(const std::string& name) { return testing::TempDir() + "/" + name; }

TEST(FileTest, WritesAndReadsBack) {
  const std::string path = TempPath("plain");
  std::string contents = "a\0b\n";
  contents.push_back('\0');
  ASSERT_TRUE(WriteFileAtomically(path, contents).ok());
  EXPECT_EQ(ReadFile(path).value(), contents);
  ASSERT_TRUE(WriteFileAtomically(path, "shorter").ok());
  EXPECT_EQ(ReadFile(path).value(), "shorter");
}

TEST(FileTest, MissingFileNamesThePath) {
  const absl::Status status = ReadFile(TempPath("absent")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("absent"));
}

TEST(FileTest, RefusesWhatIsLargerThanTheLimit) {
  const std::string path = TempPath("large");
  ASSERT_TRUE(WriteFileAtomically(path, std::string(100, 'x')).ok());
  EXPECT_EQ(ReadFile(path, 99).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(ReadFile(path, 100).ok());
}

TEST(FileTest, DirectoryIsNotAFile) {
  EXPECT_EQ(ReadFile(testing::TempDir()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FileTest, ReadsGzipAndReportsTruncation) {
  const std::string path = TempPath("text.gz");
  gzFile gz = gzopen(path.c_str(), "wb");
  ASSERT_NE(gz, nullptr);
  ASSERT_EQ(gzputs(gz, "hello\nworld\n"), 12);
  gzclose(gz);
  EXPECT_EQ(ReadTextFile(path).value(), "hello\nworld\n");
  const std::string bytes = ReadFile(path).value();
  ASSERT_TRUE(WriteFileAtomically(path, bytes.substr(0, bytes.size() / 2)).ok());
  EXPECT_EQ(ReadTextFile(path).status().code(), absl::StatusCode::kDataLoss);
}

TEST(FileTest, AnInterruptedWriteLeavesNothingThatTheNextDoesNotRemove) {
  const std::string directory = TempPath("interrupted");
  std::filesystem::create_directories(directory);
  ASSERT_TRUE(WriteFileAtomically(directory + "/file.tmp", "half of wh").ok());
  ASSERT_TRUE(WriteFileAtomically(directory + "/file", "whole").ok());
  EXPECT_EQ(ReadFile(directory + "/file").value(), "whole");
  EXPECT_FALSE(std::filesystem::exists(directory + "/file.tmp"));
}

TEST(FileLockTest, HasOneHolderAtATime) {
  const std::string path = TempPath("lock");
  {
    const auto first = FileLock::Acquire(path);
    ASSERT_TRUE(first.ok()) << first.status();
    const absl::Status second = FileLock::Acquire(path).status();
    EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(second.message()), HasSubstr(path));
  }
  EXPECT_TRUE(FileLock::Acquire(path).ok());
  EXPECT_EQ(FileLock::Acquire(TempPath("absent") + "/lock").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(Sha256Test, MatchesPublishedVectors) {  // FIPS 180-2, appendix B.
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace bitlm
