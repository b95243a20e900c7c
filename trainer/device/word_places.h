// Where in a segment each of its words is, so that a word's gradient has one writer and its
// additions have one order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitlm::trainer {

struct WordPlaces {
  std::vector<int32_t> distinct;  // [U] in the order in which they come first
  std::vector<int32_t> first;     // [U + 1] into places
  std::vector<int32_t> places;    // [words.size()] ascending for each word
};

class WordPlacer {
 public:
  explicit WordPlacer(int64_t vocabulary) : number_(static_cast<size_t>(vocabulary), -1) {}

  const WordPlaces& Place(std::span<const int32_t> words) {
    for (const int32_t word : result_.distinct) number_[static_cast<size_t>(word)] = -1;
    result_.distinct.clear();
    result_.first.assign(1, 0);
    for (const int32_t word : words) {
      int32_t& number = number_[static_cast<size_t>(word)];
      if (number < 0) {
        number = static_cast<int32_t>(result_.distinct.size());
        result_.distinct.push_back(word);
        result_.first.push_back(0);
      }
      ++result_.first[static_cast<size_t>(number) + 1];
    }
    for (size_t u = 1; u < result_.first.size(); ++u) result_.first[u] += result_.first[u - 1];
    next_.assign(result_.first.begin(), result_.first.end() - 1);
    result_.places.resize(words.size());
    for (size_t i = 0; i < words.size(); ++i) {
      const auto number = static_cast<size_t>(number_[static_cast<size_t>(words[i])]);
      result_.places[static_cast<size_t>(next_[number]++)] = static_cast<int32_t>(i);
    }
    return result_;
  }

 private:
  std::vector<int32_t> number_;  // [V] -1 = not in the segment.
  std::vector<int32_t> next_;
  WordPlaces result_;
};

}  // namespace bitlm::trainer
