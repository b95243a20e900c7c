// Word vectors of other people as an embedding to start from ([ZT] section 4.3 starts from GloVe).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/vocabulary.h"
#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

struct WordVectorReport {
  int64_t vectors = 0;   // In the file.
  int64_t words = 0;     // Of the vocabulary, found.
  double coverage = 0;   // The part of the text's tokens that are found words.
  int64_t repeated = 0;  // Vectors of a word that had one before; they are not used.
};

// Reads the text file `path` (.gz is decompressed) of GloVe or word2vec, one vector a line: the
// word, then its E values, separated by blanks. A first line of two integers, word2vec's header, is
// passed by. A word may hold blanks, as some of GloVe's do; such words are in no vocabulary. Rows
// of `table` [V, E] of words without a vector stay as they are. `counts` [V]: how often each word
// occurs, for the report.
// Errors: INVALID_ARGUMENT naming file and line for another number of values, or one that is not a
// finite number; when no word is found; as ReadTextFile.
absl::StatusOr<WordVectorReport> ReadWordVectors(const std::string& path,
                                                 const Vocabulary& vocabulary,
                                                 std::span<const int64_t> counts,
                                                 Parameter<float>* table);

}  // namespace bitlm::trainer
