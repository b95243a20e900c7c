#include "engine/scoring/next_word_walk.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace bitlm {

NextWordWalk::NextWordWalk(const LanguageModel& model, const NextWordItem& item, StateCache* cache)
    : model_(model), options_(item.options), cache_(cache), chooses_(item.among.has_value()) {
  const Vocabulary& vocabulary = model.vocabulary();
  assert(options_.top_k >= 1);
  assert(chooses_ || options_.top_k <= vocabulary.size());
  if (chooses_) {
    std::copy_if(item.among->begin(), item.among->end(), std::back_inserter(among_),
                 [&](TokenId token) { return !IsHidden(token); });
    std::sort(among_.begin(), among_.end());
    among_.erase(std::unique(among_.begin(), among_.end()), among_.end());
    if (among_.empty()) {
      done_ = true;
      return;
    }
  }
  // Of all words two more, in case the hidden ones are among them.
  top_.resize(static_cast<size_t>(
      chooses_ ? std::min(options_.top_k, static_cast<int>(among_.size()))
               : std::min(options_.top_k + 2, static_cast<int>(vocabulary.size()))));
  tokens_.reserve(item.context->tokens.size() + 1);
  tokens_.push_back(vocabulary.end_of_sentence_id());
  tokens_.insert(tokens_.end(), item.context->tokens.begin(), item.context->tokens.end());
  if (cache_ != nullptr) start_ = cache_->Find(model, tokens_);
  read_ = start_.length;
  if (read_ < tokens_.size()) {
    state_ = std::make_unique_for_overwrite<float[]>(model.state_size());
  }
}

size_t NextWordWalk::depth_left() const {
  return done_ ? 0 : std::max<size_t>(1, tokens_.size() - read_);
}

bool NextWordWalk::IsHidden(TokenId token) const {
  const Vocabulary& vocabulary = model_.vocabulary();
  return (!options_.allow_unknown && token == vocabulary.unknown_id()) ||
         (!options_.allow_end_of_sentence && token == vocabulary.end_of_sentence_id());
}

void NextWordWalk::Take(StepBatch* batch) {
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
  row.self_normalized = options_.self_normalized;
  done_ = true;
}

void NextWordWalk::Finish() {
  if (!done_) return;
  if (cache_ != nullptr && state_ != nullptr) cache_->Insert(model_, tokens_, state_.get());
  for (const TokenScore& word : top_) {
    if (words_.size() == static_cast<size_t>(options_.top_k)) break;
    if (!IsHidden(word.token)) words_.push_back(word);
  }
}

}  // namespace bitlm
