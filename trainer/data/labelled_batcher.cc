#include "trainer/data/labelled_batcher.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "trainer/tensor/random.h"

namespace bitlm::trainer {

LabelledBatcher::LabelledBatcher(const TokenizedCorpus& corpus, std::span<const int32_t> labels,
                                 int64_t streams, int64_t steps, uint64_t seed, bool shuffle,
                                 TokenId end_of_sentence)
    : corpus_(corpus),
      labels_(labels),
      streams_(streams),
      steps_(steps),
      seed_(seed),
      shuffle_(shuffle),
      end_of_sentence_(end_of_sentence) {
  StartEpoch(0);
  // How many rows there are depends on the lengths alone, which no shuffle changes.
  segments_ = (static_cast<int64_t>(rows_.size()) + streams - 1) / streams;
}

std::vector<int64_t> LabelledBatcher::Shuffled(int64_t count, uint64_t key) const {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); shuffle_ && i > 1; --i) {  // Fisher and Yates.
    std::swap(order[i - 1], order[Combine(key, i) % i]);
  }
  return order;
}

// Each sentence into the row with the least room that suffices: rows by their room.
std::vector<LabelledBatcher::Row> LabelledBatcher::Pack(const std::vector<int64_t>& order) const {
  std::vector<Row> rows;
  std::vector<std::vector<size_t>> by_room(static_cast<size_t>(steps_) + 1);
  for (const int64_t sentence : order) {
    const auto length = static_cast<size_t>(Length(sentence));
    size_t room = length;
    while (room < by_room.size() && by_room[room].empty()) ++room;
    size_t row = rows.size();
    if (room < by_room.size()) {
      row = by_room[room].back();
      by_room[room].pop_back();
    } else {
      rows.emplace_back();
      room = static_cast<size_t>(steps_);
    }
    rows[row].push_back(sentence);
    by_room[room - length].push_back(row);
  }
  return rows;
}

void LabelledBatcher::StartEpoch(int64_t epoch) {
  const uint64_t key = Combine(seed_, static_cast<uint64_t>(epoch));
  std::vector<int64_t> order = Shuffled(corpus_.sentences(), key);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return Length(a) > Length(b); });
  std::vector<Row> packed = Pack(order);
  const std::vector<int64_t> places = Shuffled(static_cast<int64_t>(packed.size()), ~key);
  rows_.resize(packed.size());
  for (size_t r = 0; r < packed.size(); ++r) {
    rows_[static_cast<size_t>(places[r])] = std::move(packed[r]);
  }
}

void LabelledBatcher::Fill(int64_t index, Batch* batch) const {
  const auto size = static_cast<size_t>(streams_ * steps_);
  batch->streams = streams_;
  batch->steps = steps_;
  batch->inputs.assign(size, end_of_sentence_);
  batch->targets.assign(size, -1);
  batch->resets.assign(size, 0);
  batch->scored = 0;
  batch->tokens = 0;
  for (int64_t b = 0; b < streams_; ++b) {
    const auto row = static_cast<size_t>(index * streams_ + b);
    if (row >= rows_.size()) break;
    int64_t t = 0;
    for (const int64_t sentence : rows_[row]) {
      const auto s = static_cast<size_t>(sentence);
      batch->resets[static_cast<size_t>(t * streams_ + b)] = 1;
      // </s> is what a sentence starts from; its last token is the </s> that nothing reads.
      for (int64_t i = corpus_.starts[s]; i + 1 < corpus_.starts[s + 1]; ++i) {
        ++t;
        batch->inputs[static_cast<size_t>(t * streams_ + b)] =
            corpus_.tokens[static_cast<size_t>(i)];
      }
      batch->targets[static_cast<size_t>(t * streams_ + b)] = labels_[s];
      ++t;
      ++batch->scored;
    }
    batch->tokens += t;
  }
}

int64_t LongestSentence(const TokenizedCorpus& corpus) {
  int64_t longest = 0;
  for (size_t s = 0; s + 1 < corpus.starts.size(); ++s) {
    longest = std::max(longest, corpus.starts[s + 1] - corpus.starts[s]);
  }
  return longest;
}

}  // namespace bitlm::trainer
