// LabelledBatcher: whole sentences with one target each, packed into segments.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/data/batcher.h"
#include "trainer/data/corpus.h"

namespace bitlm::trainer {

// One epoch over labelled sentences, B streams of T steps a segment. A stream of a segment holds
// whole sentences, one after the other, each from the zero state: </s>, then its words, the last of
// which has the label as its target; no other step has one. So gradients flow through whole
// sentences, as back-propagation through time does it, and every sentence counts once. Sentences
// are packed by the best fit, the longest first: little is left empty.
class LabelledBatcher : public Batcher {
 public:
  // labels [sentences]. `shuffle`: which sentences share a stream and a segment is another random
  // choice in each epoch. The longest sentence has at most `steps` tokens with its </s>. `corpus`
  // and `labels` must outlive the batcher.
  LabelledBatcher(const TokenizedCorpus& corpus, std::span<const int32_t> labels, int64_t streams,
                  int64_t steps, uint64_t seed, bool shuffle, TokenId end_of_sentence);

  void StartEpoch(int64_t epoch) override;
  int64_t segments() const override { return segments_; }
  void Fill(int64_t index, Batch* batch) const override;

 private:
  using Row = std::vector<int64_t>;  // The sentences of one stream in one segment.

  std::vector<int64_t> Shuffled(int64_t count, uint64_t key) const;
  std::vector<Row> Pack(const std::vector<int64_t>& order) const;
  int64_t Length(int64_t sentence) const {
    const auto s = static_cast<size_t>(sentence);
    return corpus_.starts[s + 1] - corpus_.starts[s];
  }

  const TokenizedCorpus& corpus_;
  std::span<const int32_t> labels_;
  int64_t streams_, steps_;
  uint64_t seed_;
  bool shuffle_;
  TokenId end_of_sentence_;
  int64_t segments_ = 0;
  std::vector<Row> rows_;  // Of the epoch; row r is stream r mod B of segment r / B.
};

// Tokens of the longest sentence of `corpus`, its </s> counted.
int64_t LongestSentence(const TokenizedCorpus& corpus);

}  // namespace bitlm::trainer
