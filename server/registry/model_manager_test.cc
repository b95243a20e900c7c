#include "server/registry/model_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/model/model.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ModelManagerTest : public ::testing::Test {
 protected:
  ModelManagerTest() { options_.repository = repository_.path(); }

  std::string Directory(const std::string& name, int64_t version) const {
    return absl::StrCat(repository_.path(), "/", name, "/", version);
  }
  void Write(const std::string& name, int64_t version, uint64_t seed = 1) const {
    fs::create_directories(fs::path(Directory(name, version)).parent_path());
    fs::remove_all(Directory(name, version));
    const Model model = RandomModel(TinyConfig("bllm", 40, 8, 8), seed);
    ASSERT_THAT(WriteModel(model, Directory(name, version)), IsOk());
  }
  void Break(const std::string& name, int64_t version) const {
    std::ofstream(Directory(name, version) + "/model.safetensors", std::ios::app) << "x";
  }
  void Make() {
    manager_ = std::make_unique<ModelManager>(
        options_, &registry_, &metrics_,
        [this](LoadedModel loaded) {
          WordIndex index(loaded.model->vocabulary());
          ModelFacts facts;
          facts.name = loaded.name;
          facts.version = loaded.version;
          return std::make_shared<ServedModel>(loaded.name, loaded.version, loaded.model,
                                               std::move(index), nullptr, nullptr,
                                               metrics_.AddModel(facts));
        },
        [this](const std::string&) { ++changes_; });
  }
  void Start() {
    Make();
    ASSERT_THAT(manager_->LoadInitial(false), IsOk());
    manager_->Start();
  }
  // "name/version" of what is served.
  std::vector<std::string> Served() const {
    std::vector<std::string> served;
    for (const auto& model : registry_.List()) {
      served.push_back(absl::StrCat(model->name, "/", model->version));
    }
    return served;
  }
  // One weight, to tell versions of the same number apart.
  uint64_t Id(const std::string& name, int64_t version) const {
    return (*registry_.Find({name, version, {}}))->model->id();
  }
  void ExpectMetric(const std::string& line) const {
    EXPECT_THAT(metrics_.Expose(), HasSubstr(line + "\n"));
  }

  TemporaryDirectory repository_;
  ModelManagerOptions options_;
  ServerMetrics metrics_{"1", "cpu"};
  ModelRegistry registry_;
  std::atomic<int> changes_ = 0;
  std::unique_ptr<ModelManager> manager_;
};

