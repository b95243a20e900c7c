#include "trainer/data/stream_batcher.h"

#include <algorithm>
#include <numeric>

#include "trainer/tensor/random.h"

namespace bitlm::trainer {

StreamBatcher::StreamBatcher(const TokenizedCorpus& corpus, ContextKind context, int64_t streams,
                             int64_t steps, uint64_t seed, bool shuffle, TokenId end_of_sentence)
    : corpus_(corpus),
      context_(context),
      streams_(streams),
      steps_(steps),
      seed_(seed),
      shuffle_(shuffle),
      end_of_sentence_(end_of_sentence) {
  const auto total = static_cast<int64_t>(corpus.tokens.size());
  stream_length_ = (total + streams - 1) / streams;
  segments_ = (stream_length_ + steps - 1) / steps;
  StartEpoch(0);
}

void StreamBatcher::StartEpoch(int64_t epoch) {
  std::vector<int64_t> sentences(static_cast<size_t>(corpus_.sentences()));
  std::iota(sentences.begin(), sentences.end(), 0);
  if (shuffle_ && context_ == ContextKind::kSentence) {
    const uint64_t key = Combine(seed_, static_cast<uint64_t>(epoch));
    for (size_t i = sentences.size(); i > 1; --i) {  // Fisher and Yates.
      std::swap(sentences[i - 1], sentences[Combine(key, i) % i]);
    }
  }
  order_.clear();
  begins_.clear();
  order_.reserve(corpus_.tokens.size());
  begins_.reserve(corpus_.tokens.size());
  for (const int64_t s : sentences) {
    const auto first = corpus_.starts[static_cast<size_t>(s)];
    const auto last = corpus_.starts[static_cast<size_t>(s) + 1];
    for (int64_t i = first; i < last; ++i) {
      order_.push_back(corpus_.tokens[static_cast<size_t>(i)]);
      begins_.push_back(i == first);
    }
  }
}

void StreamBatcher::Fill(int64_t index, Batch* batch) const {
  const auto size = static_cast<size_t>(streams_ * steps_);
  batch->streams = streams_;
  batch->steps = steps_;
  batch->inputs.assign(size, end_of_sentence_);
  batch->targets.assign(size, -1);
  batch->resets.assign(size, 0);
  batch->scored = 0;
  const auto total = static_cast<int64_t>(order_.size());
  for (int64_t b = 0; b < streams_; ++b) {
    for (int64_t t = 0; t < steps_; ++t) {
      const int64_t offset = index * steps_ + t;
      const int64_t position = b * stream_length_ + offset;
      if (offset >= stream_length_ || position >= total) break;
      const auto entry = static_cast<size_t>(t * streams_ + b);
      const auto p = static_cast<size_t>(position);
      batch->targets[entry] = order_[p];
      ++batch->scored;
      // A sentence starts from </s>, which is also what stands before it in the text.
      if (position > 0 && !begins_[p]) batch->inputs[entry] = order_[p - 1];
      const bool start = context_ == ContextKind::kSentence ? begins_[p] != 0 : offset == 0;
      // A stream that starts inside a sentence has not read its first words; it starts from zero
      // there.
      batch->resets[entry] = start || offset == 0;
    }
  }
  batch->tokens = batch->scored;
}

}  // namespace bitlm::trainer
