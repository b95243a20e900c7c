// Inputs for kernel tests: random values at misaligned addresses, and outputs poisoned before and
// behind, so that a write outside shows.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "engine/base/cpu_features.h"
#include "engine/kernels/variant.h"

namespace bitlm {

// An array of `size` values that starts `shift` elements (of alignment alignof(T) only) after a
// 64-byte boundary, between two guards of poison.
template <typename T>
class GuardedArray {
 public:
  GuardedArray(size_t size, size_t shift = 1)
      : bytes_((size + 2 * kGuard) * sizeof(T) + 128, kPoison), size_(size) {
    uintptr_t address = reinterpret_cast<uintptr_t>(bytes_.data()) + kGuard * sizeof(T);
    address = (address + 63) / 64 * 64 + shift * sizeof(T);
    data_ = reinterpret_cast<T*>(address);
  }
  GuardedArray(GuardedArray&&) = default;
  GuardedArray& operator=(GuardedArray&&) = default;

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::vector<T> values() const { return std::vector<T>(data_, data_ + size_); }

  // Whether everything around the array is as it was.
  bool GuardsHold() const {
    const uint8_t* begin = reinterpret_cast<const uint8_t*>(data_);
    const uint8_t* end = reinterpret_cast<const uint8_t*>(data_ + size_);
    for (const uint8_t& byte : bytes_) {
      if ((&byte < begin || &byte >= end) && byte != kPoison) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr uint8_t kPoison = 0xA5;
  std::vector<uint8_t> bytes_;
  size_t size_;
  T* data_;
};

// Whether the variant can run here; if not, says so in the test's output.
template <typename Function>
bool CanRun(const Variant<Function>& variant) {
  if ((variant.features & ~cpu::Usable()) == 0) return true;
  std::printf("skipped: this CPU cannot run variant %s\n", variant.name);
  return false;
}

// Bit patterns, for comparing floats exactly with NaN and the signs of zeros.
inline std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  if (!values.empty()) std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

// Every length below two vectors of 16 floats, and some beyond.
inline std::vector<size_t> Lengths() {
  std::vector<size_t> lengths;
  for (size_t n = 1; n < 34; ++n) lengths.push_back(n);
  lengths.insert(lengths.end(), {63, 64, 65, 127, 129, 500});
  return lengths;
}

// Row counts at and around the edge of every panel, up to two of the widest tiles (eight panels)
// and one more.
inline std::vector<size_t> PanelEdges() {
  std::vector<size_t> rows = {1};
  for (size_t panel = 1; panel <= 17; ++panel) {
    rows.insert(rows.end(), {16 * panel - 1, 16 * panel, 16 * panel + 1});
  }
  return rows;
}

}  // namespace bitlm
