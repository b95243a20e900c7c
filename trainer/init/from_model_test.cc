#include "trainer/init/from_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "trainer/data/corpus.h"
#include "trainer/data/stream_batcher.h"
#include "trainer/export/exporter.h"
#include "trainer/init/initialize.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

constexpr int kVocabulary = 120, kHidden = 24;
constexpr NetworkShape kShape{.streams = 8, .steps = 6};

// A preset, with "+norm" one with this norm.
ModelConfig SmallConfig(const std::string& name, int hidden = kHidden, int embedding = kHidden,
                        int layers = 1) {
  const size_t plus = name.find('+');
  ModelConfig config = PresetConfig(name.substr(0, plus)).value();
  if (plus != std::string::npos) {
    config.preset = "custom";
    EXPECT_TRUE(SetConfigOption("norm", name.substr(plus + 1), &config).ok());
  }
  config.hidden_size = hidden;
  config.embedding_size = embedding;
  config.layers = layers;
  config.vocabulary_size = kVocabulary;
  return config;
}

Vocabulary SomeWords() {
  std::vector<std::string> words{"<unk>", "</s>"};
  while (words.size() < kVocabulary) words.push_back("w" + std::to_string(words.size()));
  return Vocabulary::FromWords(words).value();
}

Batch SomeBatch() {
  Batch batch{
      .streams = kShape.streams, .steps = kShape.steps, .inputs = {}, .targets = {}, .resets = {}};
  for (uint64_t i = 0; i < 48; ++i) {
    batch.inputs.push_back(static_cast<int32_t>(Mix64(i) % kVocabulary));
    batch.targets.push_back(static_cast<int32_t>(Mix64(100 + i) % kVocabulary));
    batch.resets.push_back(i < 8);
  }
  batch.scored = 48;
  return batch;
}

// Gains, shifts and statistics that are not those of the start.
void RandomizeNorms(Network<FastBackend>& network) {
  uint64_t key = 500;
  for (auto& layer : network.lstm()) {
    if (layer->norm() == nullptr) continue;
    for (Parameter<float>* p : layer->norm()->Parameters()) {
      ++key;
      for (size_t i = 0; i < p->value.size(); ++i) {
        p->value[i] += 0.3f * static_cast<float>(GaussianAt(key, i));
      }
    }
    for (BatchNorm<float>* statistics : {layer->norm()->batch_x(), layer->norm()->batch_h()}) {
      if (statistics == nullptr) continue;
      std::vector<float> mean, variance;
      for (size_t i = 0; i < 4 * kHidden; ++i) {
        mean.push_back(static_cast<float>(0.2 * GaussianAt(key, 1000 + i)));
        variance.push_back(static_cast<float>(0.1 + UniformAt(key, 2000 + i)));
      }
      const size_t columns = layer->bias().value.size();
      mean.resize(columns);
      variance.resize(columns);
      statistics->SetRunning(mean, variance, 1000);
    }
  }
}

class FromModelTest : public testing::Test {
 protected:
  std::unique_ptr<Network<FastBackend>> MakeNetwork(const std::string& preset, uint64_t seed) {
    return MakeNetwork(SmallConfig(preset), seed);
  }
  std::unique_ptr<Network<FastBackend>> MakeNetwork(const ModelConfig& config, uint64_t seed) {
    auto network = std::make_unique<Network<FastBackend>>(backend_, config, kShape);
    InitializeAtRandom({.forget_bias = 0.5, .gamma_input = 0.7, .gamma_output = 1.2}, seed,
                       network.get());
    return network;
  }
  Model Export(Network<FastBackend>& network) {
    return *ExportModel(network, SomeWords(), ModelMetadata{});
  }
  double Loss(Network<FastBackend>& network) {
    network.Pack();
    auto state = network.ZeroState();
    return network.Loss(SomeBatch(), &state);
  }
  absl::StatusOr<std::string> Initialize(const Model& model, Network<FastBackend>* network) {
    return InitializeFromModel(model, {.counts = std::vector<int64_t>(kVocabulary, 3)}, &pool_,
                               network);
  }

  ThreadPool pool_{2};
  FastBackend backend_{Precision::kFloat32, &pool_};
};

class SamePresetTest : public FromModelTest, public testing::WithParamInterface<const char*> {};

