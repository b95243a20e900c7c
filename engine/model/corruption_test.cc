// Damaged model files: whatever byte changes, reading ends in a Status that names file and field.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/model/config_json.h"
#include "engine/model/model.h"
#include "engine/model/safetensors.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {
namespace {

// Every single bit, all of them, and the change between space and line feed.
constexpr int kPatterns[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF, 0x2A};

class CorruptionTest : public testing::Test {
 protected:
  void SetUp() override {
    Model model = RandomModel(TinyConfig("bllm", 7, 3, 2), 5);
    model.golden = {{"w0 w1", -3.25}};
    directory_ = temporary_.Path("m");
    ASSERT_THAT(WriteModel(model, directory_), IsOk());
    for (const char* file : {kConfigFile, kVocabularyFile, kTensorsFile}) {
      ASSERT_OK_AND_ASSIGN(files_[file], ReadFile(Path(file)));
    }
    specs_ = RequiredTensors(model.config);
  }

  std::string Path(const std::string& file) const { return directory_ + "/" + file; }

  // These tests write tens of thousands of files: not synced, and not by truncation, which ext4
  // answers with a flush to disk.
  void Write(const std::string& file, std::string_view contents) const {
    std::filesystem::remove(Path(file));
    std::ofstream out(Path(file), std::ios::binary | std::ios::trunc);
    out.write(contents.data(), static_cast<std::streamsize>(contents.size()));
    ASSERT_TRUE(out.flush()) << file;
  }

  // Reads the model with one file replaced; it must fail and blame that file and a field.
  void ExpectRefused(const std::string& file, std::string_view contents,
                     const std::string& what) const {
    Write(file, contents);
    const auto result = ReadModel(directory_);
    ASSERT_FALSE(result.ok()) << file << ": " << what;
    const std::string message(result.status().message());
    const std::string prefix = Path(file) + ": ";
    ASSERT_TRUE(message.starts_with(prefix)) << what << ": " << message;
    // Either "field: fault", or "found, expected … (config.json: field)".
    const size_t colon = message.find(": ", prefix.size());
    ASSERT_TRUE(colon != std::string::npos && colon > prefix.size()) << message;
    // Only a version can look newer; all else is damage.
    if (!absl::IsDataLoss(result.status())) {
      ASSERT_TRUE(absl::IsFailedPrecondition(result.status())) << message;
      ASSERT_THAT(message, testing::HasSubstr("_version: "));
    }
  }

  // The bytes whose every change is tried: of the tensors the length and the header.
  size_t Checked(const std::string& file) const {
    if (file != kTensorsFile) return files_.at(file).size();
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, files_.at(file).data(), 8);
    return 8 + header_bytes;
  }

  void TruncateEverywhere(const std::string& file) const {
    const std::string& whole = files_.at(file);
    for (size_t size = 0; size < whole.size(); ++size) {
      ExpectRefused(file, std::string_view(whole).substr(0, size),
                    "truncated to " + std::to_string(size));
      if (HasFatalFailure()) return;
    }
    Write(file, whole);
    ASSERT_THAT(ReadModel(directory_), IsOk());
  }

  void FlipEverywhere(const std::string& file) const {
    const std::string& whole = files_.at(file);
    for (size_t i = 0; i < Checked(file); ++i) {
      for (int pattern : kPatterns) {
        std::string damaged = whole;
        damaged[i] = static_cast<char>(damaged[i] ^ pattern);
        ExpectRefused(file, damaged,
                      "byte " + std::to_string(i) + " flipped by " + std::to_string(pattern));
        if (HasFatalFailure()) return;
      }
    }
    Write(file, whole);
    ASSERT_THAT(ReadModel(directory_), IsOk());
  }

  TemporaryDirectory temporary_;
  std::string directory_;
  std::map<std::string, std::string> files_;
  std::vector<TensorSpec> specs_;
};

TEST_F(CorruptionTest, ConfigTruncatedAtEveryByte) { TruncateEverywhere(kConfigFile); }
TEST_F(CorruptionTest, ConfigFlippedAtEveryByte) { FlipEverywhere(kConfigFile); }
TEST_F(CorruptionTest, VocabularyTruncatedAtEveryByte) { TruncateEverywhere(kVocabularyFile); }
TEST_F(CorruptionTest, VocabularyFlippedAtEveryByte) { FlipEverywhere(kVocabularyFile); }
TEST_F(CorruptionTest, TensorsTruncatedAtEveryByte) { TruncateEverywhere(kTensorsFile); }
TEST_F(CorruptionTest, TensorsFlippedAtEveryHeaderByte) { FlipEverywhere(kTensorsFile); }

