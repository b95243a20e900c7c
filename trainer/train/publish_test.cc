#include "trainer/train/publish.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>

#include "engine/base/thread_pool.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"
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

TEST(PublishModelTest, AQuantizedModelHasNearlyThePerplexityOfTheFloatOne) {
  const TemporaryDirectory directory;
  const std::string text = directory.Path("valid.txt");
  std::ofstream file(text);
  for (int line = 0; line < 50; ++line) {
    for (int word = 0; word < 6; ++word) file << "w" << (line * 7 + word * word) % 50 << " ";
    file << "\n";
  }
  file.close();
  ThreadPool pool(1);
  ASSERT_OK_AND_ASSIGN(Model quantized, QuantizeRecurrent(NamedModel("int8")));
  ASSERT_OK_AND_ASSIGN(const double before,
                       PublishModel(NamedModel("float"), directory.Path("m"), text, &pool));
  ASSERT_OK_AND_ASSIGN(const double after,
                       PublishModel(std::move(quantized), directory.Path("m"), text, &pool));
  EXPECT_NE(after, before);
  // Weights of at most 0.3 are off by at most half of 0.3 / 127, 0.4 % of them: so are the gates,
  // and logits no more than those.
  EXPECT_NEAR(std::log(after), std::log(before), 0.004);
  ASSERT_OK_AND_ASSIGN(const auto written, ReadModel(directory.Path("m/int8/1")));
  EXPECT_EQ(written->config.recurrent, MatrixKind::kInt8);
  EXPECT_EQ(written->metadata.valid_perplexity, after);
  EXPECT_FALSE(written->golden.empty());
}

}  // namespace
}  // namespace bitlm::trainer
