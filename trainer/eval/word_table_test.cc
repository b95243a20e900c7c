#include "trainer/eval/word_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The words are w0 <unk> w2 w3 … </s>.
std::shared_ptr<Model> Random(const ModelConfig& config, uint64_t seed = 5) {
  return std::make_shared<Model>(RandomModel(config, seed));
}

WordTable Table(std::shared_ptr<const Model> model, TableKind kind = TableKind::kInput) {
  absl::StatusOr<WordTable> table = WordTable::Make(std::move(model), kind);
  EXPECT_THAT(table, IsOk());
  return *std::move(table);
}

// A float table of the given values, [6, 2].
WordTable FloatTable(const std::vector<float>& values) {
  auto model = Random(TinyConfig("lstm", 6, 2, 2));
  std::copy(values.begin(), values.end(),
            model->tensors.at("embedding.weight").mutable_f32().begin());
  return Table(model);
}

double CosineOfRows(const std::vector<float>& x, const std::vector<float>& y) {
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += static_cast<double>(x[i]) * y[i];
    xx += static_cast<double>(x[i]) * x[i];
    yy += static_cast<double>(y[i]) * y[i];
  }
  return xy / std::sqrt(xx * yy);
}

TEST(WordTableTest, CosinesOfAFloatTableByHand) {
  const WordTable table = FloatTable({3, 0, 9, 9, 0, 0.5f, 2, 2, -1, 0, 0, 0});
  EXPECT_THAT(table.Row(3), ElementsAre(2, 2));
  EXPECT_EQ(table.Description(), "float");
  EXPECT_EQ(table.Cosine(0, 0), 1);
  EXPECT_EQ(table.Cosine(0, 2), 0);
  EXPECT_NEAR(table.Cosine(0, 3), std::sqrt(0.5), 1e-15);
  EXPECT_EQ(table.Cosine(4, 0), -1);
  EXPECT_EQ(table.Cosine(5, 0), 0) << "a row of zeros";
  EXPECT_EQ(table.Cosine(5, 5), 0);
  EXPECT_FALSE(table.HammingDistance(0, 2).has_value());
}

TEST(WordTableTest, CosinesOfABinaryTableCountEqualSigns) {
  auto model = Random(TinyConfig("bllm", 5, 11, 4));
  // Rows of two bytes, columns 0 to 7 and 8 to 10: w3 differs from w0 in columns 0, 7 and 10, and
  // w2 in all.
  auto bits = model->tensors.at("embedding.weight").mutable_u8();
  ASSERT_EQ(bits.size(), 10u);
  const std::vector<uint8_t> values{0b10000001, 0b100, 0, 0, 0b01111110, 0b011, 0, 0b000, 0, 0};
  std::copy(values.begin(), values.end(), bits.begin());
  model->tensors.at("embedding.scale").mutable_f32()[0] = 0.25f;
  const WordTable table = Table(model);
  EXPECT_EQ(table.Description(), "binary");
  EXPECT_THAT(table.Row(0), ElementsAre(0.25f, -0.25f, -0.25f, -0.25f, -0.25f, -0.25f, -0.25f,
                                        0.25f, -0.25f, -0.25f, 0.25f));
  EXPECT_EQ(table.Cosine(0, 0), 1);
  EXPECT_EQ(table.HammingDistance(0, 3), 3);
  EXPECT_EQ(table.Cosine(0, 3), 5.0 / 11);
  EXPECT_EQ(table.HammingDistance(0, 2), 11);
  EXPECT_EQ(table.Cosine(0, 2), -1);
}

TEST(WordTableTest, LongRowsAgreeWithTheirEffectiveValues) {
  // 137 columns: two words of 64 bits, and a byte with one bit.
  for (const int planes : {1, 2, 3}) {
    ModelConfig config = TinyConfig("bllm", 9, 137, 8);
    config.preset = "custom";
    config.bit_planes = planes;
    const WordTable table = Table(Random(config));
    for (TokenId a = 0; a < 9; ++a) {
      for (TokenId b = 0; b < 9; ++b) {
        EXPECT_NEAR(table.Cosine(a, b), CosineOfRows(table.Row(a), table.Row(b)), 1e-6);
        EXPECT_EQ(table.Cosine(a, b), table.Cosine(b, a));
      }
    }
    EXPECT_EQ(table.HammingDistance(0, 1).has_value(), planes == 1);
  }
}

