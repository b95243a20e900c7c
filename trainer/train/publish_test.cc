#include "trainer/train/publish.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>

#include "engine/base/thread_pool.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"
#include "trainer/export/binarize.h"
#include "trainer/export/quantize.h"

namespace bitlm::trainer {
namespace {

Model NamedModel(const std::string& name) {
  ModelConfig config = TinyConfig("belm", 60, 9, 20);
  config.layers = 2;
  Model model = RandomModel(config, 3);
  model.metadata.name = name;
  return model;
}

std::string WriteText(const TemporaryDirectory& directory) {
  std::string text = directory.Path("valid.txt");
  std::ofstream file(text);
  for (int line = 0; line < 50; ++line) {
    for (int word = 0; word < 6; ++word) file << "w" << (line * 7 + word * word) % 50 << " ";
    file << "\n";
  }
  file.close();
  return text;
}

TEST(PublishModelTest, AQuantizedModelHasNearlyThePerplexityOfTheFloatOne) {
  const TemporaryDirectory directory;
  const std::string text = WriteText(directory);
  ThreadPool pool(1);
  ASSERT_OK_AND_ASSIGN(Model quantized, QuantizeRecurrent(NamedModel("int8")));
  ASSERT_OK_AND_ASSIGN(const TextScore before,
                       PublishModel(NamedModel("float"), directory.Path("m"), text, &pool));
  ASSERT_OK_AND_ASSIGN(const TextScore after,
                       PublishModel(std::move(quantized), directory.Path("m"), text, &pool));
  EXPECT_NE(after.perplexity, before.perplexity);
  // Weights of at most 0.3 are off by at most half of 0.3 / 127, 0.4 % of them: so are the gates,
  // and logits no more than those.
  EXPECT_NEAR(std::log(after.perplexity), std::log(before.perplexity), 0.004);
  ASSERT_OK_AND_ASSIGN(const auto written, ReadModel(directory.Path("m/int8/1")));
  EXPECT_EQ(written->config.recurrent, MatrixKind::kInt8);
  EXPECT_EQ(written->metadata.valid_perplexity, after.perplexity);
  EXPECT_FALSE(written->golden.empty());
}

// A table that already is mean + scale * signs is kept as it is, and the mean in the next layer's
// bias: with and without a projection behind the table.
TEST(PublishModelTest, AModelOfSignsHasThePerplexityOfTheFloatOneThatHasThem) {
  const TemporaryDirectory directory;
  const std::string text = WriteText(directory);
  ThreadPool pool(1);
  for (const MatrixKind projection : {MatrixKind::kNone, MatrixKind::kFloat}) {
    ModelConfig config = TinyConfig("lstm", 60, 20, 20);
    config.input_projection = projection;
    Model model = RandomModel(config, 3);
    model.metadata.name = "float";
    const auto values = model.tensors.at("embedding.weight").mutable_f32();
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t row = i / 20, d = i % 20;
      // As many signs of each kind in each dimension, so that the mean is the mean.
      const bool plus = (row / 2 + row * (d % 3) + d) % 2 == 0;
      values[i] = 0.1f * static_cast<float>(d) - 0.7f + (plus ? 0.25f : -0.25f);
    }
    ASSERT_OK_AND_ASSIGN(Model binary, BinarizeEmbedding(model));
    EXPECT_NEAR(binary.tensors.at("embedding.scale").f32()[0], 0.25, 1e-6);
    binary.metadata.name = "signs";
    ASSERT_OK_AND_ASSIGN(const TextScore before,
                         PublishModel(std::move(model), directory.Path("m"), text, &pool));
    ASSERT_OK_AND_ASSIGN(const TextScore after,
                         PublishModel(std::move(binary), directory.Path("m"), text, &pool));
    // Floats: the mean is added before the sum over the inputs, or in it.
    EXPECT_NEAR(std::log(after.perplexity), std::log(before.perplexity), 1e-5);
  }
}

}  // namespace
}  // namespace bitlm::trainer
