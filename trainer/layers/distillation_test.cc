// Learning from a teacher's distributions: soft_targets.h, OutputLayer::Distill.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_format.h"
#include "trainer/layers/finite_differences_testing.h"
#include "trainer/layers/network_testing.h"

namespace bitlm::trainer {
namespace {

constexpr double kWeight = 0.7;

// The objective of LossAndGradient with these teachers.
double Objective(DoubleNetwork& pupil, const std::vector<DoubleNetwork*>& teachers,
                 double temperature, const Batch& batch, const DropoutRates& dropout) {
  pupil.Pack(dropout, kDropoutKey);
  auto state = SomeState(pupil);
  Distillation<double> from{.teachers = {}, .weight = kWeight, .temperature = temperature};
  for (DoubleNetwork* teacher : teachers) {
    auto teacher_state = SomeState(*teacher);
    from.teachers.push_back(teacher->Teach(batch, &teacher_state));
  }
  const double loss =
      pupil.LossAndGradient(batch, dropout, kDropoutKey, kGradientScale, &state, from);
  return kGradientScale *
         ((1 - kWeight) * loss + kWeight * temperature * temperature * pupil.distillation_loss());
}

void ExpectFiniteDifferences(DoubleNetwork& pupil, const std::vector<DoubleNetwork*>& teachers,
                             double temperature, size_t most = 1 << 20) {
  const Batch batch = SmallBatch(pupil.config().vocabulary_size);
  const DropoutRates dropout{.input = 0.2, .output = 0.3, .words = 0.1};
  const auto objective = [&] { return Objective(pupil, teachers, temperature, batch, dropout); };
  EXPECT_GT(trainer::ExpectFiniteDifferences(pupil, objective, most), 40);
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
  ExpectFiniteDifferences(pupil, {&teacher}, 1);
}

// Several teachers, of other shapes, with a bias per word and without; at another temperature.
TEST_P(DistillationTest, GradientsAreFiniteDifferencesForSeveralTeachersAndTemperatures) {
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  DoubleNetwork pupil(backend, Config(std::get<0>(GetParam())), kShape);
  DoubleNetwork first(backend, Config(std::get<1>(GetParam())), kShape);
  DoubleNetwork second(backend, Config("bllm", 9), kShape);
  DoubleNetwork third(backend, Config("lstm"), kShape);
  Randomize(pupil, 0.4);
  Randomize(first, 0.6, 100);
  Randomize(second, 0.6, 200);
  Randomize(third, 0.6, 300);
  for (DoubleNetwork* teacher : {&first, &second, &third}) {
    teacher->Pack();
    teacher->KeepOnlyTeaching();
  }
  ExpectFiniteDifferences(pupil, {&first, &second, &third}, 1);
  DoubleNetwork warm(backend, Config(std::get<0>(GetParam())), kShape);
  Randomize(warm, 0.4);
  ExpectFiniteDifferences(warm, {&first, &second}, 2.5);
  DoubleNetwork cold(backend, Config(std::get<0>(GetParam())), kShape);
  Randomize(cold, 0.4);
  ExpectFiniteDifferences(cold, {&second}, 0.5);
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
  pupil.LossAndGradient(
      batch, {}, 0, 1, &state,
      {.teachers = {teacher.Teach(batch, &teacher_state)}, .weight = 1, .temperature = 1});
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

// The same over a sample of the words, with a bias per word.
TEST(SampledDistillationTest, GradientsAreFiniteDifferencesForTwoTeachersAtATemperature) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  ModelConfig config = Config("lstm");
  config.vocabulary_size = 2 * kSampleUnit + 300;
  NetworkShape shape = kShape;
  shape.softmax_samples = kSampleUnit;
  DoubleNetwork pupil(backend, config, shape), first(backend, config, kShape);
  ModelConfig other = Config("bllm", 9);
  other.vocabulary_size = config.vocabulary_size;
  DoubleNetwork second(backend, other, kShape);
  Randomize(pupil, 0.4);
  Randomize(first, 0.6, 100);
  Randomize(second, 0.6, 200);
  first.Pack();
  second.Pack();
  ExpectFiniteDifferences(pupil, {&first, &second}, 2, 40);
}

// What the recipes of the best networks switch on together: one table of planes for input and
// output, a bias per word, a sample of the words, dropout of the projection's output. A network of
// planes has the gradients of one of their values, and those are finite differences.
TEST(SampledDistillationTest, TiedPlanesLearnAsTheirValues) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  NetworkShape shape = kShape;
  shape.softmax_samples = kSampleUnit;
  for (const int planes : {2, 3}) {
    ModelConfig config =
        Planes(planes, TiedConfig(MatrixKind::kBinary, MatrixKind::kFloat, MatrixKind::kFloat));
    config.vocabulary_size = 2 * kSampleUnit + 300;
    config.output_bias = true;
    DoubleNetwork pupil(backend, config, shape);
    ModelConfig of_teacher = Config("bllm", 9);
    of_teacher.vocabulary_size = config.vocabulary_size;
    DoubleNetwork teacher(backend, of_teacher, kShape);
    config.embedding = MatrixKind::kFloat;
    config.bit_planes = 1;
    DoubleNetwork values(backend, config, shape);
    Randomize(pupil, 0.4);
    Randomize(values, 0.4);
    Randomize(teacher, 0.6, 100);
    teacher.Pack();
    pupil.Pack();
    auto& table = values.output().table();
    for (double& w : table.value) w = pupil.output().table().levels[0].Value(w);

    const Batch batch = SmallBatch(config.vocabulary_size);
    const DropoutRates dropout{.input = 0.2, .words = 0.1, .projection = 0.3, .recurrent = 0.2};
    const auto objective = [&](DoubleNetwork& network) {
      return Objective(network, {&teacher}, 1, batch, dropout);
    };
    EXPECT_GT(trainer::ExpectFiniteDifferences(
                  values, [&] { return objective(values); }, 40),
              40);
    EXPECT_NEAR(objective(pupil), objective(values), 1e-10);
    for (size_t i = 0; i < table.gradient.size(); ++i)
      ASSERT_NEAR(pupil.output().table().gradient[i], table.gradient[i], 1e-12) << i;
  }
}

// H(p, q) at a temperature is that of the networks whose logits are divided by it; of several
// teachers the mean of those of each.
TEST(DistillationLossTest, IsThatOfDividedLogitsAndTheMeanOfTeachers) {
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  constexpr double kTemperature = 3;
  DoubleNetwork first(backend, Config("lstm"), kShape), second(backend, Config("lstm"), kShape);
  Randomize(first, 0.6, 100);
  Randomize(second, 0.6, 200);
  const Batch batch = SmallBatch(11);
  const auto loss = [&](double divisor, double temperature,
                        const std::vector<DoubleNetwork*>& teachers) {
    DoubleNetwork pupil(backend, Config("lstm"), kShape);
    Randomize(pupil, 0.5);
    pupil.ScaleLogits(1 / divisor);
    pupil.Pack();
    Distillation<double> from{.teachers = {}, .weight = 0.5, .temperature = temperature};
    for (DoubleNetwork* teacher : teachers) {
      auto state = SomeState(*teacher);
      teacher->ScaleLogits(1 / divisor);
      teacher->Pack();
      from.teachers.push_back(teacher->Teach(batch, &state));
    }
    auto state = SomeState(pupil);
    pupil.LossAndGradient(batch, {}, 0, 1, &state, from);
    for (DoubleNetwork* teacher : teachers) teacher->ScaleLogits(divisor);
    return pupil.distillation_loss();
  };
  const double of_first = loss(1, kTemperature, {&first});
  EXPECT_NEAR(of_first, loss(kTemperature, 1, {&first}), 1e-10);
  EXPECT_GT(std::fabs(of_first - loss(1, 1, {&first})), 1e-3);
  const double of_both = loss(1, kTemperature, {&first, &second});
  EXPECT_NEAR(of_both, (of_first + loss(1, kTemperature, {&second})) / 2, 1e-10);
}

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
      DoubleNetwork teacher(backend, config, kShape);
      Randomize(teacher, 0.4);
      teacher.Pack();
      const Batch batch = SmallBatch(config.vocabulary_size);
      for (const double temperature : {1.0, 2.0}) {
        SCOPED_TRACE(absl::StrFormat("%s, %d samples, T = %g", preset, samples, temperature));
        DoubleNetwork pupil(backend, config, shape);  // Packs its teachers once.
        Randomize(pupil, 0.4);
        pupil.Pack();
        const auto run = [&](double weight, int teachers) {
          pupil.embedding().ClearGradient();
          auto state = SomeState(pupil);
          auto teacher_state = SomeState(teacher);
          const Teacher<double> taught = teacher.Teach(batch, &teacher_state);
          Distillation<double> from{.teachers = {}, .weight = weight, .temperature = temperature};
          from.teachers.assign(static_cast<size_t>(teachers), taught);
          pupil.LossAndGradient(batch, {}, 0, 1, &state, from);
          return LargestGradient(pupil);
        };
        EXPECT_LT(run(1, 1), 1e-12);
        EXPECT_GT(run(0.9, 1), 1e-3);
        EXPECT_LT(run(1, 3), 1e-12);
      }
    }
  }
}

}  // namespace
}  // namespace bitlm::trainer
