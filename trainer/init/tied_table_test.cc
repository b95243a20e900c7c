#include "trainer/init/tied_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "trainer/data/corpus.h"
#include "trainer/data/stream_batcher.h"
#include "trainer/export/exporter.h"
#include "trainer/init/matrices.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

constexpr int kVocabulary = 300, kHidden = 40, kEmbedding = 24;
constexpr NetworkShape kShape{.streams = 8, .steps = 6};

ModelConfig TiedConfig(MatrixKind table, MatrixKind projection, MatrixKind recurrent) {
  ModelConfig config = PresetConfig("lstm").value();
  config.preset = "custom";
  config.hidden_size = kHidden;
  config.embedding_size = projection == MatrixKind::kNone ? kHidden : kEmbedding;
  config.vocabulary_size = kVocabulary;
  config.embedding = table;
  config.output_embedding = MatrixKind::kTied;
  config.output_projection = projection;
  config.recurrent = recurrent;
  config.output_bias = true;
  return config;
}

Vocabulary SomeWords() {
  std::vector<std::string> words{"<unk>", "</s>"};
  while (words.size() < kVocabulary) words.push_back("w" + std::to_string(words.size()));
  return Vocabulary::FromWords(words).value();
}

class TiedTableTest : public testing::Test {
 protected:
  TiedTableTest() {
    std::vector<std::vector<std::string>> sentences;
    for (uint64_t s = 0; s < 100; ++s) {
      sentences.emplace_back();
      for (uint64_t w = 0; w < 7; ++w) {
        const uint64_t word = 2 + Mix64(100 * s + w) % (kVocabulary - 2);
        sentences.back().push_back("w" + std::to_string(word));
      }
    }
    corpus_ = TokenizeCorpus(sentences, SomeWords());
    batcher_ = std::make_unique<StreamBatcher>(corpus_, ContextKind::kSentence, kShape.streams,
                                               kShape.steps, 1, /*shuffle=*/false,
                                               SomeWords().end_of_sentence_id());
  }

  // A float network as after training, packed: logits of some size, and nothing 0.
  std::unique_ptr<Network<FastBackend>> FloatNetwork(MatrixKind projection) {
    auto network = std::make_unique<Network<FastBackend>>(
        backend_, TiedConfig(MatrixKind::kFloat, projection, MatrixKind::kFloat), kShape);
    uint64_t key = 1;
    for (Parameter<float>* p : network->Parameters()) {
      for (size_t i = 0; i < p->value.size(); ++i) {
        p->value[i] = static_cast<float>(0.3 * GaussianAt(key, i));
      }
      ++key;
    }
    network->Pack();
    return network;
  }
  std::unique_ptr<Network<FastBackend>> From(const Model& model, const ModelConfig& config,
                                             const FitOptions& options) {
    auto network = std::make_unique<Network<FastBackend>>(backend_, config, kShape);
    const auto report = InitializeFromModel(model, options, &pool_, network.get());
    EXPECT_TRUE(report.ok()) << report.status();
    network->Pack();
    return network;
  }
  FitOptions Options() { return {.counts = std::vector<int64_t>(kVocabulary, 3)}; }

  // What `network`'s distributions lack of those of `teacher`, nats a word.
  double Divergence(Network<FastBackend>& teacher, Network<FastBackend>& network) {
    Batch batch;
    auto state = network.ZeroState(), teacher_state = teacher.ZeroState();
    double sum = 0;
    for (int64_t i = 0; i < 4; ++i) {
      batcher_->Fill(i, &batch);
      const Teacher<float> taught = teacher.Teach(batch, &teacher_state);
      network.LossAndGradient(batch, {}, 0, 1, &state,
                              {.teachers = {taught}, .weight = 1, .temperature = 1});
      network.embedding().ClearGradient();
      sum += network.distillation_loss();
    }
    return sum / (4.0 * kShape.streams * kShape.steps);
  }

  ThreadPool pool_{2};
  FastBackend backend_{Precision::kFloat32, &pool_};
  TokenizedCorpus corpus_;
  std::unique_ptr<StreamBatcher> batcher_;
};

