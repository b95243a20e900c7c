// DeviceNetwork against Network, Optimizer and WeightAverage: by HostDevice, and by the CUDA device
// where there is one.

#include "trainer/device/device_network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "trainer/device/device_model.h"
#include "trainer/device/host_device.h"
#include "trainer/layers/network_testing.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/weight_average.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {
namespace {

using FloatNetwork = Network<FastBackend>;

struct Case {
  std::string name;
  ModelConfig config;
  DropoutRates dropout;
  ActivationRegularization regularization;
  bool fitted = false;  // Scales, of one plane.

  NetworkShape shape() const {
    NetworkShape of = kShape;
    of.fitted_scales = fitted;
    return of;
  }
};

ModelConfig Tied(int layers) {
  ModelConfig config = TiedConfig(MatrixKind::kFloat, MatrixKind::kFloat, MatrixKind::kFloat);
  config.layers = layers;
  return config;
}

ModelConfig TiedBinary() {
  return TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary);
}

std::vector<Case> Cases() {
  const DropoutRates every{.input = 0.3,
                           .hidden = 0.2,
                           .output = 0.25,
                           .words = 0.2,
                           .projection = 0.3,
                           .recurrent = 0.4,
                           .state = 0.1,
                           .variational = true};
  DropoutRates standard = every;
  standard.variational = false;
  return {{"untied", SmallConfig("lstm"), {}, {}},
          {"untied, two layers, dropout", SmallConfig("lstm", 2), standard, {}},
          {"tied", Tied(1), {}, {}},
          {"tied, dropout", Tied(1), every, {}},
          {"tied, penalties", Tied(1), {}, {.activation = 2, .temporal = 1}},
          {"tied, three layers, all of it", Tied(3), every, {.activation = 2, .temporal = 1}},
          {"belm", SmallConfig("belm"), {}, {}},
          {"bllm", SmallConfig("bllm"), {}, {}},
          {"bllm, two layers, all of it",
           SmallConfig("bllm", 2),
           every,
           {.activation = 2, .temporal = 1}},
          {"bllm-no-i", SmallConfig("bllm-no-i"), every, {}},
          {"bllm-no-o", SmallConfig("bllm-no-o"), standard, {}},
          {"tied, binary",
           TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary),
           every,
           {}},
          {"tied, binary table",
           TiedConfig(MatrixKind::kBinary, MatrixKind::kFloat, MatrixKind::kFloat),
           standard,
           {}},
          {"tied, three planes", Planes(3, TiedBinary()), every, {}},
          {"tied, two, three and one plane", PlanesByMatrix(2, 3, 1, TiedBinary()), standard, {}},
          {"bllm, two planes", Planes(2, SmallConfig("bllm", 2)), every, {}},
          {"tied, table of two planes",
           Planes(2, TiedConfig(MatrixKind::kBinary, MatrixKind::kFloat, MatrixKind::kFloat)),
           {},
           {}},
          {"bllm, fitted", SmallConfig("bllm", 2), every, {}, true},
          {"bllm-no-i, fitted", SmallConfig("bllm-no-i"), standard, {}, true},
          {"bllm-no-o, fitted", SmallConfig("bllm-no-o"), every, {}, true},
          {"bllm-no-io, fitted", SmallConfig("bllm-no-io", 2), {}, {}, true},
          {"tied, binary, fitted", TiedBinary(), standard, {}, true}};
}

enum class Where { kHost, kCuda, kCudaBfloat16 };

std::unique_ptr<DeviceTrainer> MakeTrainer(Where where, const DeviceModel& model,
                                           DeviceOptions options) {
  if (where == Where::kHost)
    return std::make_unique<DeviceNetwork<HostDevice>>(std::make_shared<HostDevice>(), model,
                                                       options);
  options.bfloat16 = where == Where::kCudaBfloat16;
  std::string error;
  auto trainer = MakeCudaTrainer(model, options, &error);
  EXPECT_NE(trainer, nullptr) << error;
  return trainer;
}

