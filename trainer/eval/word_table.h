// WordTable: the vectors of a model's words, and which of them are near each other.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model.h"

namespace bitlm::trainer {

enum class TableKind {
  kInput,   // embedding.weight, W_e.
  kOutput,  // output_embedding.weight, W_y; of tied tables the input table with its output scale.
};

struct Neighbour {
  TokenId word = 0;
  double cosine = 0;
};

// The rows of one word table, [V, E], as their effective values: of a binary table the sum over its
// planes of scale * sign. Immutable, thread-safe; keeps the model alive.
class WordTable {
 public:
  // Errors: FAILED_PRECONDITION for the output table of a classifier, whose rows are classes.
  static absl::StatusOr<WordTable> Make(std::shared_ptr<const Model> model, TableKind kind);

  // The table with one bit a value: 1 where it is above the mean of its column, else -1 ([LCY18]
  // section 4.4, "LSTM-bin": the simple way, which loses what training with signs keeps).
  WordTable BinarizedByMean() const;

  const Vocabulary& vocabulary() const { return model_->vocabulary; }
  int columns() const { return columns_; }
  // "float", "binary", "binary, 2 planes".
  std::string Description() const;

  // The effective values of a word's row, [E].
  std::vector<float> Row(TokenId word) const;

  // Cosine of two rows, in [-1, 1]; 0 where a row is all zeros. Of binary tables it comes from
  // counts of equal signs, so words at the same distance have the same cosine, to the bit: with one
  // plane it is 1 - 2 * Hamming distance / E. Cost: O(E).
  double Cosine(TokenId a, TokenId b) const;

  // Signs in which two rows differ, of a binary table with one plane.
  std::optional<int> HammingDistance(TokenId a, TokenId b) const;

  // The `count` words (or all, when there are fewer) whose rows are nearest to that of `word` by
  // cosine, nearest first, ties by lower id; neither `word` itself nor <unk> and </s>. Cost: O(VE).
  std::vector<Neighbour> Nearest(TokenId word, int count) const;

 private:
  explicit WordTable(std::shared_ptr<const Model> model);
  // Sum over columns of sign * sign, of plane p of row a and plane q of row b.
  int64_t SignProduct(size_t p, TokenId a, size_t q, TokenId b) const;
  double Product(TokenId a, TokenId b) const;
  const uint8_t* Signs(size_t plane, TokenId word) const;
  void ComputeSquares();

  std::shared_ptr<const Model> model_;
  int columns_ = 0;
  std::span<const float> values_;  // [V, E] of a float table, in the model.
  std::vector<uint8_t> signs_;     // [P, V, ceil(E / 8)] of a binary one, packed as in the model.
  std::vector<double> scales_;     // [P]; empty: a float table.
  std::vector<double> squares_;    // [V], of the rows' lengths.
};

}  // namespace bitlm::trainer