// Where M goes is all that can go wrong beside the fit, which sign_factors_test checks: a binary
// table and float matrices compute almost what the float model does, far closer than signs in its
// place; binary matrices are in between.
TEST_F(TiedTableTest, NetworksStartCloseToTheFloatOne) {
  for (const MatrixKind projection : {MatrixKind::kFloat, MatrixKind::kNone}) {
    SCOPED_TRACE(ToString(projection));
    auto source = FloatNetwork(projection);
    auto teacher = FloatNetwork(projection);
    const double entropy = Divergence(*teacher, *source);
    const Model model = *ExportModel(*source, SomeWords(), ModelMetadata{});
    const InputMoments moments = MeasureMoments(*batcher_, 10, &pool_, source.get());
    FitOptions options = Options();
    options.moments = &moments;
    const auto tied = FactorTiedTable(model, options, {}, &pool_);
    ASSERT_TRUE(tied.ok()) << tied.status();
    EXPECT_GT(tied->error, 0.0);
    EXPECT_LT(tied->error, 0.3);

    // Signs times one magnitude, and the layers as they are.
    auto naive = FloatNetwork(projection);
    auto& table = naive->embedding().table().value;
    double magnitude = 0;
    for (const float x : table) magnitude += std::fabs(x) / static_cast<double>(table.size());
    for (float& x : table) x = static_cast<float>(x > 0 ? magnitude : -magnitude);
    naive->Pack();
    const double naive_divergence = Divergence(*teacher, *naive) - entropy;
    EXPECT_GT(naive_divergence, 0.02);

    ModelConfig config = tied->model.config;
    EXPECT_EQ(config.output_projection, MatrixKind::kFloat);
    auto start = From(tied->model, config, Options());
    SetLatentTable(tied->latent, start.get());
    start->Pack();
    const double divergence = Divergence(*teacher, *start) - entropy;
    EXPECT_LT(divergence, 0.6 * naive_divergence);

    const InputMoments of_signs = MeasureMoments(*batcher_, 10, &pool_, start.get());
    options.moments = &of_signs;
    config.recurrent = config.output_projection = MatrixKind::kBinary;
    auto binary = From(tied->model, config, options);
    EXPECT_LT(Divergence(*teacher, *binary) - entropy, naive_divergence);
    // x is scaled, so that one scale of a row serves W_x and W_h.
    EXPECT_NE(binary->embedding().gamma()->value[0], 0);
  }
}

// With fitted scales latent values take the place of margins: planes are closer than signs, and
// soft ones (here: none) compute what the float model does.
TEST_F(TiedTableTest, FittedScalesStartFromCodesAndSoftPlanesFromTheTableItself) {
  auto source = FloatNetwork(MatrixKind::kFloat);
  auto teacher = FloatNetwork(MatrixKind::kFloat);
  const double entropy = Divergence(*teacher, *source);
  const Model model = *ExportModel(*source, SomeWords(), ModelMetadata{});
  FitOptions options = Options();
  double last = 1e9;
  for (const int planes : {1, 2, 3, 0}) {
    SCOPED_TRACE(planes);
    const bool exact = planes == 0;
    NetworkShape shape = kShape;
    shape.fitted_scales = true;
    ModelConfig config = TiedConfig(MatrixKind::kBinary, MatrixKind::kFloat, MatrixKind::kFloat);
    config.bit_planes = std::max(1, planes);
    const InputMoments moments = MeasureMoments(*batcher_, 10, &pool_, source.get());
    options.moments = &moments;
    const auto tied =
        FactorTiedTable(model, options, {.planes = std::max(1, planes), .exact = exact}, &pool_);
    ASSERT_TRUE(tied.ok()) << tied.status();
    EXPECT_EQ(tied->error == 0, exact);
    options.moments = nullptr;
    Network<FastBackend> network(backend_, config, shape);
    ASSERT_TRUE(InitializeFromModel(tied->model, options, &pool_, &network).ok());
    SetLatentTable(tied->latent, &network);
    if (exact) network.set_hardness(0);
    network.Pack();
    const double divergence = Divergence(*teacher, network) - entropy;
    EXPECT_LT(divergence, exact ? 1e-4 : 0.6 * last);
    last = divergence;
  }
}