class DeviceNetworkTest : public testing::TestWithParam<Where> {
 protected:
  void SetUp() override {
    if (GetParam() == Where::kHost) return;
    std::string error;
    const DeviceModel smallest{
        .vocabulary = 2, .embedding = 1, .hidden = 1, .streams = 1, .steps = 1};
    if (MakeCudaTrainer(smallest, {}, &error) == nullptr) GTEST_SKIP() << error;
  }
  // Of the largest value of an array; products in bfloat16 have 8 bits.
  double Tolerance() const { return GetParam() == Where::kCudaBfloat16 ? 3e-2 : 2e-5; }

  // The largest difference as a part of the largest value.
  static double Difference(std::span<const float> a, std::span<const float> b) {
    double largest = 1e-12, difference = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(a[i])));
      difference = std::max(difference, std::fabs(static_cast<double>(a[i] - b[i])));
    }
    return difference / largest;
  }
};

void Send(FloatNetwork& network, FloatNetwork::State& state, DeviceTrainer* device) {
  const auto parameters = network.Parameters();
  ASSERT_EQ(parameters.size(), device->parameters());
  for (size_t i = 0; i < parameters.size(); ++i) {
    ASSERT_EQ(parameters[i]->size(), device->size(i)) << parameters[i]->name;
    device->Set(DeviceArray::kValue, i, parameters[i]->value.span());
  }
  device->SetOutputFactor(network.output().weights().factor);
  for (size_t layer = 0; layer < state.size(); ++layer)
    device->SetState(static_cast<int>(layer), state[layer].h.span(), state[layer].c.span());
}

TEST_P(DeviceNetworkTest, LossGradientsAndStateAreTheNetworks) {
  ThreadPool pool(1);
  FastBackend backend(Precision::kFloat32, &pool);
  const Batch batch = SmallBatch(11);
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    FloatNetwork network(backend, c.config, c.shape());
    network.set_penalties({.activations = c.regularization, .self_normalization = 0});
    Randomize(network, 0.4);
    FloatNetwork::State state = SomeState(network);
    const auto model = DeviceModelOf(c.config, c.shape());
    ASSERT_TRUE(model.ok()) << model.status();
    const auto device =
        MakeTrainer(GetParam(), *model,
                    {.dropout = c.dropout, .regularization = c.regularization, .optimizer = {}});
    Send(network, state, device.get());
    // Without dropout first, on a text of its own.
    network.Pack();
    FloatNetwork::State zero = network.ZeroState();
    const double untrained = network.Loss(batch, &zero) + network.Loss(batch, &zero);
    device->StartEvaluation(false);
    const double of_device = device->Loss(batch) + device->Loss(batch);
    EXPECT_NEAR(of_device, untrained, untrained * Tolerance());

    network.Pack(c.dropout, kDropoutKey);
    const auto scale = static_cast<float>(kGradientScale);
    const double loss = network.LossAndGradient(batch, c.dropout, kDropoutKey, scale, &state);
    const DeviceLoss result = device->Step(
        {.batch = &batch, .dropout_key = kDropoutKey, .gradient_scale = scale, .learning_rate = 0});
    EXPECT_EQ(device->error(), "");
    EXPECT_NEAR(result.loss, loss, loss * Tolerance());
    const auto parameters = network.Parameters();
    double squares = 0;
    for (size_t i = 0; i < parameters.size(); ++i) {
      std::vector<float> gradient(parameters[i]->value.size());
      device->Get(DeviceArray::kGradient, i, gradient);
      EXPECT_LT(Difference(parameters[i]->gradient.span(), gradient), Tolerance())
          << parameters[i]->name;
      for (const float g : parameters[i]->gradient.span())
        squares += static_cast<double>(g) * static_cast<double>(g);
    }
    EXPECT_NEAR(result.squared_norm, squares, squares * 2 * Tolerance());
    for (size_t layer = 0; layer < state.size(); ++layer) {
      std::vector<float> h(state[layer].h.size()), cell(h.size());
      device->GetState(static_cast<int>(layer), h, cell);
      EXPECT_LT(Difference(state[layer].h.span(), h), Tolerance());
      EXPECT_LT(Difference(state[layer].c.span(), cell), Tolerance());
    }
  }
}

