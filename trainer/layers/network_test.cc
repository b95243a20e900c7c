#include "trainer/layers/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "trainer/layers/finite_differences_testing.h"
#include "trainer/layers/network_testing.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {
namespace {

double LossOf(DoubleNetwork& network, const Batch& batch, const DropoutRates& dropout) {
  network.Pack(dropout, kDropoutKey);
  auto state = SomeState(network);
  return network.LossAndGradient(batch, dropout, kDropoutKey, kGradientScale, &state) *
         kGradientScale;
}

// Of the loss; sign activations are linearized. A batch norm that divides by a small deviation, as
// of three equal signs, magnifies the differences' error.
void ExpectFiniteDifferences(DoubleNetwork& network, const Batch& batch,
                             const DropoutRates& dropout, size_t most, int* nonzero) {
  const double loss = LossOf(network, batch, dropout);
  LinearizeSigns(network);
  EXPECT_EQ(LossOf(network, batch, dropout), loss);
  const double tolerance = network.config().norm == NormKind::kBatch ? 1e-6 : 2e-8;
  *nonzero += trainer::ExpectFiniteDifferences(
      network, [&] { return LossOf(network, batch, dropout); }, most, tolerance);
}

// A network, with learned scales where it has one plane, or with fitted ones.
struct GradientCase {
  GradientCase(ModelConfig of, bool fitted_scales = false)  // NOLINT: lists are of configs.
      : config(std::move(of)), shape(kShape) {
    shape.fitted_scales = fitted_scales;
  }
  ModelConfig config;
  NetworkShape shape;
};

GradientCase Fitted(const ModelConfig& config) { return {config, true}; }

class GradientTest : public testing::TestWithParam<GradientCase> {
 protected:
  const ModelConfig& config_ = GetParam().config;
  const NetworkShape& shape_ = GetParam().shape;
};

TEST_P(GradientTest, EqualsFiniteDifferencesOfEveryContinuousParameter) {
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  for (const DropoutRates& dropout :
       {DropoutRates{}, DropoutRates{.input = 0.3, .hidden = 0.2, .output = 0.4},
        DropoutRates{.input = 0.3, .hidden = 0.2, .output = 0.4, .variational = true},
        DropoutRates{.input = 0.2, .words = 0.3, .recurrent = 0.4},
        DropoutRates{.projection = 0.3, .recurrent = 0.2, .state = 0.4}}) {
    DoubleNetwork network(backend, config_, shape_);
    Randomize(network, 0.4);
    const Batch batch = SmallBatch(config_.vocabulary_size);
    int nonzero = 0;
    ExpectFiniteDifferences(network, batch, dropout, 1 << 20, &nonzero);
    // Fewer where scales are one a matrix, or are not parameters: then biases may be all there is.
    const bool row_scales = config_.scale == ScaleKind::kPerRow && config_.MostPlanes() == 1;
    EXPECT_GT(nonzero, shape_.fitted_scales ? 23 : row_scales ? 40 : 35);
  }
}

// The straight-through estimator hands dC/dW^b to W ([LCY18] equation 7). dC/dW^b is checked
// through a float network that has the effective weights exp(gamma) * W^b: its gradient, which the
// test above checks, times exp(gamma) is dC/dW^b. Also of planes on the way from latent values.
TEST_P(GradientTest, BinaryGradientIsThatOfTheEffectiveFloatNetwork) {
  ThreadPool pool(1);
  for (const double hardness : {1.0, 0.4}) {
    if (hardness < 1 && config_.MostPlanes() == 1 && !shape_.fitted_scales) continue;
    SCOPED_TRACE(hardness);
    DoubleBackend backend(&pool);
    DoubleNetwork binary(backend, config_, shape_);
    if (shape_.fitted_scales) {
      ASSERT_TRUE(binary.embedding().table().fitted());
    }
    binary.set_hardness(hardness);
    Randomize(binary, 0.4);
    Parameter<double>* input_gamma = binary.embedding().gamma();
    // A tied float table has one scale for both uses.
    if (input_gamma != nullptr && binary.embedding().tied()) input_gamma->value[0] = 0;
    ModelConfig config = config_;
    const auto to_float = [](MatrixKind kind) {
      return kind == MatrixKind::kBinary ? MatrixKind::kFloat : kind;
    };
    config.embedding = to_float(config.embedding);
    config.output_embedding = to_float(config.output_embedding);
    config.input_projection = to_float(config.input_projection);
    config.output_projection = to_float(config.output_projection);
    config.recurrent = to_float(config.recurrent);
    config.bit_planes = 1;
    config.recurrent_planes = config.projection_planes = 0;
    DoubleNetwork effective(backend, config, kShape);

    // Pairs of (binary parameter, gamma or null, float parameter), with alpha if it has a scale of
    // its own.
    struct Twin {
      Parameter<double>* binary;
      Parameter<double>* gamma;
      Parameter<double>* effective;
      double alpha = 0;
    };
    binary.Pack();
    std::vector<Twin> twins{{&binary.output().table(), nullptr, &effective.output().table()}};
    if (!binary.embedding().tied())
      twins.push_back({&binary.embedding().table(), input_gamma, &effective.embedding().table()});
    std::vector<std::pair<Parameter<double>*, Parameter<double>*>> biases;
    if (binary.output().bias() != nullptr)
      biases.emplace_back(binary.output().bias(), effective.output().bias());
    const auto add_linear = [&](auto* from, auto* to) {
      if (from == nullptr) return;
      twins.push_back({&from->weight().parameter, from->has_gamma() ? &from->gamma() : nullptr,
                       &to->weight().parameter,
                       from->binary() && !from->has_gamma() ? from->factor() : 0});
      biases.emplace_back(&from->bias(), &to->bias());
    };
    add_linear(binary.input_projection(), effective.input_projection());
    add_linear(binary.output_projection(), effective.output_projection());
    for (size_t l = 0; l < binary.lstm().size(); ++l) {
      auto& from = *binary.lstm()[l];
      auto& to = *effective.lstm()[l];
      auto* gamma = from.has_gamma() ? &from.gamma() : nullptr;
      const bool scaled = from.binary() && gamma == nullptr;
      twins.push_back({&from.weight_x().parameter, gamma, &to.weight_x().parameter,
                       scaled ? from.factor_x() : 0});
      twins.push_back({&from.weight_h().parameter, gamma, &to.weight_h().parameter,
                       scaled ? from.factor_h() : 0});
      biases.emplace_back(&from.bias(), &to.bias());
      if (from.norm() == nullptr) continue;
      const auto norms = from.norm()->Parameters();
      for (size_t i = 0; i < norms.size(); ++i)
        biases.emplace_back(norms[i], to.norm()->Parameters()[i]);
    }
    const auto factor = [](const Twin& twin, int64_t column) {
      if (twin.alpha > 0) return twin.alpha;
      if (twin.gamma == nullptr) return 1.0;
      return std::exp(twin.gamma->value[twin.gamma->cols == 1 ? 0 : static_cast<size_t>(column)]);
    };
    binary.Pack();
    for (const Twin& twin : twins) {
      const auto& levels = twin.binary->levels;
      for (int64_t i = 0; i < twin.binary->size(); ++i) {
        const auto at = static_cast<size_t>(i);
        const double w = twin.binary->value[at];
        const double value = twin.binary->fitted()    ? levels[at % levels.size()].Value(w)
                             : !twin.binary->binary() ? w
                             : w > 0                  ? twin.binary->alpha
                                                      : -twin.binary->alpha;
        twin.effective->value[at] = value * factor(twin, i % twin.binary->cols);
      }
    }
    for (const auto& [from, to] : biases)
      std::copy(from->value.begin(), from->value.end(), to->value.begin());

    const Batch batch = SmallBatch(config.vocabulary_size);
    const DropoutRates dropout{.input = 0.3,
                               .output = 0.4,
                               .words = 0.2,
                               .projection = 0.2,
                               .recurrent = 0.4,
                               .state = 0.3};
    EXPECT_NEAR(LossOf(binary, batch, dropout), LossOf(effective, batch, dropout), 1e-10);
    for (const Twin& twin : twins) {
      // alpha = mean |W| has a gradient, too, of which every entry has a share (XNOR-Net).
      double shared = 0;
      for (size_t i = 0; twin.alpha > 0 && i < twin.binary->value.size(); ++i) {
        shared += (twin.binary->value[i] > 0 ? 1 : -1) * twin.effective->gradient[i] /
                  static_cast<double>(twin.binary->size());
      }
      for (int64_t i = 0; i < twin.binary->size(); ++i) {
        const auto at = static_cast<size_t>(i);
        ASSERT_NEAR(twin.binary->gradient[at],
                    twin.effective->gradient[at] * factor(twin, i % twin.binary->cols) +
                        (twin.binary->value[at] > 0 ? shared : -shared),
                    1e-10)
            << twin.binary->name << "[" << i << "]";
      }
    }
  }
}

// The fast backend in float32 is the same network up to rounding; in bfloat16 up to the rounding of
// operands to 8 bits of significand.
void ExpectFastBackendAgrees(const ModelConfig& config, const NetworkShape& shape,
                             const Batch& batch) {
  ThreadPool pool(2);
  DoubleBackend reference_backend(&pool);
  DoubleNetwork reference(reference_backend, config, shape);
  Randomize(reference, 0.4);
  // A kept recurrent weight is multiplied by 2: exact in bfloat16.
  DropoutRates dropout{.input = 0.3, .output = 0.4, .words = 0.2, .recurrent = 0.5, .state = 0.25};
  // Batch statistics of three streams magnify rounding; a state that is partly 0, all the more.
  if (config.norm == NormKind::kBatch) dropout.state = 0;
  const double expected = LossOf(reference, batch, dropout);
  std::vector<Precision> precisions{Precision::kFloat32};
  if (BestPrecision() == Precision::kBfloat16) precisions.push_back(Precision::kBfloat16);
  for (const Precision precision : precisions) {
    // A batch norm of a few streams may divide by a small deviation.
    const double tolerance = precision == Precision::kFloat32  ? 1e-5
                             : config.norm == NormKind::kBatch ? 6e-2
                                                               : 3e-2;
    FastBackend backend(precision, &pool);
    Network<FastBackend> network(backend, config, shape);
    Randomize(network, 0.4);
    network.Pack(dropout, kDropoutKey);
    auto state = SomeState(network);
    const double loss = kGradientScale * network.LossAndGradient(batch, dropout, kDropoutKey,
                                                                 kGradientScale, &state);
    EXPECT_NEAR(loss, expected, tolerance * expected);
    const auto parameters = network.Parameters();
    const auto references = reference.Parameters();
    ASSERT_EQ(parameters.size(), references.size());
    double most = 0;
    for (const auto* p : references) {
      double norm = 0;
      for (const double g : p->gradient) norm += g * g;
      most = std::max(most, norm);
    }
    for (size_t p = 0; p < parameters.size(); ++p) {
      double error = 0;
      double norm = 0;
      for (size_t i = 0; i < parameters[p]->gradient.size(); ++i) {
        const double difference = parameters[p]->gradient[i] - references[p]->gradient[i];
        error += difference * difference;
        norm += references[p]->gradient[i] * references[p]->gradient[i];
      }
      // A scale in front of a norm has next to no gradient.
      if (config.norm != NormKind::kNone) norm = std::max(norm, 1e-4 * most);
      EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(norm)) << parameters[p]->name;
    }
  }
}

