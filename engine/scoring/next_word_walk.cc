#include "engine/scoring/next_word_walk.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace bitlm {

NextWordWalk::NextWordWalk(const LanguageModel& model, const NextWordItem& item, StateCache* cache)
    : model_(model), item_(item), cache_(cache) {
  assert(item_.options.top_k >= 0);
  assert(item_.among || item_.options.top_k <= model.vocabulary().size());
  done_ = item_.options.top_k == 0 ||
          (item_.among && std::all_of(item_.among->begin(), item_.among->end(),
                                      [&](TokenId token) { return IsHidden(token); }));
}

void NextWordWalk::Begin() {
  begun_ = true;
  const NextWordOptions& options = item_.options;
  if (item_.among) {
    std::copy_if(item_.among->begin(), item_.among->end(), std::back_inserter(among_),
                 [&](TokenId token) { return !IsHidden(token); });
    std::sort(among_.begin(), among_.end());
    among_.erase(std::unique(among_.begin(), among_.end()), among_.end());
  }
  // Of all words two more, in case the hidden ones are among them.
  const int top_k = item_.among ? std::min(options.top_k, static_cast<int>(among_.size()))
                                : std::min(options.top_k + 2, model_.vocabulary().size());
  top_.resize(static_cast<size_t>(top_k));
  tokens_.reserve(item_.context->tokens.size() + 1);
  tokens_.push_back(model_.vocabulary().end_of_sentence_id());
  tokens_.insert(tokens_.end(), item_.context->tokens.begin(), item_.context->tokens.end());
  if (cache_ != nullptr) start_ = cache_->Find(model_, tokens_);
  read_ = start_.length;
  if (read_ < tokens_.size()) {
    state_ = std::make_unique_for_overwrite<float[]>(model_.state_size());
  }
}

size_t NextWordWalk::depth_left() const {
  if (done_) return 0;
  return begun_ ? std::max<size_t>(1, tokens_.size() - read_) : item_.context->tokens.size() + 1;
}

bool NextWordWalk::IsHidden(TokenId token) const {
  const Vocabulary& vocabulary = model_.vocabulary();
  return (!item_.options.allow_unknown && token == vocabulary.unknown_id()) ||
         (!item_.options.allow_end_of_sentence && token == vocabulary.end_of_sentence_id());
}

void NextWordWalk::Take(StepBatch* batch) {
  if (!begun_) Begin();
  const float* state = start_.state.get();
  if (read_ < tokens_.size()) {
    batch->tokens.push_back(tokens_[read_]);
    batch->states.push_back(read_ == start_.length ? start_.state.get() : state_.get());
    batch->next.push_back(state_.get());
    state = state_.get();
    ++read_;
    ++steps_;
    if (read_ < tokens_.size()) return;
  }
  OutputRow& row = batch->outputs.emplace_back();
  row.state = state;
  row.top_k = static_cast<int>(top_.size());
  row.top = top_.data();
  row.among = among_;
  row.self_normalized = item_.options.self_normalized;
  done_ = true;
}

void NextWordWalk::Finish() {
  if (!done_) return;
  if (cache_ != nullptr && state_ != nullptr) cache_->Insert(model_, tokens_, state_.get());
  for (const TokenScore& word : top_) {
    if (words_.size() == static_cast<size_t>(item_.options.top_k)) break;
    if (!IsHidden(word.token)) words_.push_back(word);
  }
}

}  // namespace bitlm