// Nothing is fitted, nothing lost: not even a temperature.
TEST_P(SamePresetTest, ComputesWhatTheModelComputed) {
  std::vector<ModelConfig> configs{SmallConfig(GetParam()),
                                   SmallConfig(GetParam(), kHidden - 3, kHidden - 3, 2)};
  if (configs[0].output_projection != MatrixKind::kNone) {
    configs.push_back(SmallConfig(GetParam(), 22, 13, 2));
  }
  for (const ModelConfig& config : configs) {
    SCOPED_TRACE(config.hidden_size);
    auto source = MakeNetwork(config, 1);
    RandomizeNorms(*source);
    for (auto& layer : source->lstm()) {
      for (size_t i = 0; i < layer->bias().value.size(); ++i) {
        layer->bias().value[i] += 0.1f * static_cast<float>(i % 5);
      }
    }
    for (LinearLayer<FastBackend>* layer :
         {source->input_projection(), source->output_projection()}) {
      if (layer == nullptr) continue;
      for (size_t i = 0; i < layer->bias().value.size(); ++i) {
        layer->bias().value[i] = 0.2f * static_cast<float>(i % 3);
      }
    }
    if (source->output_projection() != nullptr) source->output().ScaleTable(1.3f);
    if (!source->output().table().binary()) {
      for (float& w : source->output().table().value) w *= 5;
    }
    const double loss = Loss(*source);
    auto network = MakeNetwork(config, 2);
    ASSERT_GT(std::fabs(Loss(*network) - loss), 0.1);
    Model model = Export(*source);
    if (source->input_projection() != nullptr) {
      // As much is in the layer's scale as is missing in the table's.
      model.tensors.at("embedding.scale").mutable_f32()[0] *= 2;
      const bool binary = source->input_projection()->binary();
      for (float& x :
           model.tensors.at(binary ? "input_projection.scale" : "input_projection.weight")
               .mutable_f32()) {
        x /= 2;
      }
    }
    const auto report = Initialize(model, network.get());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(*report, "");
    EXPECT_NEAR(Loss(*network), loss, 2e-4 * loss);
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, SamePresetTest,
                         testing::Values("lstm", "belm", "bllm", "bllm-no-i", "bllm-no-o",
                                         "bllm-no-io", "bw-lstm", "xnor-lstm", "xnor-lstm-bn",
                                         "lstm+layer", "bllm+layer", "xnor-lstm+layer",
                                         "lstm+batch", "bllm+batch"),
                         [](const auto& preset) {
                           std::string name = preset.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           std::replace(name.begin(), name.end(), '+', '_');
                           return name;
                         });

// |product - target|^2 / |target|^2.
double RelativeError(const std::vector<float>& product, const std::vector<float>& target) {
  double wrong = 0, all = 0;
  for (size_t i = 0; i < target.size(); ++i) {
    wrong += (product[i] - target[i]) * (product[i] - target[i]);
    all += target[i] * target[i];
  }
  return wrong / all;
}

// The effective values of a parameter [rows, cols], of a binary one with exp(gamma) by columns.
std::vector<float> Plain(const Parameter<float>& p, const Parameter<float>* gamma = nullptr) {
  std::vector<float> values(p.value.begin(), p.value.end());
  for (size_t i = 0; i < values.size(); ++i) {
    if (p.binary()) values[i] = values[i] > 0 ? p.alpha : -p.alpha;
    if (gamma != nullptr && p.binary()) {
      values[i] *= std::exp(gamma->value[i % static_cast<size_t>(p.cols)]);
    }
  }
  return values;
}

// [rows, inner] x [inner, columns].
std::vector<float> Product(const std::vector<float>& a, const std::vector<float>& b, size_t inner) {
  const size_t rows = a.size() / inner, columns = b.size() / inner;
  std::vector<float> out(rows * columns);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t k = 0; k < inner; ++k) {
      for (size_t j = 0; j < columns; ++j) {
        out[i * columns + j] += a[i * inner + k] * b[k * columns + j];
      }
    }
  }
  return out;
}

