// Variant: one implementation of a kernel and the CPU features that it needs.
#pragma once

#include <cassert>
#include <cstdint>
#include <span>

namespace bitlm {

template <typename Function>
struct Variant {
  const char* name;   // "avx512_vnni", "portable".
  uint32_t features;  // cpu::Feature bits, all needed; 0 for the portable variant.
  Function* run;
};

// The first variant that `features` can run. Lists go fastest first and end with the portable
// variant, which runs anywhere.
template <typename Function>
const Variant<Function>& Select(std::span<const Variant<Function>> variants, uint32_t features) {
  for (const Variant<Function>& variant : variants) {
    if ((variant.features & ~features) == 0) return variant;
  }
  assert(!"a variant list must end with a portable variant");
  return variants.back();
}

}  // namespace bitlm
