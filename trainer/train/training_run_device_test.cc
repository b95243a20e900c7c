// Runs whose steps a device takes: HostDevice, the CUDA device's stand-in.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "trainer/device/device_network.h"
#include "trainer/device/host_device.h"
#include "trainer/train/training_run_testing.h"

namespace bitlm::trainer {
namespace {

std::unique_ptr<DeviceTrainer> MakeHostTrainer(const DeviceModel& model,
                                               const DeviceOptions& options, std::string* error) {
  error->clear();
  return std::make_unique<DeviceNetwork<HostDevice>>(std::make_shared<HostDevice>(), model,
                                                     options);
}

std::unique_ptr<DeviceTrainer> MakeNone(const DeviceModel& /*model*/,
                                        const DeviceOptions& /*options*/, std::string* error) {
  *error = "there is none";
  return nullptr;
}

class TrainingRunDeviceTest : public TrainingRunTest {
 protected:
  TrainingOptions OnHost(const std::string& output) {
    TrainingOptions options = Options(output);
    options.precision = Precision::kFloat32;
    options.make_device = &MakeHostTrainer;
    return options;
  }
};

const char* const kKeys =
    "optimizer = adam\nlearning_rate = 0.01\naverage.decay = 0.9\naverage.from = 0.3\n"
    "dropout.recurrent = 0.2\ndropout.words = 0.1\ndropout.variational = true\n";

TEST_F(TrainingRunDeviceTest, LearnsWhatTheCpuLearns) {
  for (const std::string model : {"tied", "lstm", "bllm"}) {
    SCOPED_TRACE(model);
    std::string keys = kKeys;
    if (model == "bllm") {
      const std::string teacher = directory_ + "/lstm_cpu/models/toy/1";
      keys += "init.model = " + teacher + "\ndistillation.model = " + teacher + "\n";
    }
    const Recipe recipe = MakeRecipe(model, keys);
    const auto train = [&](TrainingOptions options) {
      options.precision = Precision::kFloat32;
      auto run = TrainingRun::Create(recipe, options);
      ASSERT_TRUE(run.ok()) << run.status();
      ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
      ASSERT_TRUE((*run)->Export().ok());
    };
    const std::string cpu = model + "_cpu", device = model + "_device";
    train(Options(cpu));
    train(OnHost(device));
    const double expected = LeastLogged(directory_ + "/" + cpu + "/log.csv");
    EXPECT_NEAR(LeastLogged(directory_ + "/" + device + "/log.csv"), expected, expected * 1e-3);
    EXPECT_LT(expected, 15);  // Of 22 words.
  }
}

TEST_F(TrainingRunDeviceTest, GoesOnAfterAKillAsIfNothingHadHappened) {
  const Recipe recipe = MakeRecipe("tied", kKeys);
  auto run = TrainingRun::Create(recipe, OnHost("whole"));
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
  ExpectSameInParts(recipe, OnHost("parts"));
}

TEST_F(TrainingRunDeviceTest, SaysWhatItCannot) {
  const auto error = [&](const Recipe& recipe, TrainingOptions options) {
    return std::string(TrainingRun::Create(recipe, options).status().message());
  };
  EXPECT_THAT(error(MakeRecipe("xnor-lstm"), OnHost("signs")), testing::HasSubstr("model."));
  TrainingOptions none = OnHost("none");
  none.make_device = &MakeNone;
  EXPECT_THAT(error(MakeRecipe("lstm"), none), testing::HasSubstr("there is none"));
  // Nothing was begun: the CPU may do so.
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/none/checkpoint.bin"));
}

// What a device does not do it refuses by its key, before anything is begun; the CPU trains it.
TEST_F(TrainingRunDeviceTest, RefusesEachKeyByItsName) {
  const std::string model = directory_ + "/lstm/models/toy/1";
  ASSERT_EQ(TrainAndExport(MakeRecipe("lstm", "epochs = 1\n"), Options("lstm")), model);
  struct Refused {
    std::string preset, keys, named;
  };
  const std::string start = "init.model = " + model + "\n";
  for (const Refused& refused : std::vector<Refused>{
           {"bllm", "clip_latent = false\nclip_norm = 5\n", "clip_latent: not on a device"},
           {"bllm", "model.self_normalized = true\n", "model.self_normalized: not on a device"},
           {"bllm_fitted", "binary.anneal = 0.5\n", "binary.anneal: not on a device"},
           {"bllm", "activation_quantization = true\n", "activation_quantization: not on a device"},
           {"lstm", start + "pruning.embedding = 0.5\n", "pruning: not on a device"},
           {"lstm", start + "pruning.recurrent = 0.5\n", "pruning: not on a device"},
           {"bllm", "model.scale = per_matrix\n", "model.scale: per matrix: is not trained on"},
           {"lstm_layer_norm", "", "model.norm: is not trained on a device"},
           {"bllm", "model.activation = sign\n", "model.activation: signs: is not trained on"}}) {
    SCOPED_TRACE(refused.named);
    const Recipe recipe = MakeRecipe(refused.preset, refused.keys);
    const absl::Status status = TrainingRun::Create(recipe, OnHost("refused")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::StartsWith(refused.named));
    EXPECT_FALSE(std::filesystem::exists(directory_ + "/refused/checkpoint.bin"));
    const auto on_cpu = TrainingRun::Create(recipe, Options("cpu"));
    EXPECT_TRUE(on_cpu.ok()) << on_cpu.status();
    std::filesystem::remove_all(directory_ + "/cpu");
  }
  // Without a norm to clip to, latent weights are not clipped anywhere.
  EXPECT_TRUE(TrainingRun::Create(MakeRecipe("bllm", "clip_latent = false\nclip_norm = 0\n"),
                                  OnHost("unclipped"))
                  .ok());
}

// Of more words than samples; and teachers that a device cannot have.
TEST_F(TrainingRunDeviceTest, RefusesSamplesAndTeachersByTheirKeys) {
  std::string many;
  for (int word = 0; word < 1100; ++word) many += "v" + std::to_string(word) + "\n";
  ASSERT_TRUE(WriteFileAtomically(directory_ + "/train.txt", MadeUpText(1, 400) + many).ok());
  const auto refusal = [&](const std::string& keys) {
    const absl::Status status =
        TrainingRun::Create(MakeRecipe("lstm", keys), OnHost("refused")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal("softmax.samples = 1024\n"), testing::StartsWith("softmax.samples: a part"));

  EXPECT_THAT(
      refusal("distillation.model = " +
              TrainAndExport(MakeRecipe("lstm_layer_norm", "epochs = 1\n"), Options("norm")) +
              "\n"),
      testing::StartsWith("distillation.model: model.norm: is not trained on a device"));
}

TEST_F(TrainingRunDeviceTest, LeavesACheckpointWhereAHalvingScheduleEnds) {
  const Recipe recipe = MakeRecipe(
      "lstm",
      "epochs = 50\nschedule = halving\npatience = 1\nminimum_fraction = 0.6\nlearning_rate = 2\n"
      "checkpoint_seconds = 1000\n");
  auto run = TrainingRun::Create(recipe, OnHost("run"));
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
  const std::string log = LogWithoutTimes("run");
  ASSERT_LT(std::count(log.begin(), log.end(), '\n'), 1 + 50);
  run->reset();
  TrainingOptions again = OnHost("run");
  again.stop_after_steps = 1;
  run = TrainingRun::Create(recipe, again);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(*(*run)->Train(), TrainingEnd::kFinished);  // Without a step.
  EXPECT_EQ(LogWithoutTimes("run"), log);
}

TEST_F(TrainingRunDeviceTest, ValidatesAfterSoManyEpochs) {
  const Recipe recipe = MakeRecipe("lstm", "epochs = 7\nepochs_per_validation = 3\n");
  auto run = TrainingRun::Create(recipe, OnHost("run"));
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(*(*run)->Train(), TrainingEnd::kFinished);
  const std::string log = *ReadFile(directory_ + "/run/log.csv");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1 + 3);  // After 3, 6 and 7.
}

}  // namespace
}  // namespace bitlm::trainer