TEST_P(GradientTest, FastBackendAgreesWithDoublePrecision) {
  ExpectFastBackendAgrees(config_, shape_, SmallBatch(config_.vocabulary_size));
}

// Several tiles of words, blocks of columns, pieces of rows and slices of streams, none of them
// whole.
TEST(FastBackendTest, AgreesWithDoublePrecisionBeyondOneTile) {
  for (ModelConfig config :
       {SmallConfig("lstm"), SmallConfig("bllm"),
        TiedConfig(MatrixKind::kFloat, MatrixKind::kFloat, MatrixKind::kFloat)}) {
    config.hidden_size = config.embedding_size = 70;
    config.vocabulary_size = 1100;
    const NetworkShape shape{.streams = 33, .steps = 5};
    Batch batch{
        .streams = shape.streams, .steps = shape.steps, .inputs = {}, .targets = {}, .resets = {}};
    for (uint64_t i = 0; i < 165; ++i) {
      batch.inputs.push_back(static_cast<int32_t>(Mix64(i) % 1100));
      batch.targets.push_back(i % 13 == 0 ? -1 : static_cast<int32_t>(Mix64(1000 + i) % 1100));
      batch.resets.push_back(i % 17 == 0);
      batch.scored += i % 13 != 0;
    }
    ExpectFastBackendAgrees(config, shape, batch);
  }
}

