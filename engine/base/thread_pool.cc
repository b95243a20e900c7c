#include "engine/base/thread_pool.h"

#if defined(__linux__)
#include <pthread.h>
#endif

namespace bitlm {
namespace {

// Some twenty microseconds.
constexpr int kSpins = 1000;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this] { Work(); });
#if defined(__linux__)
    pthread_setname_np(workers_.back().native_handle(), "bitlm-pool");
#endif
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  work_ready_.NotifyAll();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::ParallelFor(size_t count, absl::FunctionRef<void(size_t)> body) {
  if (count == 0) return;
  if (workers_.empty() || count == 1) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  MutexLock caller(caller_mutex_);
  MutexLock lock(mutex_);
  loop_ = {.body = &body, .count = count};
  const uint64_t before = finished_.load(std::memory_order_relaxed);
  begun_.fetch_add(1, std::memory_order_relaxed);
  work_ready_.NotifyAll();
  RunCurrentLoop();
  if (loop_.done < loop_.count) Spin(finished_, before);
  while (loop_.done < loop_.count) loop_done_.Wait(mutex_);
  loop_ = {};
}

void ThreadPool::RunCurrentLoop() noexcept {
  while (loop_.next < loop_.count) {
    const size_t index = loop_.next++;
    const absl::FunctionRef<void(size_t)> body = *loop_.body;
    mutex_.Unlock();
    body(index);
    mutex_.Lock();
    if (++loop_.done == loop_.count) {
      finished_.fetch_add(1, std::memory_order_relaxed);
      loop_done_.NotifyAll();
    }
  }
}

void ThreadPool::Spin(const std::atomic<uint64_t>& counter, uint64_t old) {
  mutex_.Unlock();
  for (int i = 0; i < kSpins && counter.load(std::memory_order_relaxed) == old; ++i) Pause();
  mutex_.Lock();
}

void ThreadPool::Work() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    RunCurrentLoop();
    const uint64_t seen = begun_.load(std::memory_order_relaxed);
    Spin(begun_, seen);
    if (!stopping_ && begun_.load(std::memory_order_relaxed) == seen) work_ready_.Wait(mutex_);
  }
}

}  // namespace bitlm
