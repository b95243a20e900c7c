#include "engine/nn/scratch.h"

#include <algorithm>
#include <vector>

#include "engine/base/aligned_buffer.h"

namespace bitlm {
namespace {

constexpr size_t kFirstBlockBytes = size_t{1} << 20;

struct Stack {
  std::vector<AlignedBuffer<std::byte>> blocks;
  size_t block = 0;   // The block in use.
  size_t offset = 0;  // Bytes of it that are taken.
};

Stack& ThreadStack() {
  thread_local Stack stack;
  return stack;
}

}  // namespace

Scratch::Scratch() : block_(ThreadStack().block), offset_(ThreadStack().offset) {}

Scratch::~Scratch() {
  Stack& stack = ThreadStack();
  stack.block = block_;
  stack.offset = offset_;
}

void* Scratch::TakeBytes(size_t bytes) {
  Stack& stack = ThreadStack();
  bytes = (bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
  while (stack.block < stack.blocks.size() &&
         stack.blocks[stack.block].size() - stack.offset < bytes) {
    ++stack.block;
    stack.offset = 0;
  }
  if (stack.block == stack.blocks.size()) {
    const size_t last = stack.blocks.empty() ? kFirstBlockBytes / 2 : stack.blocks.back().size();
    stack.blocks.emplace_back(std::max(bytes, 2 * last));
    stack.offset = 0;
  }
  void* result = stack.blocks[stack.block].data() + stack.offset;
  stack.offset += bytes;
  return result;
}

}  // namespace bitlm
