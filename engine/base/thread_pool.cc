#include "engine/base/thread_pool.h"

#if defined(__linux__)
#include <pthread.h>
#endif

namespace bitlm {

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

void ThreadPool::ParallelFor(size_t count, const std::function<void(size_t)>& body) {
  if (count == 0) return;
  if (workers_.empty() || count == 1) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  MutexLock caller(caller_mutex_);
  MutexLock lock(mutex_);
  loop_ = {.body = &body, .count = count};
  work_ready_.NotifyAll();
  RunCurrentLoop();
  while (loop_.done < loop_.count) loop_done_.Wait(mutex_);
  loop_ = {};
}

void ThreadPool::RunCurrentLoop() noexcept {
  while (loop_.next < loop_.count) {
    const size_t index = loop_.next++;
    const std::function<void(size_t)>& body = *loop_.body;
    mutex_.Unlock();
    body(index);
    mutex_.Lock();
    if (++loop_.done == loop_.count) loop_done_.NotifyAll();
  }
}

void ThreadPool::Work() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    RunCurrentLoop();
    if (!stopping_) work_ready_.Wait(mutex_);
  }
}

}  // namespace bitlm
