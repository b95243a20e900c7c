// Products by oneDNN, as its users run them: weights reordered once, beforehand.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace bitlm::bench {

// c [m, n] = a [m, k] * b [k, n]; `type` is "f32", "bf16" (f32 result) or "s8" (s32 result). One
// thread. Random values. Empty where this oneDNN has no such product for this CPU.
std::function<void()> OneDnnProduct(const std::string& type, int64_t m, int64_t k, int64_t n);

}  // namespace bitlm::bench
