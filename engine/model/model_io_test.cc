// ReadModel, WriteModel and ListModels on real directories.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "engine/base/file.h"
#include "engine/model/config_json.h"
#include "engine/model/model.h"
#include "engine/model/model_repository.h"
#include "engine/model/safetensors.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

Model Sample() {
  Model model = RandomModel(TinyConfig("bllm", 10, 9, 6), 7);
  model.golden = {{"w0 w1", -3.25}};
  return model;
}

std::vector<std::string> Names(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(ModelIoTest, EveryPresetComesBackAsWritten) {
  TemporaryDirectory temporary;
  for (const std::string& preset : PresetNames()) {
    const Model model = RandomModel(TinyConfig(preset, 23, 6, 6), 3);
    const std::string directory = temporary.Path("new/parents/" + preset + "/1");
    ASSERT_THAT(WriteModel(model, directory), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto read, ReadModel(directory));
    EXPECT_EQ(read->config, model.config);
    EXPECT_EQ(read->metadata.corpus, model.metadata.corpus);
    EXPECT_EQ(read->vocabulary.Serialize(), model.vocabulary.Serialize());
    EXPECT_EQ(SerializeSafetensors(read->tensors), SerializeSafetensors(model.tensors));
  }
}

TEST(ModelIoTest, WritesThreeReadableFilesAndLeavesNothingElse) {
  TemporaryDirectory temporary;
  ASSERT_THAT(WriteModel(Sample(), temporary.Path("m/1") + "/"), IsOk());
  EXPECT_THAT(Names(temporary.path()), testing::ElementsAre("m"));
  EXPECT_THAT(Names(temporary.Path("m")), testing::ElementsAre("1"));
  EXPECT_THAT(Names(temporary.Path("m/1")),
              testing::UnorderedElementsAre("config.json", "vocab.txt", "model.safetensors"));
  struct stat info;
  ASSERT_EQ(stat(temporary.Path("m/1").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0755u);
}

TEST(ModelIoTest, SameModelSameBytes) {
  TemporaryDirectory temporary;
  ASSERT_THAT(WriteModel(Sample(), temporary.Path("a")), IsOk());
  ASSERT_THAT(WriteModel(Sample(), temporary.Path("b")), IsOk());
  for (const char* file : {kConfigFile, kVocabularyFile, kTensorsFile}) {
    EXPECT_EQ(*ReadFile(temporary.Path("a/" + std::string(file))),
              *ReadFile(temporary.Path("b/" + std::string(file))));
  }
}

TEST(ModelIoTest, TargetMayExistOnlyEmpty) {
  TemporaryDirectory temporary;
  fs::create_directory(temporary.Path("empty"));
  EXPECT_THAT(WriteModel(Sample(), temporary.Path("empty")), IsOk());
  EXPECT_THAT(WriteModel(Sample(), temporary.Path("empty")),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("empty: exists")));
  ASSERT_THAT(WriteFileAtomically(temporary.Path("file"), "x"), IsOk());
  EXPECT_THAT(WriteModel(Sample(), temporary.Path("file")),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("file: exists")));
  EXPECT_THAT(WriteModel(Sample(), ""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(WriteModel(Sample(), "/"), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(WriteModel(Sample(), temporary.Path("file/1")),
              testing::Not(IsOk()));  // Its parent is not a directory.
  EXPECT_THAT(Names(temporary.path()), testing::UnorderedElementsAre("empty", "file"));
}

TEST(ModelIoTest, RefusesToWriteWhatDoesNotFitTogether) {
  TemporaryDirectory temporary;
  const auto refuses = [&](const char* message, auto change) {
    Model model = Sample();
    change(model);
    EXPECT_THAT(WriteModel(model, temporary.Path("m")),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_FALSE(fs::exists(temporary.Path("m")));
  };
  refuses("vocabulary_size: 11, but the vocabulary has 10 words",
          [](Model& m) { m.config.vocabulary_size = 11; });
  refuses("network.hidden_size", [](Model& m) { m.config.hidden_size = 0; });
  refuses("tensor \"lstm.0.bias\": missing", [](Model& m) { m.tensors.erase("lstm.0.bias"); });
  refuses("tensor \"lstm.0.weight_h\": row 23: padding bits are not 0",
          [](Model& m) { m.tensors.at("lstm.0.weight_h").mutable_u8()[23] |= 0x40; });
  refuses("tensor \"extra\": not one",
          [](Model& m) { m.tensors.emplace("extra", MakeTensor(DType::kF32, {1})); });
  refuses("tensor \"lstm.0.bias\": shape [25], expected [24]",
          [](Model& m) { m.tensors.at("lstm.0.bias") = MakeTensor(DType::kF32, {25}); });
  refuses("tensor \"lstm.0.bias\": dtype I8, expected F32",
          [](Model& m) { m.tensors.at("lstm.0.bias") = MakeTensor(DType::kI8, {24}); });
  refuses("tensor \"lstm.0.bias\": 4 bytes, expected 96",
          [](Model& m) { m.tensors.at("lstm.0.bias").bytes = AlignedBuffer<std::byte>(4); });
  refuses("tensor \"lstm.0.bias\": value 3 is not finite",
          [](Model& m) { m.tensors.at("lstm.0.bias").mutable_f32()[3] = -INFINITY; });
  refuses("tensor \"embedding.weight\": row 0: padding bits are not 0", [](Model& m) {
    m.tensors.at("embedding.weight").mutable_u8()[1] |= 0x02;  // Column 9 of 9.
  });
  refuses("golden[0].logprob", [](Model& m) { m.golden[0].logprob = 1; });
}

TEST(ModelIoTest, MissingFilesAreNotFound) {
  TemporaryDirectory temporary;
  EXPECT_THAT(ReadModel(temporary.Path("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none: no such model directory")));
  for (const char* file : {kConfigFile, kVocabularyFile, kTensorsFile}) {
    const std::string directory = temporary.Path(file);
    ASSERT_THAT(WriteModel(Sample(), directory), IsOk());
    fs::remove(directory + "/" + file);
    EXPECT_THAT(ReadModel(directory),
                StatusIs(absl::StatusCode::kNotFound, StartsWith(directory + "/" + file + ": ")));
  }
}

TEST(ModelIoTest, OversizedFilesAreRefusedBeforeTheyAreRead) {
  TemporaryDirectory temporary;
  for (const char* file : {kConfigFile, kVocabularyFile, kTensorsFile}) {
    const std::string directory = temporary.Path(file);
    ASSERT_THAT(WriteModel(Sample(), directory), IsOk());
    fs::resize_file(directory + "/" + file, uint64_t{1} << 40);  // Sparse.
    EXPECT_THAT(ReadModel(directory), StatusIs(absl::StatusCode::kDataLoss,
                                               AllOf(StartsWith(directory + "/" + file + ": "),
                                                     HasSubstr("1099511627776 bytes"))));
  }
}

// The sizes that config.json claims are bounded by the network that it describes.
TEST(ModelIoTest, RecordedSizesAreBounded) {
  TemporaryDirectory temporary;
  const std::string directory = temporary.Path("m");
  ASSERT_THAT(WriteModel(Sample(), directory), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(directory + "/config.json"));
  ASSERT_OK_AND_ASSIGN(const Manifest manifest, ParseManifest(text, "config.json"));
  const auto expect_refused = [&](const Manifest& changed, const char* message) {
    ASSERT_THAT(WriteFileAtomically(directory + "/config.json", SerializeManifest(changed)),
                IsOk());
    EXPECT_THAT(ReadModel(directory), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(message)));
  };
  Manifest changed = manifest;
  changed.tensors.bytes = uint64_t{1} << 50;
  expect_refused(changed, "(config.json: files.model.safetensors.bytes), expected at most");
  changed = manifest;
  changed.vocabulary.bytes = 10 * 1025 + 1;
  expect_refused(changed, "(config.json: files.vocab.txt.bytes), expected at most 10250");
  changed = manifest;
  changed.config.vocabulary_size = 11;
  expect_refused(changed,
                 "vocab.txt: 10 lines, expected 11 (config.json: network.vocabulary_size)");
}

TEST(ModelIoTest, FilesOfAnotherModelAreRefused) {
  TemporaryDirectory temporary;
  ASSERT_THAT(WriteModel(Sample(), temporary.Path("a")), IsOk());
  ASSERT_THAT(WriteModel(RandomModel(TinyConfig("bllm", 10, 9, 6), 8), temporary.Path("b")),
              IsOk());
  fs::copy_file(temporary.Path("b/model.safetensors"), temporary.Path("a/model.safetensors"),
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(ReadModel(temporary.Path("a")),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(StartsWith(temporary.Path("a/model.safetensors: sha256 ")),
                             HasSubstr("(config.json: files.model.safetensors.sha256)"))));
}

TEST(ModelRepositoryTest, ListsNamesAndVersionsInOrder) {
  TemporaryDirectory temporary;
  for (const char* name : {"english/10", "english/9", "chinese-small/1", "a.b_c/2"}) {
    ASSERT_THAT(WriteModel(Sample(), temporary.Path(name)), IsOk());
  }
  // What is not a model: wrong names and versions, no config.json, a file.
  for (const char* name : {"english/0", "english/01", "english/-1", "english/1x", "english/ 3",
                           "english/99999999999999999999", "english/.4.XXXX", ".hidden/1",
                           "-dash/1", "sp ace/1", "caf\xC3\xA9/1"}) {
    fs::create_directories(temporary.Path(name));
    ASSERT_THAT(WriteFileAtomically(temporary.Path(name) + "/config.json", "{}"), IsOk());
  }
  fs::create_directories(temporary.Path("english/11"));
  ASSERT_THAT(WriteFileAtomically(temporary.Path("README.md"), "x"), IsOk());
  fs::create_directory_symlink("english", temporary.Path("link"));
  fs::create_directory_symlink("nowhere", temporary.Path("dangling"));

  ASSERT_OK_AND_ASSIGN(const auto models, ListModels(temporary.path()));
  std::vector<std::string> found;
  for (const ModelLocation& model : models) {
    EXPECT_EQ(model.directory, temporary.Path(model.name + "/" + std::to_string(model.version)));
    found.push_back(model.name + "/" + std::to_string(model.version));
  }
  EXPECT_THAT(found, testing::ElementsAre("a.b_c/2", "chinese-small/1", "english/9", "english/10",
                                          "link/9", "link/10"));
}

TEST(ModelRepositoryTest, MissingRepositoryIsNotFoundAndAnEmptyOneIsEmpty) {
  TemporaryDirectory temporary;
  EXPECT_THAT(ListModels(temporary.Path("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such model repository")));
  ASSERT_OK_AND_ASSIGN(const auto models, ListModels(temporary.path()));
  EXPECT_TRUE(models.empty());
}

}  // namespace
}  // namespace bitlm
