#include "engine/scoring/state_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "tests/support/random_model.h"

namespace bitlm {
namespace {

constexpr int kHidden = 8;  // States of 16 floats.

class StateCacheTest : public testing::Test {
 protected:
  StateCacheTest() : model_(MakeModel()), other_(MakeModel()) {}

  static std::shared_ptr<const LanguageModel> MakeModel() {
    return *MakeCpuLanguageModel(
        std::make_shared<const Model>(RandomModel(TinyConfig("lstm", 20, kHidden, kHidden), 1)));
  }
  // A state that tells where it comes from.
  static std::vector<float> State(float value) { return std::vector<float>(2 * kHidden, value); }
  void Insert(StateCache* cache, const std::vector<TokenId>& tokens, float value) {
    cache->Insert(*model_, tokens, State(value).data());
  }

  const std::shared_ptr<const LanguageModel> model_, other_;
};

TEST_F(StateCacheTest, FindsTheLongestPrefix) {
  StateCache cache(1 << 20);
  Insert(&cache, {1}, 1);
  Insert(&cache, {1, 2, 3}, 3);
  Insert(&cache, {2, 1}, 9);
  EXPECT_EQ(cache.Find(*model_, {}).length, 0u);
  EXPECT_EQ(cache.Find(*model_, std::vector<TokenId>{3}).state, nullptr);
  const std::vector<TokenId> tokens = {1, 2, 3, 4};
  for (const size_t length : {1, 2, 3, 4}) {
    const StateCache::Prefix prefix = cache.Find(*model_, std::span(tokens).first(length));
    EXPECT_EQ(prefix.length, length < 3 ? 1u : 3u);
    EXPECT_EQ(prefix.state[5], length < 3 ? 1.0f : 3.0f);
  }
  const StateCacheStatistics statistics = cache.statistics();
  EXPECT_EQ(statistics.hits, 4u);
  EXPECT_EQ(statistics.misses, 2u);
  EXPECT_EQ(statistics.reused_tokens, 8u);
}

TEST_F(StateCacheTest, ModelsDoNotShareStates) {
  StateCache cache(1 << 20);
  Insert(&cache, {1, 2}, 1);
  EXPECT_EQ(cache.Find(*other_, std::vector<TokenId>{1, 2}).length, 0u);
}

TEST_F(StateCacheTest, TheFirstStateOfAPrefixStays) {
  StateCache cache(1 << 20);
  Insert(&cache, {1, 2}, 1);
  Insert(&cache, {1, 2}, 2);
  EXPECT_EQ(cache.Find(*model_, std::vector<TokenId>{1, 2}).state[0], 1.0f);
  EXPECT_EQ(cache.statistics().entries, 1u);
}

TEST_F(StateCacheTest, StaysWithinItsBytesAndDropsTheOldestUse) {
  StateCache one(1 << 20);
  Insert(&one, {1}, 1);
  const size_t entry = one.statistics().bytes;
  EXPECT_GE(entry, 2 * kHidden * sizeof(float));
  StateCache cache(3 * entry);
  for (TokenId token = 0; token < 3; ++token) Insert(&cache, {token}, 1);
  cache.Find(*model_, std::vector<TokenId>{0});  // Used again.
  Insert(&cache, {3}, 1);
  EXPECT_EQ(cache.statistics().entries, 3u);
  EXPECT_EQ(cache.statistics().evictions, 1u);
  for (TokenId token = 0; token < 4; ++token) {
    EXPECT_EQ(cache.Find(*model_, std::vector<TokenId>{token}).length, token == 1 ? 0u : 1u);
  }
  // Longer contexts are larger; many of them never exceed the bound.
  for (TokenId token = 0; token < 19; ++token) {
    Insert(&cache, std::vector<TokenId>(static_cast<size_t>(token) + 1, token), 1);
    EXPECT_LE(cache.statistics().bytes, cache.max_bytes());
  }
}

TEST_F(StateCacheTest, KeepsNothingThatIsLargerThanItself) {
  StateCache none(0);
  StateCache small(100);
  for (StateCache* cache : {&none, &small}) {
    Insert(cache, {1}, 1);
    EXPECT_EQ(cache->Find(*model_, std::vector<TokenId>{1}).length, 0u);
    EXPECT_EQ(cache->statistics().bytes, 0u);
  }
}

TEST_F(StateCacheTest, AStateOutlivesItsEviction) {
  StateCache one(1 << 20);
  Insert(&one, {1}, 1);
  StateCache cache(one.statistics().bytes);  // Room for one.
  Insert(&cache, {1}, 7);
  const StateCache::Prefix prefix = cache.Find(*model_, std::vector<TokenId>{1});
  Insert(&cache, {2}, 8);
  EXPECT_EQ(cache.Find(*model_, std::vector<TokenId>{1}).length, 0u);
  EXPECT_EQ(prefix.state[0], 7.0f);
}

TEST_F(StateCacheTest, ThreadsMayShareIt) {
  StateCache cache(4096);
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const std::vector<TokenId> tokens = {i % 7, i % 3};
        Insert(&cache, tokens, static_cast<float>(i % 7));
        const StateCache::Prefix prefix = cache.Find(*model_, tokens);
        if (prefix.length == 2) {
          EXPECT_EQ(prefix.state[0], static_cast<float>(i % 7));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.statistics().bytes, 4096u);
}

}  // namespace
}  // namespace bitlm