// Rows of an array have the masks that they have in the whole of it.
TEST(DropoutTest, RowsHaveTheirMaskOfTheWholeArray) {
  ThreadPool pool(1);
  const DropoutMask mask{.rate = 0.4, .key = 9, .period = 4};
  std::vector<float> whole(12 * 7, 1.0f), rows(whole);
  ApplyDropout(mask, whole.data(), 12, 7, &pool);
  ApplyDropoutToRows(mask, 0, rows.data(), 5, 7);
  ApplyDropoutToRows(mask, 5, rows.data() + 35, 7, 7);
  EXPECT_EQ(whole, rows);
  // The same at all steps of 4 streams, and not the same for all streams.
  EXPECT_TRUE(std::equal(whole.begin(), whole.begin() + 28, whole.begin() + 28));
  EXPECT_FALSE(std::equal(whole.begin(), whole.begin() + 7, whole.begin() + 7));
}

// More words than one tile of the output layer: every gradient still is a finite difference's.
TEST(OutputTilesTest, SeveralTilesOfWordsAreOneSoftmax) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  ModelConfig config = SmallConfig("belm");
  config.output_embedding = MatrixKind::kFloat;
  config.vocabulary_size = 1100;
  DoubleNetwork network(backend, config, kShape);
  Randomize(network, 0.4);
  Batch batch = SmallBatch(config.vocabulary_size);
  batch.targets[0] = 511;
  batch.targets[1] = 512;
  batch.targets[2] = 1099;
  int nonzero = 0;
  ExpectFiniteDifferences(network, batch, {}, 200, &nonzero);
  EXPECT_GT(nonzero, 100);
}

