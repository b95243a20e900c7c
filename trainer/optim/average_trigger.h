// When to begin averaging the weights, decided by validations.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace bitlm::trainer {

// The non-monotonic trigger of Merity, Keskar, Socher 2018 (arXiv:1708.02182), Algorithm 1: fires
// at the first validation that is worse than the best one of all but the `patience` validations
// before it, so not at the first bad one.
class AverageTrigger {
 public:
  // patience >= 1; 0 = it has fired from the start.
  explicit AverageTrigger(int patience)
      : patience_(static_cast<size_t>(patience)), fired_(patience == 0) {}

  bool fired() const { return fired_; }

  void Record(double perplexity) {
    if (patience_ == 0) return;
    fired_ = fired_ || perplexity > best_before_;
    recent_.push_back(perplexity);
    if (recent_.size() <= patience_) return;
    best_before_ = std::min(best_before_, recent_.front());
    recent_.erase(recent_.begin());
  }

  // For checkpoints.
  void Save(std::map<std::string, double>* numbers) const {
    (*numbers)["average_fired"] = fired_ ? 1 : 0;
    (*numbers)["average_best_before"] = best_before_;
    for (size_t i = 0; i < recent_.size(); ++i)
      (*numbers)["average_recent." + std::to_string(i)] = recent_[i];
  }
  void Restore(const std::map<std::string, double>& numbers) {
    if (patience_ == 0) return;
    fired_ = numbers.at("average_fired") != 0;
    best_before_ = numbers.at("average_best_before");
    recent_.clear();
    for (auto at = numbers.find("average_recent.0"); at != numbers.end();
         at = numbers.find("average_recent." + std::to_string(recent_.size()))) {
      recent_.push_back(at->second);
    }
  }

 private:
  size_t patience_;
  bool fired_;
  double best_before_ = 1e300;  // Of all validations but recent_; finite, because JSON is.
  std::vector<double> recent_;  // The last ones, at most `patience`.
};

}  // namespace bitlm::trainer