TEST_P(DeviceNetworkTest, LearnsFromTeachers) {
  ThreadPool pool(1);
  FastBackend backend(Precision::kFloat32, &pool);
  const Batch batch = SmallBatch(11);
  const std::vector<ModelConfig> of_teachers{Tied(2), SmallConfig("bllm"),
                                             SmallConfig("bllm-no-o")};
  for (const float temperature : {1.0f, 2.5f}) {
    SCOPED_TRACE(temperature);
    const ModelConfig config = SmallConfig("bllm");
    FloatNetwork network(backend, config, kShape);
    Randomize(network, 0.4);
    FloatNetwork::State state = SomeState(network);
    const auto device = MakeTrainer(GetParam(), DeviceModelOf(config, kShape).value(),
                                    {.dropout = {},
                                     .regularization = {},
                                     .optimizer = {},
                                     .distillation_weight = 0.7,
                                     .distillation_temperature = static_cast<double>(temperature)});
    Send(network, state, device.get());
    std::vector<std::unique_ptr<FloatNetwork>> teachers;
    std::vector<FloatNetwork::State> states;
    std::vector<DeviceTrainer*> of_device;
    for (const ModelConfig& of : of_teachers) {
      teachers.push_back(std::make_unique<FloatNetwork>(backend, of, kShape));
      Randomize(*teachers.back(), 0.5, 100 * teachers.size());
      // As of a model with another scale or a tuned temperature.
      if (of.output_projection == MatrixKind::kNone) teachers.back()->output().ScaleTable(1.3f);
      teachers.back()->Pack();
      states.push_back(SomeState(*teachers.back()));
      of_device.push_back(device->AddTeacher(DeviceModelOf(of, kShape).value()));
      Send(*teachers.back(), states.back(), of_device.back());
    }
    network.Pack();
    for (int step = 0; step < 2; ++step) {  // The second with the states that the first has left.
      Distillation<float> from{.teachers = {}, .weight = 0.7f, .temperature = temperature};
      for (size_t i = 0; i < teachers.size(); ++i)
        from.teachers.push_back(teachers[i]->Teach(batch, &states[i]));
      network.LossAndGradient(batch, {}, 0, 0.5f, &state, from);
      device->Step({.batch = &batch, .gradient_scale = 0.5f});
      const auto parameters = network.Parameters();
      for (size_t i = 0; i < parameters.size(); ++i) {
        std::vector<float> gradient(parameters[i]->value.size());
        device->Get(DeviceArray::kGradient, i, gradient);
        EXPECT_LT(Difference(parameters[i]->gradient.span(), gradient), Tolerance())
            << parameters[i]->name;
      }
      network.embedding().ClearGradient();
    }
    EXPECT_EQ(device->error(), "");
  }
}

