#include "server/batching/work_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace bitlm {
namespace {

TEST(WorkThreadTest, WorksInOrderOnAThreadOfItsOwn) {
  std::vector<int> done;
  std::atomic<bool> elsewhere = true;
  {
    WorkThread thread("test");
    for (int i = 0; i < 100; ++i) {
      thread.Add([&done, &elsewhere, i, caller = std::this_thread::get_id()] {
        if (std::this_thread::get_id() == caller) elsewhere = false;
        done.push_back(i);
      });
    }
  }  // Does all of it before it goes.
  ASSERT_EQ(done.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
  EXPECT_TRUE(elsewhere);
}

TEST(WorkThreadTest, LetsGoOfWorkThatIsDone) {
  WorkThread thread("test");
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  thread.Add([held = std::move(held)] {});
  std::atomic<bool> later = false;
  thread.Add([&later] { later = true; });
  while (!later) std::this_thread::yield();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace bitlm
