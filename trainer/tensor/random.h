// Counter-based random numbers: a value is a function of (seed, position), so resuming needs no
// generator state.
#pragma once

#include <cmath>
#include <cstdint>

namespace bitlm::trainer {

// SplitMix64's finalizer (Steele, Lea, Flood 2014).
constexpr uint64_t Mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

constexpr uint64_t Combine(uint64_t a, uint64_t b) { return Mix64(a ^ Mix64(b)); }

// MurmurHash3's 32-bit finalizer: element `index` of the stream `key`; vectorizes.
constexpr uint32_t Hash32(uint32_t key, uint32_t index) {
  uint32_t h = index * 0x9e3779b9u + key;
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  h ^= h >> 16;
  return h;
}

// In (0, 1).
inline double UniformAt(uint64_t seed, uint64_t index) {
  return (static_cast<double>(Combine(seed, index) >> 11) + 0.5) * 0x1.0p-53;
}

// Standard normal by Box and Muller.
inline double GaussianAt(uint64_t seed, uint64_t index) {
  const double u = UniformAt(seed, 2 * index);
  const double v = UniformAt(seed, 2 * index + 1);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * 3.14159265358979323846 * v);
}

}  // namespace bitlm::trainer