TEST_F(ModelManagerTest, LoadsWhatTheRepositoryHasAtTheStart) {
  Write("a", 1);
  Write("a", 2);
  Write("b", 7);
  Start();
  EXPECT_THAT(Served(), ElementsAre("a/1", "a/2", "b/7"));
  ExpectMetric("bitlm_model_swaps_total{result=\"loaded\"} 3");
  EXPECT_EQ(manager_->Reload().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(manager_->Load("a", 1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(manager_->Unload("a", 1).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ModelManagerTest, ABadModelFailsTheStartUnlessAllowed) {
  Write("a", 1);
  Write("b", 1);
  Break("b", 1);
  Make();
  EXPECT_THAT(manager_->LoadInitial(false).message(), HasSubstr("model b version 1"));
  manager_.reset();
  registry_.Remove("a", 1);
  Make();
  EXPECT_THAT(manager_->LoadInitial(true), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/1"));
  ASSERT_THAT(registry_.Failures(), SizeIs(1));
  EXPECT_THAT(std::string(registry_.Failures()[0].reason.message()),
              AllOf(HasSubstr("model.safetensors"), Not(HasSubstr(repository_.path()))));
  ExpectMetric("bitlm_model_failed{model=\"b\",version=\"1\"} 1");
}

TEST_F(ModelManagerTest, AnEmptyRepositoryFailsTheStart) {
  Make();
  EXPECT_EQ(manager_->LoadInitial(true).code(), absl::StatusCode::kNotFound);
  options_.repository = "/no/such/place";
  Make();
  EXPECT_THAT(manager_->LoadInitial(true).message(), HasSubstr("/no/such/place"));
}

TEST_F(ModelManagerTest, ReloadingFollowsTheRepository) {
  options_.control_mode = ModelControlMode::kPoll;
  options_.poll_interval = absl::Hours(1);
  Write("a", 1);
  Start();
  const uint64_t first = Id("a", 1);
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_EQ(Id("a", 1), first);  // Nothing has changed.

  Write("a", 2);
  Write("b", 1);
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/1", "a/2", "b/1"));
  EXPECT_EQ(Id("a", 1), first);

  Write("a", 1, 9);  // In place.
  fs::remove_all(Directory("a", 2));
  fs::remove_all(repository_.Path("b"));
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/1"));
  EXPECT_NE(Id("a", 1), first);
  ExpectMetric("bitlm_model_swaps_total{result=\"replaced\"} 1");
  ExpectMetric("bitlm_model_swaps_total{result=\"unloaded\"} 2");
  EXPECT_THAT(metrics_.Expose(), Not(HasSubstr("model=\"b\"")));
  EXPECT_EQ(changes_, 6);
}

TEST_F(ModelManagerTest, ABadVersionNeverReplacesAGoodOne) {
  options_.control_mode = ModelControlMode::kPoll;
  options_.poll_interval = absl::Hours(1);
  options_.latest_versions = 1;
  Write("a", 1);
  Start();
  const uint64_t good = Id("a", 1);

  Write("a", 2);  // Would be the one that is served.
  Break("a", 2);
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/1"));
  EXPECT_EQ(Id("a", 1), good);
  EXPECT_THAT(registry_.Failures(), SizeIs(1));

  Break("a", 1);  // In place.
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_EQ(Id("a", 1), good);
  EXPECT_THAT(registry_.Failures(), SizeIs(2));
  ExpectMetric("bitlm_model_failed{model=\"a\",version=\"1\"} 1");
  ASSERT_THAT(manager_->Reload(), IsOk());  // Files that are known to be bad are not read again.
  ExpectMetric("bitlm_model_swaps_total{result=\"failed\"} 2");

  fs::remove(Directory("a", 1) + "/config.json");  // Half gone.
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/1"));

  Write("a", 2);
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/2"));
  fs::remove_all(Directory("a", 1));
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(registry_.Failures(), IsEmpty());
  EXPECT_THAT(metrics_.Expose(), Not(HasSubstr("bitlm_model_failed{")));
}

TEST_F(ModelManagerTest, AMissingRepositoryChangesNothing) {
  options_.control_mode = ModelControlMode::kPoll;
  options_.poll_interval = absl::Hours(1);
  Write("a", 1);
  Start();
  fs::rename(repository_.path(), repository_.path() + ".away");
  const absl::Status missing = manager_->Reload();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), Not(HasSubstr(repository_.path())));
  EXPECT_THAT(Served(), ElementsAre("a/1"));
  fs::rename(repository_.path() + ".away", repository_.path());
  EXPECT_THAT(manager_->Reload(), IsOk());
  if (geteuid() == 0) return;  // Root reads everything.
  fs::permissions(repository_.path(), fs::perms::none);
  EXPECT_FALSE(manager_->Reload().ok());
  EXPECT_THAT(Served(), ElementsAre("a/1"));
  fs::permissions(repository_.path(), fs::perms::owner_all);
}

TEST_F(ModelManagerTest, PollsByItself) {
  options_.control_mode = ModelControlMode::kPoll;
  options_.poll_interval = absl::Milliseconds(5);
  Write("a", 1);
  Start();
  Write("a", 2);
  for (int i = 0; i < 2000 && !registry_.Find({"a", 2, {}}).ok(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_THAT(registry_.Find({"a", 2, {}}), IsOk());
}

TEST_F(ModelManagerTest, ServesTheHighestVersions) {
  options_.control_mode = ModelControlMode::kPoll;
  options_.poll_interval = absl::Hours(1);
  options_.latest_versions = 2;
  for (int version : {1, 2, 5}) Write("a", version);
  Start();
  EXPECT_THAT(Served(), ElementsAre("a/2", "a/5"));
  Write("a", 6);
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/5", "a/6"));
  fs::remove_all(Directory("a", 6));
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/2", "a/5"));
}

TEST_F(ModelManagerTest, ExplicitModeLoadsWhatItIsTold) {
  options_.control_mode = ModelControlMode::kExplicit;
  options_.latest_versions = 1;
  options_.names = {"a"};
  for (int version : {1, 2}) Write("a", version);
  Write("b", 1);
  Start();
  EXPECT_THAT(Served(), ElementsAre("a/2"));
  EXPECT_THAT(manager_->Load("a", 1), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/1", "a/2"));
  EXPECT_THAT(manager_->Load("b", 0), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/1", "a/2", "b/1"));
  EXPECT_EQ(manager_->Load("c", 0).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(manager_->Load("a", 9).code(), absl::StatusCode::kNotFound);

  EXPECT_THAT(manager_->Unload("a", 2), IsOk());
  EXPECT_EQ(manager_->Unload("a", 2).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(manager_->Reload(), IsOk());  // Nor does it come back.
  EXPECT_THAT(Served(), ElementsAre("a/1", "b/1"));
  EXPECT_THAT(manager_->Unload("a", 0), IsOk());
  EXPECT_THAT(manager_->Unload("b", 0), IsOk());
  EXPECT_THAT(Served(), IsEmpty());
}

TEST_F(ModelManagerTest, ExplicitModeSaysWhyAndTriesAgain) {
  options_.control_mode = ModelControlMode::kExplicit;
  Make();
  ASSERT_THAT(manager_->LoadInitial(false), IsOk());
  manager_->Start();
  Write("a", 1);
  Break("a", 1);
  const absl::Status bad = manager_->Load("a", 1);
  EXPECT_THAT(std::string(bad.message()),
              AllOf(HasSubstr("model.safetensors"), Not(HasSubstr(repository_.path()))));
  EXPECT_THAT(Served(), IsEmpty());
  Write("a", 1);
  EXPECT_THAT(manager_->Load("a", 1), IsOk());
  const uint64_t first = Id("a", 1);
  EXPECT_THAT(manager_->Load("a", 1), IsOk());
  EXPECT_EQ(Id("a", 1), first);  // It was there.
  Write("a", 1, 5);
  EXPECT_THAT(manager_->Load("a", 1), IsOk());
  EXPECT_NE(Id("a", 1), first);
}

TEST_F(ModelManagerTest, UnloadingForgetsWhatFailed) {
  options_.control_mode = ModelControlMode::kExplicit;
  options_.names = {"a", "b"};
  Write("a", 1);
  Write("b", 1);
  Break("b", 1);
  Make();
  ASSERT_THAT(manager_->LoadInitial(true), IsOk());
  manager_->Start();
  Break("a", 1);
  EXPECT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), ElementsAre("a/1"));  // As it was loaded.
  EXPECT_THAT(registry_.Failures(), SizeIs(2));
  EXPECT_THAT(manager_->Unload("a", 0), IsOk());  // Served, and failed since.
  EXPECT_THAT(registry_.Failures(), SizeIs(1));
  EXPECT_THAT(manager_->Unload("b", 1), IsOk());  // Wanted, and never served.
  EXPECT_THAT(registry_.Failures(), IsEmpty());
  EXPECT_THAT(metrics_.Expose(), Not(HasSubstr("bitlm_model_failed{")));
  Write("b", 1);
  EXPECT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), IsEmpty());
}

TEST_F(ModelManagerTest, ALoadThatFindsNoRepositoryWishesNothing) {
  options_.control_mode = ModelControlMode::kExplicit;
  Write("a", 1);
  Make();
  ASSERT_THAT(manager_->LoadInitial(false), IsOk());
  manager_->Start();
  fs::rename(repository_.path(), repository_.path() + ".away");
  const absl::Status missing = manager_->Load("a", 1);
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), Not(HasSubstr(repository_.path())));
  fs::rename(repository_.path() + ".away", repository_.path());
  EXPECT_THAT(manager_->Reload(), IsOk());
  EXPECT_THAT(Served(), IsEmpty());
}

TEST_F(ModelManagerTest, ANameToLoadThatIsNotThereFailsTheStart) {
  options_.control_mode = ModelControlMode::kExplicit;
  options_.names = {"nothing"};
  Make();
  EXPECT_THAT(manager_->LoadInitial(false).message(), HasSubstr("nothing"));
}

TEST_F(ModelManagerTest, LabelsFollowTheirFile) {
  options_.control_mode = ModelControlMode::kPoll;
  options_.poll_interval = absl::Hours(1);
  for (int version : {1, 2}) Write("a", version);
  const auto label = [this](const std::string& json) {
    std::ofstream(repository_.Path("a/labels.json")) << json;
  };
  const auto stable = [this]() -> int64_t {
    const auto model = registry_.Find({"a", 0, "stable"});
    return model.ok() ? (*model)->version : 0;
  };
  label(R"({"stable": 1})");
  Start();
  EXPECT_EQ(stable(), 1);
  label(R"({"stable": 2})");
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_EQ(stable(), 2);
  for (const char* bad : {R"({"stable": 3})", "{", R"({"stable": "1"})", R"({"latest": 1})"}) {
    label(bad);
    ASSERT_THAT(manager_->Reload(), IsOk());
    EXPECT_EQ(stable(), 2) << bad;
  }
  fs::remove(repository_.Path("a/labels.json"));
  ASSERT_THAT(manager_->Reload(), IsOk());
  EXPECT_EQ(stable(), 0);
}

TEST_F(ModelManagerTest, FilesMayBeCutUnderTheServer) {
  Write("a", 1);
  Start();
  const auto model = *registry_.Find({"a", 1, {}});
  fs::resize_file(Directory("a", 1) + "/model.safetensors", 0);
  fs::resize_file(Directory("a", 1) + "/vocab.txt", 0);
  std::vector<float> state(model->model->state_size());
  const float* const from = state.data();
  float* const to = state.data();
  const TokenId token = 3;
  model->model->Advance({&token, 1}, {&from, 1}, {&to, 1}, nullptr);  // Not SIGBUS.
  EXPECT_EQ(model->model->vocabulary().Word(3), "w2");
}

TEST_F(ModelManagerTest, EndsWhileALoadIsAskedFor) {
  options_.control_mode = ModelControlMode::kExplicit;
  Write("a", 1);
  Make();
  ASSERT_THAT(manager_->LoadInitial(false), IsOk());
  manager_->Start();
  std::atomic<int> ended = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int n = 0; n < 10; ++n) {
        (void)manager_->Load("a", 0);
        ++ended;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  manager_.reset();
  EXPECT_EQ(ended, 40);
}

}  // namespace
}  // namespace bitlm
