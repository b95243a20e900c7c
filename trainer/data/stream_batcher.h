// StreamBatcher: cuts a corpus into parallel streams and segments for truncated back-propagation
// through time.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/model/model_config.h"
#include "trainer/data/batcher.h"
#include "trainer/data/corpus.h"

namespace bitlm::trainer {

// One epoch over a corpus, B streams of T steps a segment.
//
// kSentence: sentences in an order shuffled by (seed, epoch), one after the other without padding;
// the state is reset at each start. kDocument: the text in its order; only the streams' starts are
// reset. Every token is a target exactly once in an epoch.
class StreamBatcher : public Batcher {
 public:
  // `shuffle` false keeps the order in kSentence too (evaluation). `corpus` must outlive the
  // batcher.
  StreamBatcher(const TokenizedCorpus& corpus, ContextKind context, int64_t streams, int64_t steps,
                uint64_t seed, bool shuffle, TokenId end_of_sentence);

  void StartEpoch(int64_t epoch) override;
  int64_t segments() const override { return segments_; }
  void Fill(int64_t index, Batch* batch) const override;

 private:
  const TokenizedCorpus& corpus_;
  ContextKind context_;
  int64_t streams_, steps_;
  uint64_t seed_;
  bool shuffle_;
  TokenId end_of_sentence_;
  int64_t stream_length_ = 0, segments_ = 0;
  std::vector<TokenId> order_;   // The epoch's tokens.
  std::vector<uint8_t> begins_;  // 1 = first token of a sentence.
};

}  // namespace bitlm::trainer