// The new table may be narrower or wider: the wider, the closer.
TEST_F(TiedTableTest, MayHaveAnotherWidth) {
  auto source = FloatNetwork(MatrixKind::kFloat);
  auto teacher = FloatNetwork(MatrixKind::kFloat);
  const double entropy = Divergence(*teacher, *source);
  const Model model = *ExportModel(*source, SomeWords(), ModelMetadata{});
  FitOptions options = Options();
  const InputMoments moments = MeasureMoments(*batcher_, 10, &pool_, source.get());
  const int size = model.config.embedding_size;
  double last = 1e9;
  for (const int width : {size / 2, size, 2 * size}) {
    SCOPED_TRACE(width);
    options.moments = &moments;
    const auto tied = FactorTiedTable(model, options, {.planes = 2, .size = width}, &pool_);
    ASSERT_TRUE(tied.ok()) << tied.status();
    EXPECT_EQ(tied->model.config.embedding_size, width);
    for (const TensorSpec& spec : RequiredTensors(tied->model.config))
      EXPECT_EQ(tied->model.tensors.at(spec.name).shape, spec.shape) << spec.name;
    options.moments = nullptr;
    ModelConfig config = TiedConfig(MatrixKind::kBinary, MatrixKind::kFloat, MatrixKind::kFloat);
    config.bit_planes = 2;
    config.embedding_size = width;
    Network<FastBackend> network(backend_, config, kShape);
    ASSERT_TRUE(InitializeFromModel(tied->model, options, &pool_, &network).ok());
    SetLatentTable(tied->latent, &network);
    network.Pack();
    const double divergence = Divergence(*teacher, network) - entropy;
    EXPECT_LT(divergence, 0.8 * last);
    last = divergence;
  }
  const auto exact = FactorTiedTable(model, options, {.size = size / 2, .exact = true}, &pool_);
  EXPECT_EQ(exact.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(exact.status().message()), HasSubstr("embedding_size"));
}

// The tensors are those of a model that can be written, of signs with margins for latent values.
TEST_F(TiedTableTest, MarginsBecomeLatentValuesOfTheSameSigns) {
  auto source = FloatNetwork(MatrixKind::kFloat);
  const Model model = *ExportModel(*source, SomeWords(), ModelMetadata{});
  const auto tied = FactorTiedTable(model, Options(), {}, &pool_);
  ASSERT_TRUE(tied.ok()) << tied.status();
  for (const TensorSpec& spec : RequiredTensors(tied->model.config)) {
    ASSERT_TRUE(tied->model.tensors.contains(spec.name)) << spec.name;
    EXPECT_EQ(tied->model.tensors.at(spec.name).shape, spec.shape) << spec.name;
    EXPECT_EQ(tied->model.tensors.at(spec.name).dtype, spec.dtype) << spec.name;
  }
  EXPECT_EQ(tied->model.tensors.size(), RequiredTensors(tied->model.config).size());
  auto network = From(tied->model, tied->model.config, Options());
  const Parameter<float>& table = network->embedding().table();
  const Values before(table.value.begin(), table.value.end());
  SetLatentTable(tied->latent, network.get());
  double mean = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    ASSERT_EQ(before[i] > 0, table.value[i] > 0) << i;
    mean += std::fabs(table.value[i]) / static_cast<double>(before.size());
  }
  EXPECT_NEAR(mean, table.alpha / 2, 0.05 * table.alpha);
}

TEST_F(TiedTableTest, IsNeededForAFloatTableThatBecomesBinary) {
  const ModelConfig from = TiedConfig(MatrixKind::kFloat, MatrixKind::kFloat, MatrixKind::kFloat);
  ModelConfig to = TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary);
  EXPECT_TRUE(NeedsTiedTable(from, to));
  EXPECT_FALSE(NeedsTiedTable(to, to));
  EXPECT_FALSE(NeedsTiedTable(from, from));
  to.embedding_size = 32;
  EXPECT_TRUE(NeedsTiedTable(from, to));
  to.hidden_size = 32;
  EXPECT_FALSE(NeedsTiedTable(from, to));
  auto source = FloatNetwork(MatrixKind::kFloat);
  const auto tied =
      FactorTiedTable(*ExportModel(*source, SomeWords(), ModelMetadata{}), {}, {}, &pool_);
  EXPECT_EQ(tied.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tied.status().message()), HasSubstr("counts"));
}

}  // namespace
}  // namespace bitlm::trainer