TEST_F(FromModelTest, FloatTablesBecomeBinaryTablesAndLayers) {
  auto lstm = MakeNetwork("lstm", 1);
  // W_x of another magnitude than W_h: one scale has to serve both.
  for (float& w : lstm->lstm()[0]->weight_x().parameter.value) w *= 3;
  const Model model = Export(*lstm);
  for (const char* preset : {"belm", "bllm"}) {
    SCOPED_TRACE(preset);
    auto network = MakeNetwork(preset, 2);
    const auto report = Initialize(model, network.get());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(*report, HasSubstr("embedding: fitted by signs"));
    EXPECT_THAT(*report, HasSubstr("output_embedding: fitted by signs"));
    const bool binary = network->lstm()[0]->binary();

    // x W_x has to be what it was: with binary matrices one scale moves from W_x to the layer.
    LinearLayer<FastBackend>& in = *network->input_projection();
    std::vector<float> input = Product(Plain(network->embedding().table()),
                                       Plain(in.weight().parameter, &in.gamma()), kHidden);
    std::vector<float> target = Plain(lstm->embedding().table());
    if (binary) {
      double moved = 0, magnitude = 0;
      for (size_t i = 0; i < input.size(); ++i) {
        moved += input[i] * target[i];
        magnitude += input[i] * input[i];
      }
      for (float& x : input) x *= static_cast<float>(moved / magnitude);
      EXPECT_NEAR(moved / magnitude, 1.0 / 3, 0.1);  // Mean |W_h| / |W_x|.
    }
    EXPECT_LT(RelativeError(input, target), binary ? 0.5 : 0.35);

    // Logits: the layer after the LSTM is [H, E], the table [E, V].
    LinearLayer<FastBackend>& out = *network->output_projection();
    EXPECT_LT(RelativeError(Product(Plain(out.weight().parameter, &out.gamma()),
                                    Plain(network->output().table()), kHidden),
                            Plain(lstm->output().table())),
              binary ? 0.5 : 0.35);

    // Recurrent matrices keep their values, or signs.
    const auto& from = lstm->lstm()[0]->weight_h().parameter;
    const auto& to = network->lstm()[0]->weight_h().parameter;
    for (size_t i = 0; i < from.value.size(); ++i) {
      if (binary) {
        ASSERT_EQ(to.value[i] > 0, from.value[i] > 0) << i;
      } else {
        ASSERT_EQ(to.value[i], from.value[i]) << i;
      }
    }
    for (size_t i = 0; i < 4 * kHidden; ++i) {
      EXPECT_EQ(network->lstm()[0]->bias().value[i], lstm->lstm()[0]->bias().value[i]);
    }
  }
}