// The sampled softmax: its gradients are those of its own loss, for targets of every frequency.
TEST(SampledSoftmaxTest, GradientsAreFiniteDifferencesOfTheSampledLoss) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  ModelConfig config = SmallConfig("belm");
  config.output_embedding = MatrixKind::kFloat;
  config.vocabulary_size = 2500;
  NetworkShape shape = kShape;
  shape.softmax_samples = 1024;
  DoubleNetwork network(backend, config, shape);
  Randomize(network, 0.4);
  Batch batch = SmallBatch(config.vocabulary_size);
  batch.targets[0] = 3;
  batch.targets[1] = 2499;
  batch.targets[2] = 2499;
  const DropoutRates dropout{.output = 0.4};
  int nonzero = 0;
  ExpectFiniteDifferences(network, batch, dropout, 200, &nonzero);
  EXPECT_GT(nonzero, 100);
}

// Jensen's inequality makes the estimate of log Z a little too small; the mean over many samples
// of a network with unequal words stays close.
TEST(SampledSoftmaxTest, LossIsRightOnAverage) {
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  ModelConfig config = SmallConfig("bllm");
  config.vocabulary_size = 2500;
  NetworkShape shape = kShape;
  shape.softmax_samples = 1024;
  DoubleNetwork network(backend, config, shape);
  Randomize(network, 1.0);
  const Batch batch = SmallBatch(config.vocabulary_size);
  auto state = SomeState(network);
  network.set_sampling(false);
  network.Pack();
  const double exact = network.Loss(batch, &state);
  network.set_sampling(true);
  network.Pack();
  double mean = 0, least = 1e9, most = 0;
  constexpr int kKeys = 60;
  for (uint64_t key = 0; key < kKeys; ++key) {
    state = SomeState(network);
    const double loss = network.LossAndGradient(batch, {}, key, 1, &state);
    mean += loss / kKeys;
    least = std::min(least, loss);
    most = std::max(most, loss);
  }
  EXPECT_LT(least, exact);
  EXPECT_GT(most, exact);
  EXPECT_NEAR(mean, exact, 0.002 * exact);
}

