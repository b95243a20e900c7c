// Scratch: working memory of one execution, from a stack that each thread keeps.
#pragma once

#include <cstddef>
#include <type_traits>

namespace bitlm {

// Takes arrays from the calling thread's stack and gives all of them back when it goes out of
// scope. Scopes nest (a thread that waits in ParallelFor runs tasks above its caller's arrays).
// Arrays are 64-byte aligned, rounded up to whole cache lines, and not initialized. The memory
// stays with the thread for the next execution.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <typename T>
  T* Take(size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<T*>(TakeBytes(count * sizeof(T)));
  }

 private:
  void* TakeBytes(size_t bytes);

  size_t block_;  // Where the stack stood when the scope began.
  size_t offset_;
};

}  // namespace bitlm
