// Learning from a teacher's distributions: soft_targets.h, OutputLayer::Distill.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "trainer/layers/network_testing.h"

namespace bitlm::trainer {
namespace {

constexpr double kWeight = 0.7;

// The objective of LossAndGradient with a teacher.
double Objective(DoubleNetwork& pupil, DoubleNetwork& teacher, const Batch& batch,
                 const DropoutRates& dropout) {
  pupil.Pack(dropout, kDropoutKey);
  auto state = SomeState(pupil);
  auto teacher_state = SomeState(teacher);
  const double loss = pupil.LossAndGradient(batch, dropout, kDropoutKey, kGradientScale, &state,
                                            teacher.Teach(batch, kWeight, &teacher_state));
  return kGradientScale * ((1 - kWeight) * loss + kWeight * pupil.distillation_loss());
}

double LargestGradient(DoubleNetwork& network) {
  double largest = 0;
  for (auto* p : network.Parameters()) {
    for (const double g : p->gradient.span()) largest = std::max(largest, std::fabs(g));
  }
  return largest;
}

// Floats have a bias per word, as teacher and as pupil.
ModelConfig Config(const std::string& preset, int embedding = 6) {
  ModelConfig config = SmallConfig(preset, 1, embedding);
  config.output_bias = preset == "lstm";
  return config;
}

// Of pupils and teachers by preset.
class DistillationTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(DistillationTest, GradientsAreFiniteDifferences) {
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  DoubleNetwork pupil(backend, Config(std::get<0>(GetParam())), kShape);
  const std::string teachers = std::get<1>(GetParam());
  // Another E where the preset's linear layers allow it.
  DoubleNetwork teacher(backend, Config(teachers, teachers == "bllm" ? 9 : 6), kShape);
  Randomize(pupil, 0.4);
  Randomize(teacher, 0.6, 100);
  teacher.Pack();
  const Batch batch = SmallBatch(11);
  const DropoutRates dropout{.input = 0.2, .output = 0.3, .words = 0.1};
  int nonzero = 0;
  for (auto* p : pupil.Parameters()) {
    if (p->binary()) continue;
    pupil.embedding().ClearGradient();
    Objective(pupil, teacher, batch, dropout);
    const std::vector<double> gradient(p->gradient.begin(), p->gradient.end());
    for (size_t i = 0; i < p->value.size(); ++i) {
      constexpr double kStep = 1e-5;
      const double value = p->value[i];
      p->value[i] = value + kStep;
      const double above = Objective(pupil, teacher, batch, dropout);
      p->value[i] = value - kStep;
      const double below = Objective(pupil, teacher, batch, dropout);
      p->value[i] = value;
      ASSERT_NEAR(gradient[i], (above - below) / (2 * kStep), 2e-8) << p->name << "[" << i << "]";
      nonzero += gradient[i] != 0;
    }
  }
  EXPECT_GT(nonzero, 40);
}

// H(p, q) itself: under a teacher that knows nothing, p = 1 / V, it is the mean of the losses that
// every word as the target would have.
TEST_P(DistillationTest, LossUnderAUniformTeacherIsTheMeanOverAllTargets) {
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  DoubleNetwork pupil(backend, Config(std::get<0>(GetParam())), kShape);
  DoubleNetwork teacher(backend, SmallConfig("lstm"), kShape);
  Randomize(pupil, 0.4);  // The teacher's table stays 0.
  teacher.Pack();
  pupil.Pack();
  Batch batch = SmallBatch(11);
  auto state = SomeState(pupil);
  auto teacher_state = SomeState(teacher);
  pupil.LossAndGradient(batch, {}, 0, 1, &state, teacher.Teach(batch, 1, &teacher_state));
  const double soft = pupil.distillation_loss();
  double sum = 0;
  for (int32_t word = 0; word < 11; ++word) {
    for (int32_t& target : batch.targets) target = target < 0 ? -1 : word;
    state = SomeState(pupil);
    sum += pupil.Loss(batch, &state);
  }
  EXPECT_NEAR(soft, sum / 11, 1e-9 * soft);
}

INSTANTIATE_TEST_SUITE_P(Presets, DistillationTest,
                         testing::Combine(testing::Values("lstm", "belm", "bllm"),
                                          testing::Values("lstm", "bllm")),
                         [](const auto& names) {
                           return std::string(std::get<0>(names.param)) + "_of_" +
                                  std::get<1>(names.param);
                         });

// Who teaches itself has nothing to learn: with every word, and with a sample of them, whose words
// count differently.
TEST(SelfDistillationTest, LeavesNoGradient) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  for (const char* preset : {"lstm", "bllm"}) {
    for (const int64_t samples : {int64_t{0}, kSampleUnit}) {
      ModelConfig config = Config(preset);
      config.vocabulary_size = 2 * kSampleUnit + 300;
      NetworkShape shape = kShape;
      shape.softmax_samples = samples;
      DoubleNetwork pupil(backend, config, shape);
      DoubleNetwork teacher(backend, config, kShape);
      Randomize(pupil, 0.4);
      Randomize(teacher, 0.4);
      pupil.Pack();
      teacher.Pack();
      const Batch batch = SmallBatch(config.vocabulary_size);
      const auto run = [&](double weight) {
        pupil.embedding().ClearGradient();
        auto state = SomeState(pupil);
        auto teacher_state = SomeState(teacher);
        pupil.LossAndGradient(batch, {}, 0, 1, &state,
                              teacher.Teach(batch, weight, &teacher_state));
        return LargestGradient(pupil);
      };
      EXPECT_LT(run(1), 1e-12) << preset << ", samples " << samples;
      EXPECT_GT(run(0.9), 1e-3) << preset << ", samples " << samples;
    }
  }
}

}  // namespace
}  // namespace bitlm::trainer