// More distinct targets than half of the samples: every word is computed instead.
TEST(SampledSoftmaxTest, TooManyTargetsFallBackToTheWholeVocabulary) {
  VocabularySample sample(5000, 1024);
  std::vector<int32_t> targets(600);
  std::iota(targets.begin(), targets.end(), 100);
  EXPECT_FALSE(sample.Choose(targets, 1));
  targets.resize(512);
  ASSERT_TRUE(sample.Choose(targets, 1));
  std::vector<int32_t> words(sample.words().begin(), sample.words().end());
  EXPECT_EQ(words.size(), 1024u);
  for (size_t i = 0; i < 512; ++i)
    EXPECT_EQ(words[static_cast<size_t>(sample.Place(targets[i]))], targets[i]);
  for (size_t i = 512; i < 1024; ++i) EXPECT_TRUE(words[i] < 100 || words[i] >= 612);
  EXPECT_NEAR(std::exp(sample.log_weight()), (5000 - 512) / 512.0, 1e-9);
  // Few targets: the most frequent words fill the first half.
  ASSERT_TRUE(sample.Choose(std::vector<int32_t>{4999, -1, 7}, 2));
  EXPECT_EQ(sample.words()[0], 4999);
  EXPECT_EQ(sample.words()[1], 7);
  EXPECT_EQ(sample.words()[2], 0);
  EXPECT_EQ(sample.words()[511], 510);
}

// Soft planes at 0 are the latent values' network.
TEST(SoftPlanesTest, AtHardnessZeroTheyAreTheLatentValues) {
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  ModelConfig config = TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary);
  config.bit_planes = 2;
  DoubleNetwork soft(backend, config, kShape);
  config.embedding = config.output_projection = config.recurrent = MatrixKind::kFloat;
  config.bit_planes = 1;
  DoubleNetwork latent(backend, config, kShape);
  for (DoubleNetwork* network : {&soft, &latent}) Randomize(*network, 0.4);
  const Batch batch = SmallBatch(config.vocabulary_size);
  const double expected = LossOf(latent, batch, {});
  EXPECT_GT(std::abs(LossOf(soft, batch, {}) - expected), 1e-3);
  soft.set_hardness(0);
  EXPECT_NEAR(LossOf(soft, batch, {}), expected, 1e-10);
  const auto gradients = latent.Parameters(), of_soft = soft.Parameters();
  for (size_t p = 0; p < gradients.size(); ++p) {
    for (size_t i = 0; i < gradients[p]->gradient.size(); ++i)
      ASSERT_NEAR(of_soft[p]->gradient[i], gradients[p]->gradient[i], 1e-10);
  }
}

