#include "server/batching/work_thread.h"

#include <pthread.h>

#include <utility>

namespace bitlm {

WorkThread::WorkThread(const char* name) : thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), name);
}

WorkThread::~WorkThread() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    added_.NotifyOne();
  }
  thread_.join();
}

void WorkThread::Add(std::function<void()> work) {
  MutexLock lock(mutex_);
  work_.push_back(std::move(work));
  added_.NotifyOne();
}

void WorkThread::Run() {
  MutexLock lock(mutex_);
  while (true) {
    while (work_.empty()) {
      if (stopping_) return;
      added_.Wait(mutex_);
    }
    std::function<void()> work = std::move(work_.front());
    work_.pop_front();
    mutex_.Unlock();
    work();
    work = nullptr;  // What it holds may take locks as it goes.
    mutex_.Lock();
  }
}

}  // namespace bitlm
