#include "engine/nn/language_model.h"

#include <atomic>

namespace bitlm {
namespace {

uint64_t NextId() {
  static std::atomic<uint64_t> next = 1;
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

LanguageModel::LanguageModel() : id_(NextId()) {}

}  // namespace bitlm