TEST_F(FromModelTest, FrequentWordsAreFittedCloserTheMoreTheirCountsWeigh) {
  auto lstm = MakeNetwork("lstm", 1);
  const Model model = Export(*lstm);
  constexpr size_t kFrequent = 30;
  std::vector<int64_t> counts(kVocabulary, 1);
  std::fill_n(counts.begin(), kFrequent, 10'000);
  const auto target = Plain(lstm->embedding().table());
  std::vector<double> errors;
  for (const double power : {0.0, 1.0}) {
    auto network = MakeNetwork("belm", 2);
    ASSERT_TRUE(
        InitializeFromModel(model, {.counts = counts, .count_power = power}, &pool_, network.get())
            .ok());
    auto fitted = Product(Plain(network->embedding().table()),
                          Plain(network->input_projection()->weight().parameter), kHidden);
    fitted.resize(kFrequent * kHidden);
    errors.push_back(RelativeError(fitted, {target.begin(), target.begin() + kFrequent * kHidden}));
  }
  EXPECT_LT(errors[1], 0.5 * errors[0]);
}

// exp(gamma) alpha is the mean magnitude of a row of {W_x, W_h}.
TEST_F(FromModelTest, BinaryRowsGetMeanMagnitudes) {
  auto lstm = MakeNetwork("lstm", 1);
  auto network = MakeNetwork("bllm", 2);
  ASSERT_TRUE(Initialize(Export(*lstm), network.get()).ok());
  const auto& x = lstm->lstm()[0]->weight_x().parameter.value;
  const auto& h = lstm->lstm()[0]->weight_h().parameter.value;
  double all_x = 0, all_h = 0;
  for (const float w : x) all_x += std::fabs(w);
  for (const float w : h) all_h += std::fabs(w);
  constexpr size_t kGates = 4 * kHidden;
  for (size_t j = 0; j < kGates; ++j) {
    double sum = 0;
    for (size_t i = j; i < x.size(); i += kGates) {
      sum += std::fabs(x[i]) * all_h / all_x + std::fabs(h[i]);
    }
    const auto& layer = network->lstm()[0];
    EXPECT_NEAR(std::exp(layer->gamma().value[j]) * layer->weight_h().parameter.alpha,
                sum / (2 * kHidden), 1e-4 * sum);
  }
}

// The float network's inputs are measured, and its gates' products come closer than without.
TEST_F(FromModelTest, MomentsAreThoseOfTheInputsAndBringGatesCloser) {
  auto lstm = MakeNetwork("lstm", 1);
  lstm->Pack();
  std::vector<std::vector<std::string>> sentences;
  for (uint64_t s = 0; s < 60; ++s) {
    sentences.emplace_back();
    for (uint64_t w = 0; w < 7; ++w) {
      sentences.back().push_back("w" + std::to_string(2 + Mix64(100 * s + w) % 20));
    }
  }
  const TokenizedCorpus corpus = TokenizeCorpus(sentences, SomeWords());
  StreamBatcher batcher(corpus, ContextKind::kSentence, kShape.streams, kShape.steps, 1,
                        /*shuffle=*/false, SomeWords().end_of_sentence_id());
  const InputMoments moments = MeasureMoments(batcher, 5, &pool_, lstm.get());
  ASSERT_EQ(moments.lstm.size(), 1u);
  ASSERT_EQ(moments.lstm[0].size(), 4u * kHidden * kHidden);
  // By hand, over the same five segments.
  constexpr size_t kBoth = 2 * kHidden;
  std::vector<double> x_moments(kHidden * kHidden);
  double z_squares = 0;
  auto state = lstm->ZeroState();
  Batch batch;
  for (int64_t i = 0; i < 5; ++i) {
    batcher.Fill(i, &batch);
    const float* z = lstm->Teach(batch, &state).z;
    for (size_t r = 0; r < batch.inputs.size(); ++r) {
      const float* row = lstm->embedding().table().value.data() + batch.inputs[r] * kHidden;
      for (size_t a = 0; a < kHidden; ++a) {
        z_squares += z[r * kHidden + a] * z[r * kHidden + a];
        for (size_t b = 0; b < kHidden; ++b) x_moments[a * kHidden + b] += row[a] * row[b];
      }
    }
  }
  const double rows = 5.0 * kShape.streams * kShape.steps;
  double trace = 0;
  for (size_t a = 0; a < kHidden; ++a) {
    trace += moments.output[a * kHidden + a];
    for (size_t b = 0; b < kHidden; ++b) {
      EXPECT_NEAR(moments.lstm[0][a * kBoth + b], x_moments[a * kHidden + b] / rows, 1e-5);
    }
  }
  EXPECT_NEAR(trace, z_squares / rows, 1e-4 * trace);
  // Without an output projection z is h.
  ASSERT_EQ(moments.z.size(), moments.output.size());
  for (size_t a = 0; a < kHidden; ++a) {
    for (size_t b = 0; b < kHidden; ++b) {
      EXPECT_NEAR(moments.z[a * kHidden + b] + moments.z_mean[a] * moments.z_mean[b],
                  moments.output[a * kHidden + b], 1e-6);
    }
  }

  const auto gate_error = [&](const InputMoments* used) {
    ModelConfig config = SmallConfig("bllm-no-i");
    config.embedding = MatrixKind::kFloat;  // Its x is that of the lstm.
    auto network = std::make_unique<Network<FastBackend>>(backend_, config, kShape);
    EXPECT_TRUE(
        InitializeFromModel(Export(*lstm),
                            {.counts = std::vector<int64_t>(kVocabulary, 3), .moments = used},
                            &pool_, network.get())
            .ok());
    auto& target = *lstm->lstm()[0];
    auto& fit = *network->lstm()[0];
    double error = 0;
    for (size_t j = 0; j < 4 * kHidden; ++j) {
      std::vector<double> d;
      for (const auto& [from, to] : {std::pair(&target.weight_x(), &fit.weight_x()),
                                     std::pair(&target.weight_h(), &fit.weight_h())}) {
        const std::vector<float> values = Plain(to->parameter, &fit.gamma());
        for (size_t i = j; i < values.size(); i += 4 * kHidden) {
          d.push_back(from->parameter.value[i] - values[i]);
        }
      }
      for (size_t a = 0; a < kBoth; ++a) {
        for (size_t b = 0; b < kBoth; ++b) error += d[a] * d[b] * moments.lstm[0][a * kBoth + b];
      }
    }
    return error;
  };
  EXPECT_LT(gate_error(&moments), 0.5 * gate_error(nullptr));
}

// [ZT] section 4.2: the float LSTM becomes a binary one with alpha = mean |W|; biases stay.
TEST_F(FromModelTest, BinaryWeightLstmTakesMatricesAndBiases) {
  auto lstm = MakeNetwork("lstm", 1);
  auto& from = *lstm->lstm()[0];
  from.weight_x().parameter.value[5] = 1.5;  // Latent values stop at 1.
  auto network = MakeNetwork("bw-lstm", 2);
  ASSERT_TRUE(Initialize(Export(*lstm), network.get()).ok());
  auto& to = *network->lstm()[0];
  double sum = 0;
  for (size_t i = 0; i < to.weight_h().parameter.value.size(); ++i) {
    ASSERT_EQ(to.weight_h().parameter.value[i], from.weight_h().parameter.value[i]);
    sum += std::fabs(from.weight_h().parameter.value[i]);
  }
  EXPECT_EQ(to.weight_x().parameter.value[5], 1);
  EXPECT_EQ(to.weight_x().parameter.value[6], from.weight_x().parameter.value[6]);
  for (size_t i = 0; i < 4 * kHidden; ++i) EXPECT_EQ(to.bias().value[i], from.bias().value[i]);
  const Model exported = Export(*network);
  EXPECT_NEAR(exported.tensors.at("lstm.0.scale_h").f32()[0], sum / (4.0 * kHidden * kHidden),
              1e-6);
}

// Sign activations: the matrices take the magnitude that the inputs lose.
TEST_F(FromModelTest, XnorLstmTakesTheMagnitudesOfInputs) {
  auto lstm = MakeNetwork("lstm", 1);
  InputMoments moments;
  moments.lstm.emplace_back(4 * kHidden * kHidden);
  moments.lstm_mean.emplace_back(2 * kHidden);
  for (size_t i = 0; i < 2 * kHidden; ++i) {
    moments.lstm[0][i * 2 * kHidden + i] = i < kHidden ? 0.25f : 0.04f;
  }
  auto network = MakeNetwork("xnor-lstm", 2);
  ASSERT_TRUE(
      InitializeFromModel(Export(*lstm), {.moments = &moments}, &pool_, network.get()).ok());
  const double normal = std::sqrt(2 / 3.14159265358979);  // E |u| of a standard normal u.
  for (size_t i = 0; i < 50; ++i) {
    const auto value = [&](auto& layer, bool x) {
      return (x ? layer.weight_x() : layer.weight_h()).parameter.value[i];
    };
    EXPECT_NEAR(value(*network->lstm()[0], true), 0.5 * normal * value(*lstm->lstm()[0], true),
                1e-6);
    EXPECT_NEAR(value(*network->lstm()[0], false), 0.2 * normal * value(*lstm->lstm()[0], false),
                1e-6);
  }
}

// With its inputs known a batch norm comes back relative to its own statistics: evaluation computes
// what the model did, and training what evaluation does, nearly.
TEST_F(FromModelTest, BatchNormsCanBeTrainedOnFromAModel) {
  std::vector<std::vector<std::string>> sentences(40);
  for (uint64_t s = 0; s < 40; ++s) {
    for (uint64_t w = 0; w < 7; ++w) {
      sentences[s].push_back("w" + std::to_string(2 + Mix64(100 * s + w) % 20));
    }
  }
  constexpr NetworkShape kWide{.streams = 32, .steps = 10};  // All of it in one segment.
  const TokenizedCorpus corpus = TokenizeCorpus(sentences, SomeWords());
  StreamBatcher batcher(corpus, ContextKind::kDocument, kWide.streams, kWide.steps, 1,
                        /*shuffle=*/false, SomeWords().end_of_sentence_id());
  Batch batch;
  batcher.Fill(0, &batch);
  ASSERT_EQ(batcher.segments(), 1);
  const auto make = [&](const std::string& name, uint64_t seed) {
    auto network = std::make_unique<Network<FastBackend>>(backend_, SmallConfig(name), kWide);
    InitializeAtRandom({.forget_bias = 0.5}, seed, network.get());
    return network;
  };
  const auto losses = [&](Network<FastBackend>& network) {
    network.Pack();
    auto state = network.ZeroState();
    const double evaluated = network.Loss(batch, &state);
    state = network.ZeroState();
    const double trained = network.LossAndGradient(batch, {}, 1, 1, &state);
    return std::pair(evaluated, trained);
  };
  for (const auto& [from, to] :
       {std::pair("xnor-lstm-bn", "xnor-lstm-bn"), std::pair("lstm", "lstm+batch")}) {
    SCOPED_TRACE(from);
    auto source = make(from, 1);
    RandomizeNorms(*source);
    for (float& x : source->embedding().table().value) x *= 4;
    for (float& x : source->output().table().value) x *= 6;
    source->Pack();
    const InputMoments moments = MeasureMoments(batcher, 1, &pool_, source.get());
    auto state = source->ZeroState();
    const double loss = source->Loss(batch, &state);
    auto network = make(to, 2);
    ASSERT_GT(std::fabs(losses(*network).first - loss), 0.02 * loss);
    ASSERT_TRUE(
        InitializeFromModel(Export(*source), {.moments = &moments}, &pool_, network.get()).ok());
    const auto [evaluated, trained] = losses(*network);
    EXPECT_NEAR(evaluated, loss, 1e-4 * loss);
    EXPECT_NEAR(trained, loss, 0.02 * loss);
  }
}

TEST_F(FromModelTest, DifferencesAreNamed) {
  auto lstm = MakeNetwork("lstm", 1);
  auto belm = MakeNetwork("belm", 1);
  auto no_o = MakeNetwork("bllm-no-o", 1);
  const auto message = [&](Network<FastBackend>& from, Network<FastBackend>& to) {
    const auto report = Initialize(Export(from), &to);
    EXPECT_EQ(report.status().code(), absl::StatusCode::kFailedPrecondition);
    return std::string(report.status().message());
  };
  EXPECT_THAT(message(*belm, *lstm),
              HasSubstr("embedding with a linear layer, expected one without"));
  EXPECT_THAT(message(*lstm, *no_o), HasSubstr("output_embedding float, expected binary"));
  no_o->output().ScaleTable(1.2f);
  auto other = MakeNetwork("bllm-no-o", 2);
  EXPECT_THAT(message(*no_o, *other), HasSubstr("output_embedding.scale: "));
  EXPECT_TRUE(InitializeFromModel(Export(*no_o), {.untrained = true}, &pool_, other.get()).ok());
  EXPECT_NEAR(Loss(*other), Loss(*no_o), 1e-3);
  auto smaller = MakeNetwork(SmallConfig("lstm", 16, 16), 1);
  EXPECT_THAT(message(*lstm, *smaller), HasSubstr("hidden_size 24, expected 16"));
  // Only one side has a layer, and E is not H: there is no room for another.
  ModelConfig wide = SmallConfig("lstm", 16, 24);
  wide.output_projection = MatrixKind::kFloat;
  ModelConfig wide_binary = SmallConfig("belm", 16, 24);
  wide_binary.output_embedding = MatrixKind::kFloat;
  auto from = MakeNetwork(wide, 1);
  auto to = MakeNetwork(wide_binary, 1);
  EXPECT_THAT(message(*from, *to), HasSubstr("input size of the LSTM 24, expected 16"));
  auto bw = MakeNetwork("bw-lstm", 1);
  auto xnor = MakeNetwork("xnor-lstm", 1);
  auto layer = MakeNetwork("lstm+layer", 1);
  EXPECT_THAT(message(*xnor, *bw), HasSubstr("activation sign, expected real"));
  EXPECT_THAT(message(*bw, *lstm), HasSubstr("recurrent binary, expected float"));
  EXPECT_THAT(message(*lstm, *layer), HasSubstr("norm none, expected layer"));
  EXPECT_THAT(message(*layer, *lstm), HasSubstr("norm layer, expected none"));
  ModelConfig per_row = SmallConfig("bw-lstm");
  per_row.scale = ScaleKind::kPerRow;
  auto rows = MakeNetwork(per_row, 1);
  EXPECT_THAT(message(*bw, *rows), HasSubstr("scale per_matrix, expected per_row"));
  ModelConfig per_matrix = SmallConfig("bllm");
  per_matrix.scale = ScaleKind::kPerMatrix;
  auto matrices = MakeNetwork(per_matrix, 1);
  EXPECT_THAT(message(*lstm, *matrices), HasSubstr("input_projection none, expected binary"));
  for (float& w : lstm->lstm()[0]->weight_h().parameter.value) w = 0;
  auto bllm = MakeNetwork("bllm", 1);
  EXPECT_THAT(message(*lstm, *bllm), HasSubstr("lstm.0.weight_h: every value is 0"));
}

}  // namespace
}  // namespace bitlm::trainer