TEST_F(CorruptionTest, TensorDataFlippedAtEveryByte) {
  const std::string& whole = files_.at(kTensorsFile);
  for (size_t i = Checked(kTensorsFile); i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x01);
    ExpectRefused(kTensorsFile, damaged, "data byte " + std::to_string(i));
    if (HasFatalFailure()) return;
  }
}

TEST_F(CorruptionTest, BytesAppendedToAnyFile) {
  for (const auto& [file, whole] : files_) {
    for (const char* more : {"\n", " ", "}", "x\n"}) ExpectRefused(file, whole + more, more);
    Write(file, whole);
  }
}

// From here on an adversary fixes the checksums. What the parsers then accept must be sound.

TEST_F(CorruptionTest, TensorParserAloneFindsDamageInTheHeader) {
  const std::string& whole = files_.at(kTensorsFile);
  for (size_t i = 0; i < Checked(kTensorsFile); ++i) {
    for (int pattern : kPatterns) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ pattern);
      const auto result = ParseSafetensors(damaged, specs_, kTensorsFile);
      if (!result.ok()) {
        ASSERT_TRUE(absl::IsDataLoss(result.status()));
        ASSERT_THAT(std::string(result.status().message()),
                    testing::StartsWith("model.safetensors: "));
        continue;
      }
      // Harmless: one kind of white space for another.
      ASSERT_EQ(SerializeSafetensors(*result), whole) << i << " " << pattern;
    }
  }
}

TEST_F(CorruptionTest, TensorParserAloneFindsTruncation) {
  const std::string_view whole = files_.at(kTensorsFile);
  for (size_t size = 0; size < whole.size(); ++size) {
    ASSERT_THAT(ParseSafetensors(whole.substr(0, size), specs_, kTensorsFile),
                StatusIs(absl::StatusCode::kDataLoss, testing::StartsWith("model.safetensors: ")));
  }
}

TEST_F(CorruptionTest, ResealedConfigIsRefusedOrValid) {
  const std::string& whole = files_.at(kConfigFile);
  int accepted = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int pattern : kPatterns) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ pattern);
      const auto result = ParseManifest(SealConfig(damaged), kConfigFile);
      if (result.ok()) {
        ++accepted;
        ASSERT_THAT(ValidateManifest(*result), IsOk());
        continue;
      }
      ASSERT_THAT(std::string(result.status().message()), testing::StartsWith("config.json: "));
    }
  }
  EXPECT_GT(accepted,
            0);  // Letters of free text, digits of checksums: the seal was all they broke.
}

// Several bytes at a time: changed, removed, inserted, copied over others, in all three files.
TEST_F(CorruptionTest, RandomDamage) {
  RandomBits random(20260101);
  const std::string names[] = {kConfigFile, kVocabularyFile, kTensorsFile};
  for (int i = 0; i < 20000; ++i) {
    const std::string& file = names[random.Below(3)];
    const std::string& whole = files_.at(file);
    std::string damaged = whole;
    for (uint64_t edits = 1 + random.Below(4); edits > 0 && !damaged.empty(); --edits) {
      const size_t at = random.Below(damaged.size());
      const size_t length = 1 + random.Below(std::min<size_t>(16, damaged.size() - at));
      switch (random.Below(4)) {
        case 0:
          for (size_t k = at; k < at + length; ++k) damaged[k] = static_cast<char>(random.Next());
          break;
        case 1:
          damaged.erase(at, length);
          break;
        case 2:
          damaged.insert(at, length, static_cast<char>(random.Next()));
          break;
        case 3: {
          const std::string part = damaged.substr(at, length);
          const size_t to = random.Below(damaged.size());
          damaged.replace(to, std::min(part.size(), damaged.size() - to), part);
          break;
        }
      }
    }
    if (damaged == whole) continue;
    ExpectRefused(file, damaged, "iteration " + std::to_string(i));
    if (HasFatalFailure()) return;
    Write(file, whole);

    // The same damage past the checksums: accepted or not, only with a Status.
    if (file == kConfigFile) {
      const auto manifest = ParseManifest(SealConfig(damaged), kConfigFile);
      if (manifest.ok()) {
        ASSERT_THAT(ValidateManifest(*manifest), IsOk());
      }
    } else if (file == kVocabularyFile) {
      const auto vocabulary = Vocabulary::Parse(damaged, kVocabularyFile);
      if (vocabulary.ok()) {
        ASSERT_EQ(vocabulary->Serialize(), damaged);
      }
    } else {
      const auto tensors = ParseSafetensors(damaged, specs_, kTensorsFile);
      if (tensors.ok()) {
        ASSERT_EQ(tensors->size(), specs_.size());
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
