#include "trainer/tensor/ordered_sum.h"

#include <gtest/gtest.h>

#include <cstddef>

#include "engine/base/thread_pool.h"

namespace bitlm::trainer {
namespace {

TEST(OrderedSumTest, AddsInOrderWhateverTheThreads) {
  ThreadPool one(1), three(3);
  // After 2^53 the ones would be lost.
  const auto term = [](size_t i) { return i < 100 ? 1.0 : 9007199254740992.0; };
  EXPECT_EQ(OrderedSum(101, &one, term), 9007199254741092.0);
  EXPECT_EQ(OrderedSum(101, &three, term), 9007199254741092.0);
  EXPECT_EQ(OrderedSum(0, &three, term), 0.0);
}

}  // namespace
}  // namespace bitlm::trainer