TEST(WordTableTest, RowsOfPlanesAreSumsOfPlanes) {
  ModelConfig config = TinyConfig("bllm", 4, 3, 8);
  config.preset = "custom";
  config.bit_planes = 2;
  auto model = Random(config);
  auto bits = model->tensors.at("embedding.weight").mutable_u8();
  ASSERT_EQ(bits.size(), 8u);
  bits[2] = 0b101;      // Plane 0, w2.
  bits[4 + 2] = 0b011;  // Plane 1.
  auto scales = model->tensors.at("embedding.scale").mutable_f32();
  scales[0] = 1;
  scales[1] = 0.25f;
  const WordTable table = Table(model);
  EXPECT_THAT(table.Row(2), ElementsAre(1.25f, -0.75f, 0.75f));
  EXPECT_EQ(table.Description(), "binary, 2 planes");
}

TEST(WordTableTest, TheOutputTableIsItsOwnUnlessTied) {
  auto model = Random(TinyConfig("bllm", 9, 13, 8));
  EXPECT_NE(Table(model).Row(3), Table(model, TableKind::kOutput).Row(3));
  auto plain = Random(TinyConfig("lstm", 9, 8, 8));
  const auto output = plain->tensors.at("output_embedding.weight").f32();
  EXPECT_THAT(Table(plain, TableKind::kOutput).Row(1),
              ::testing::ElementsAreArray(output.subspan(8, 8)));
  ModelConfig config = TinyConfig("bllm", 9, 13, 8);
  config.preset = "custom";
  config.output_embedding = MatrixKind::kTied;
  model = Random(config);
  model->tensors.at("embedding.scale").mutable_f32()[0] = 1;
  model->tensors.at("output_embedding.scale").mutable_f32()[0] = 3;
  const std::vector<float> in = Table(model).Row(3);
  std::vector<float> three_times = in;
  for (float& x : three_times) x *= 3;
  EXPECT_EQ(Table(model, TableKind::kOutput).Row(3), three_times);
  config = TinyConfig("lstm", 9, 8, 8);
  config.preset = "custom";
  config.output_embedding = MatrixKind::kTied;
  model = Random(config);
  EXPECT_EQ(Table(model).Row(3), Table(model, TableKind::kOutput).Row(3));
}

TEST(WordTableTest, AClassifierHasNoOutputTableOfWords) {
  ModelConfig config = TinyConfig("bllm", 9, 13, 8);
  config.head = HeadKind::kClassifier;
  config.classes = 2;
  const auto model = Random(config);
  EXPECT_THAT(WordTable::Make(model, TableKind::kOutput),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("classes, not words")));
  EXPECT_THAT(WordTable::Make(model, TableKind::kInput), IsOk());
}

TEST(WordTableTest, BinarizedByTheMeansOfColumns) {
  // Means 2 and 3.
  const WordTable table = FloatTable({1, 3, 3, 4, 2, 2, 6, 0, 0, 0, 0, 9}).BinarizedByMean();
  EXPECT_EQ(table.Description(), "binary");
  EXPECT_THAT(table.Row(0), ElementsAre(-1, -1));
  EXPECT_THAT(table.Row(1), ElementsAre(1, 1));
  EXPECT_THAT(table.Row(2), ElementsAre(-1, -1));
  EXPECT_THAT(table.Row(3), ElementsAre(1, -1));
  EXPECT_THAT(table.Row(5), ElementsAre(-1, 1));
  EXPECT_EQ(table.Cosine(0, 2), 1);
  EXPECT_EQ(table.Cosine(0, 3), 0);
}

TEST(WordTableTest, NearestFirstTiesByIdWithoutSpecialWords) {
  // <unk> (1) and </s> (5) lie on w0; w2 and w4 are equally far.
  const WordTable table = FloatTable({1, 0, 1, 0, 1, 1, 4, 1, 2, 2, 1, 0});
  const auto words = [](const std::vector<Neighbour>& neighbours) {
    std::vector<TokenId> ids;
    for (const Neighbour& neighbour : neighbours) ids.push_back(neighbour.word);
    return ids;
  };
  EXPECT_THAT(words(table.Nearest(0, 100)), ElementsAre(3, 2, 4));
  EXPECT_THAT(words(table.Nearest(0, 2)), ElementsAre(3, 2));
  EXPECT_EQ(table.Nearest(0, 1)[0].cosine, table.Cosine(0, 3));
  EXPECT_THAT(words(table.Nearest(5, 2)), ElementsAre(0, 3)) << "asked for by name";
  EXPECT_TRUE(table.Nearest(0, 0).empty());
}

}  // namespace
}  // namespace bitlm::trainer
