#include "trainer/eval/word_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace bitlm::trainer {

WordTable::WordTable(std::shared_ptr<const Model> model)
    : model_(std::move(model)), columns_(model_->config.embedding_size) {}

absl::StatusOr<WordTable> WordTable::Make(std::shared_ptr<const Model> model, TableKind kind) {
  const ModelConfig& config = model->config;
  if (kind == TableKind::kOutput && config.head == HeadKind::kClassifier) {
    return absl::FailedPreconditionError(
        "the output table of a classifier holds classes, not words");
  }
  const bool separate = kind == TableKind::kOutput && config.output_embedding != MatrixKind::kTied;
  const MatrixKind matrix = separate ? config.output_embedding : config.embedding;
  const Tensor& weight =
      model->tensors.at(separate ? "output_embedding.weight" : "embedding.weight");
  WordTable table(model);
  if (matrix == MatrixKind::kBinary) {
    const Tensor& scale = model->tensors.at(kind == TableKind::kOutput ? "output_embedding.scale"
                                                                       : "embedding.scale");
    table.signs_.assign(weight.u8().begin(), weight.u8().end());
    table.scales_.assign(scale.f32().begin(), scale.f32().end());
  } else {
    table.values_ = weight.f32();
  }
  table.ComputeSquares();
  return table;
}

WordTable WordTable::BinarizedByMean() const {
  WordTable table(model_);
  const size_t row_bytes = (static_cast<size_t>(columns_) + 7) / 8;
  const TokenId words = vocabulary().size();
  std::vector<double> means(static_cast<size_t>(columns_));
  for (TokenId word = 0; word < words; ++word) {
    const std::vector<float> row = Row(word);
    for (size_t c = 0; c < row.size(); ++c) means[c] += row[c];
  }
  for (double& mean : means) mean /= words;
  table.signs_.resize(static_cast<size_t>(words) * row_bytes);
  table.scales_ = {1};
  for (TokenId word = 0; word < words; ++word) {
    const std::vector<float> row = Row(word);
    uint8_t* bits = &table.signs_[static_cast<size_t>(word) * row_bytes];
    for (size_t c = 0; c < row.size(); ++c) {
      if (row[c] > means[c]) bits[c / 8] |= static_cast<uint8_t>(1u << (c % 8));
    }
  }
  table.ComputeSquares();
  return table;
}

std::string WordTable::Description() const {
  if (scales_.empty()) return "float";
  if (scales_.size() == 1) return "binary";
  return absl::StrCat("binary, ", scales_.size(), " planes");
}

const uint8_t* WordTable::Signs(size_t plane, TokenId word) const {
  const size_t row = plane * static_cast<size_t>(vocabulary().size()) + static_cast<size_t>(word);
  return &signs_[row * ((static_cast<size_t>(columns_) + 7) / 8)];
}

std::vector<float> WordTable::Row(TokenId word) const {
  const size_t n = static_cast<size_t>(columns_);
  if (scales_.empty()) {
    const auto row = values_.subspan(static_cast<size_t>(word) * n, n);
    return {row.begin(), row.end()};
  }
  std::vector<float> row(n);
  for (size_t p = 0; p < scales_.size(); ++p) {
    const uint8_t* bits = Signs(p, word);
    const float scale = static_cast<float>(scales_[p]);
    for (size_t c = 0; c < n; ++c) row[c] += (bits[c / 8] >> (c % 8) & 1) != 0 ? scale : -scale;
  }
  return row;
}

int64_t WordTable::SignProduct(size_t p, TokenId a, size_t q, TokenId b) const {
  const uint8_t* x = Signs(p, a);
  const uint8_t* y = Signs(q, b);
  const size_t bytes = (static_cast<size_t>(columns_) + 7) / 8;
  int64_t different = 0;
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    uint64_t u, v;
    std::memcpy(&u, x + i, 8);
    std::memcpy(&v, y + i, 8);
    different += std::popcount(u ^ v);
  }
  // The bits after the last column are 0 in both.
  for (; i < bytes; ++i) different += std::popcount(static_cast<uint8_t>(x[i] ^ y[i]));
  return columns_ - 2 * different;
}

double WordTable::Product(TokenId a, TokenId b) const {
  double sum = 0;
  if (scales_.empty()) {
    const size_t n = static_cast<size_t>(columns_);
    const float* x = &values_[static_cast<size_t>(a) * n];
    const float* y = &values_[static_cast<size_t>(b) * n];
    for (size_t c = 0; c < n; ++c) sum += static_cast<double>(x[c]) * static_cast<double>(y[c]);
    return sum;
  }
  for (size_t p = 0; p < scales_.size(); ++p) {
    sum += scales_[p] * scales_[p] * static_cast<double>(SignProduct(p, a, p, b));
    // Both orders of two planes in one integer: a and b may change places.
    for (size_t q = 0; q < p; ++q) {
      sum += scales_[p] * scales_[q] *
             static_cast<double>(SignProduct(p, a, q, b) + SignProduct(q, a, p, b));
    }
  }
  return sum;
}

void WordTable::ComputeSquares() {
  squares_.resize(static_cast<size_t>(vocabulary().size()));
  for (TokenId word = 0; word < vocabulary().size(); ++word) {
    squares_[static_cast<size_t>(word)] = Product(word, word);
  }
}

double WordTable::Cosine(TokenId a, TokenId b) const {
  if (scales_.size() == 1) {
    return scales_[0] == 0 ? 0 : static_cast<double>(SignProduct(0, a, 0, b)) / columns_;
  }
  const double squares = squares_[static_cast<size_t>(a)] * squares_[static_cast<size_t>(b)];
  return squares > 0 ? std::clamp(Product(a, b) / std::sqrt(squares), -1.0, 1.0) : 0;
}

std::optional<int> WordTable::HammingDistance(TokenId a, TokenId b) const {
  if (scales_.size() != 1) return std::nullopt;
  return static_cast<int>((columns_ - SignProduct(0, a, 0, b)) / 2);
}

std::vector<Neighbour> WordTable::Nearest(TokenId word, int count) const {
  std::vector<Neighbour> neighbours;
  for (TokenId other = 0; other < vocabulary().size(); ++other) {
    if (other == word || other == vocabulary().unknown_id() ||
        other == vocabulary().end_of_sentence_id()) {
      continue;
    }
    neighbours.push_back({.word = other, .cosine = Cosine(word, other)});
  }
  const size_t kept = std::min(neighbours.size(), static_cast<size_t>(std::max(count, 0)));
  std::partial_sort(neighbours.begin(), neighbours.begin() + static_cast<ptrdiff_t>(kept),
                    neighbours.end(), [](const Neighbour& a, const Neighbour& b) {
                      return a.cosine != b.cosine ? a.cosine > b.cosine : a.word < b.word;
                    });
  neighbours.resize(kept);
  return neighbours;
}

}  // namespace bitlm::trainer
