// One step of a float LSTM language model against PyTorch's numbers (tools/make_trainer_golden.py).

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/base/file.h"
#include "trainer/layers/network.h"
#include "trainer/tensor/double_backend.h"

namespace bitlm::trainer {
namespace {

constexpr int kV = 13, kE = 5, kH = 6, kB = 3, kT = 4;

TEST(PyTorchParityTest, LossAndGradientsOfOneStepAgree) {
  const std::string path = BITLM_SOURCE_DIR "/trainer/layers/testdata/pytorch_lstm_step.json";
  const auto text = ReadFile(path);
  ASSERT_TRUE(text.ok()) << text.status();
  const nlohmann::json golden = nlohmann::json::parse(*text);

  ModelConfig config = PresetConfig("lstm").value();
  config.vocabulary_size = kV;
  config.embedding_size = kE;
  config.hidden_size = kH;
  config.output_projection = MatrixKind::kFloat;
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  Network<DoubleBackend> network(backend, config, {.streams = kB, .steps = kT});

  // The script's parameters, which have [outputs, inputs]; ours are the transposes, except the
  // embedding.
  const auto value = [](int seed, int64_t i) {
    return 0.5 * std::sin(0.7 * static_cast<double>(i) + seed);
  };
  const std::map<std::string, int> seeds{{"embedding", 1},
                                         {"lstm.0.weight_x", 2},
                                         {"lstm.0.weight_h", 3},
                                         {"lstm.0.bias", 4},
                                         {"output_embedding", 5},
                                         {"output_projection.weight", 6},
                                         {"output_projection.bias", 7}};
  const auto their_index = [](const Parameter<double>& p, int64_t r, int64_t c) {
    return p.name == "embedding" || p.rows == 1 ? r * p.cols + c : c * p.rows + r;
  };
  for (Parameter<double>* p : network.Parameters()) {
    for (int64_t r = 0; r < p->rows; ++r) {
      for (int64_t c = 0; c < p->cols; ++c) {
        p->value[static_cast<size_t>(r * p->cols + c)] =
            value(seeds.at(p->name), their_index(*p, r, c));
      }
    }
  }
  Batch batch{
      .streams = kB, .steps = kT, .inputs = {}, .targets = {}, .resets = {}, .scored = kB * kT};
  for (int t = 0; t < kT; ++t) {
    for (int b = 0; b < kB; ++b) {
      batch.inputs.push_back((3 * t + 5 * b) % kV);
      batch.targets.push_back((7 * t + 2 * b + 1) % kV);
      batch.resets.push_back(t == 0);
    }
  }
  network.Pack();
  auto state = network.ZeroState();
  const double loss = network.LossAndGradient(batch, {}, 0, 1.0, &state);
  EXPECT_NEAR(loss, golden["loss"].get<double>(), 1e-11);
  for (const Parameter<double>* p : network.Parameters()) {
    const auto expected = golden["gradients"][p->name].get<std::vector<double>>();
    ASSERT_EQ(expected.size(), static_cast<size_t>(p->size())) << p->name;
    for (int64_t r = 0; r < p->rows; ++r) {
      for (int64_t c = 0; c < p->cols; ++c) {
        EXPECT_NEAR(p->gradient[static_cast<size_t>(r * p->cols + c)],
                    expected[static_cast<size_t>(their_index(*p, r, c))], 1e-11)
            << p->name << "[" << r << ", " << c << "]";
      }
    }
  }
}

}  // namespace
}  // namespace bitlm::trainer