// The columns that are sampled are those of the effective table.
TEST(SampledSoftmaxTest, PlanesOfATableAreSampledAsTheirValues) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  ModelConfig config = TiedConfig(MatrixKind::kBinary, MatrixKind::kFloat, MatrixKind::kFloat);
  config.vocabulary_size = 2500;
  config.bit_planes = 2;
  NetworkShape shape = kShape;
  shape.softmax_samples = 1024;
  DoubleNetwork planes(backend, config, shape);
  config.embedding = MatrixKind::kFloat;
  config.bit_planes = 1;
  DoubleNetwork effective(backend, config, shape);
  for (DoubleNetwork* network : {&planes, &effective}) Randomize(*network, 0.4);
  planes.Pack();
  auto& table = effective.output().table();
  const double before = table.value[0];
  for (double& w : table.value) w = planes.output().table().levels[0].Value(w);
  ASSERT_NE(table.value[0], before);
  const Batch batch = SmallBatch(config.vocabulary_size);
  EXPECT_NEAR(LossOf(planes, batch, {}), LossOf(effective, batch, {}), 1e-10);
  for (size_t i = 0; i < table.gradient.size(); ++i)
    ASSERT_NEAR(planes.output().table().gradient[i], table.gradient[i], 1e-12) << i;
}

std::string PresetName(const testing::TestParamInfo<GradientCase>& test) {
  const ModelConfig& config = test.param.config;
  std::string name = config.preset + "_" + std::to_string(config.layers) + "_" +
                     std::to_string(config.embedding_size);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Presets, GradientTest,
                         testing::Values(SmallConfig("lstm"), SmallConfig("belm"),
                                         SmallConfig("bllm"), SmallConfig("bllm-no-i"),
                                         SmallConfig("bllm-no-o"), SmallConfig("bllm-no-io"),
                                         SmallConfig("lstm", 2), SmallConfig("bllm", 3),
                                         SmallConfig("bllm", 1, 9), SmallConfig("belm", 2, 5)),
                         PresetName);
INSTANTIATE_TEST_SUITE_P(ZhengTang, GradientTest,
                         testing::Values(SmallConfig("bw-lstm"), SmallConfig("bw-lstm", 2),
                                         SmallConfig("xnor-lstm"), SmallConfig("xnor-lstm", 2),
                                         SmallConfig("xnor-lstm-bn")),
                         PresetName);
INSTANTIATE_TEST_SUITE_P(PerMatrix, GradientTest,
                         testing::Values(PerMatrixConfig(ActivationKind::kReal),
                                         PerMatrixConfig(ActivationKind::kSign)));
INSTANTIATE_TEST_SUITE_P(Norms, GradientTest,
                         testing::Values(NormConfig("lstm", NormKind::kLayer, 2),
                                         NormConfig("bllm", NormKind::kLayer, 2),
                                         NormConfig("bw-lstm", NormKind::kLayer),
                                         NormConfig("xnor-lstm", NormKind::kLayer),
                                         NormConfig("lstm", NormKind::kBatch, 2),
                                         NormConfig("bllm", NormKind::kBatch)));
INSTANTIATE_TEST_SUITE_P(
    Tied, GradientTest,
    testing::Values(TiedConfig(MatrixKind::kFloat, MatrixKind::kFloat, MatrixKind::kFloat),
                    TiedConfig(MatrixKind::kBinary, MatrixKind::kFloat, MatrixKind::kFloat),
                    TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary)));
INSTANTIATE_TEST_SUITE_P(
    Planes, GradientTest,
    testing::Values(
        Planes(2, SmallConfig("bllm")), Planes(3, SmallConfig("bllm-no-i", 2)),
        Planes(3, SmallConfig("belm")), PlanesByMatrix(1, 2, 3, SmallConfig("bllm")),
        PlanesByMatrix(1, 1, 2,
                       TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary)),
        PlanesByMatrix(2, 1, 1,
                       TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary)),
        Planes(2, TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary))));
// One plane, as what starts from a float network without a linear layer has it.
INSTANTIATE_TEST_SUITE_P(FittedScales, GradientTest,
                         testing::Values(Fitted(SmallConfig("bllm")), Fitted(SmallConfig("belm")),
                                         Fitted(SmallConfig("bllm-no-i")),
                                         Fitted(SmallConfig("bllm-no-o", 2)),
                                         Fitted(SmallConfig("bllm-no-io")),
                                         Fitted(TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary,
                                                           MatrixKind::kBinary))),
                         PresetName);

}  // namespace
}  // namespace bitlm::trainer
