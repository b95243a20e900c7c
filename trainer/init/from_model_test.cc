#include "trainer/init/from_model.h"

#include <algorithm>

#include "trainer/data/corpus.h"
#include "trainer/data/stream_batcher.h"
#include "trainer/init/from_model_testing.h"

namespace bitlm::trainer::from_model {
namespace {

using testing::HasSubstr;

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

TEST_F(FromModelTest, ATiedTableServesAsBothTables) {
  ModelConfig tied = SmallConfig("lstm");
  tied.preset = "custom";
  tied.output_embedding = MatrixKind::kTied;
  auto source = MakeNetwork(tied, 1);
  for (float& w : source->embedding().table().value) w *= 5;
  const Model model = Export(*source);
  auto lstm = MakeNetwork("lstm", 2);
  const double loss = Loss(*source);
  ASSERT_GT(std::fabs(Loss(*lstm) - loss), 0.1);
  const auto report = Initialize(model, lstm.get());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_NEAR(Loss(*lstm), loss, 1e-5 * loss);

  // A binary network starts from it as from the network with two equal tables.
  auto expected = MakeNetwork("bllm", 3), network = MakeNetwork("bllm", 4);
  ASSERT_TRUE(Initialize(Export(*lstm), expected.get()).ok());
  ASSERT_TRUE(Initialize(model, network.get()).ok());
  EXPECT_NEAR(Loss(*network), Loss(*expected), 1e-5 * loss);
}

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
  // Planes count where the model has a binary matrix: those of a float one can be any.
  ModelConfig planes = SmallConfig("belm");
  planes.bit_planes = 3;
  auto three = MakeNetwork(planes, 1);
  planes.recurrent = MatrixKind::kBinary;
  planes.recurrent_planes = 2;
  auto both = MakeNetwork(planes, 1);
  EXPECT_TRUE(Initialize(Export(*three), both.get()).ok());
  planes.recurrent_planes = 3;
  auto more = MakeNetwork(planes, 1);
  EXPECT_THAT(message(*both, *more), HasSubstr("recurrent_planes 2, expected 3"));
  for (float& w : lstm->lstm()[0]->weight_h().parameter.value) w = 0;
  auto bllm = MakeNetwork("bllm", 1);
  EXPECT_THAT(message(*lstm, *bllm), HasSubstr("lstm.0.weight_h: every value is 0"));
}

}  // namespace
}  // namespace bitlm::trainer::from_model