TEST_P(DeviceNetworkTest, TrainsAsOptimizerAndAverageDo) {
  ThreadPool pool(1);
  FastBackend backend(Precision::kFloat32, &pool);
  OptimizerOptions sgd;
  sgd.clip_norm = 0.5;
  sgd.weight_decay = 0.1;
  sgd.latent_lr_scale = 0.5;
  OptimizerOptions adam = sgd;
  adam.kind = OptimizerKind::kAdam;
  adam.clip_norm = 0.3;
  adam.l2 = 1e-2;
  adam.epsilon = 1e-3;  // The differences of small gradients stay small.
  for (const OptimizerOptions& options : {sgd, adam}) {
    for (const Case& c : Cases()) {
      SCOPED_TRACE(c.name + (options.kind == OptimizerKind::kAdam ? ", Adam" : ", SGD"));
      FloatNetwork network(backend, c.config, c.shape());
      network.set_penalties({.activations = c.regularization, .self_normalization = 0});
      Randomize(network, 0.4);
      FloatNetwork::State state = SomeState(network);
      Optimizer optimizer(options, network.Parameters(), &pool);
      WeightAverage average(0.8, network.Parameters(), &pool);
      const auto device = MakeTrainer(GetParam(), DeviceModelOf(c.config, c.shape()).value(),
                                      {.dropout = c.dropout,
                                       .regularization = c.regularization,
                                       .optimizer = options,
                                       .averages = true});
      Send(network, state, device.get());
      const float rate = options.kind == OptimizerKind::kAdam ? 0.01f : 0.3f;
      Batch batch = SmallBatch(11);
      for (int64_t step = 1; step <= 6; ++step) {
        for (int32_t& input : batch.inputs) input = (input * 3 + 1) % 7;  // Not every word.
        const auto key = static_cast<uint64_t>(step);
        network.Pack(c.dropout, key);
        network.LossAndGradient(batch, c.dropout, key, 0.5f, &state);
        ASSERT_TRUE(optimizer.Step(rate).ok());
        network.embedding().ClearGradient();
        average.Update();
        device->Step(
            {.batch = &batch,
             .dropout_key = key,
             .gradient_scale = 0.5f,
             .learning_rate = rate,
             .number = step,
             .average_share = static_cast<float>(std::max(0.2, 1.0 / static_cast<double>(step)))});
      }
      const auto parameters = network.Parameters();
      for (size_t i = 0; i < parameters.size(); ++i) {
        std::vector<float> value(parameters[i]->value.size()), mean(value.size());
        device->Get(DeviceArray::kValue, i, value);
        device->Get(DeviceArray::kAverage, i, mean);
        EXPECT_LT(Difference(parameters[i]->value.span(), value), 10 * Tolerance())
            << parameters[i]->name;
        EXPECT_LT(Difference(average.averages()[i].span(), mean), 10 * Tolerance())
            << parameters[i]->name;
      }
    }
  }
}

TEST_P(DeviceNetworkTest, ChangesNothingWhereTheGradientIsNotFinite) {
  const ModelConfig config = Tied(1);
  const auto device = MakeTrainer(GetParam(), DeviceModelOf(config, kShape).value(),
                                  {.dropout = {}, .regularization = {}, .optimizer = {}});
  ThreadPool pool(1);
  FastBackend backend(Precision::kFloat32, &pool);
  FloatNetwork network(backend, config, kShape);
  Randomize(network, 0.4);
  network.Parameters()[0]->value[0] = NAN;
  FloatNetwork::State state = network.ZeroState();
  Send(network, state, device.get());
  const Batch batch = SmallBatch(11);
  const DeviceLoss result = device->Step({.batch = &batch, .learning_rate = 1});
  EXPECT_FALSE(std::isfinite(result.squared_norm));
  std::vector<float> value(static_cast<size_t>(device->size(1)));
  device->Get(DeviceArray::kValue, 1, value);
  EXPECT_EQ(Difference(network.Parameters()[1]->value.span(), value), 0);
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceNetworkTest,
                         testing::Values(Where::kHost, Where::kCuda, Where::kCudaBfloat16),
                         [](const auto& param) {
                           return param.param == Where::kHost   ? "Host"
                                  : param.param == Where::kCuda ? "Cuda"
                                                                : "CudaBfloat16";
                         });

TEST(DeviceModelTest, NamesWhatADeviceDoesNotTrain) {
  const auto error = [](const ModelConfig& config, const NetworkShape& shape) {
    return std::string(DeviceModelOf(config, shape).status().message());
  };
  EXPECT_EQ(error(PerMatrixConfig(ActivationKind::kReal), kShape).substr(0, 11), "model.scale");
  EXPECT_EQ(error(SmallConfig("lstm"), {.softmax_samples = 10}).substr(0, 15), "softmax.samples");
  EXPECT_EQ(error(NormConfig("lstm", NormKind::kLayer), kShape).substr(0, 10), "model.norm");
  EXPECT_TRUE(DeviceModelOf(SmallConfig("lstm", 2), kShape).ok());
}

}  // namespace
}  // namespace bitlm::trainer
