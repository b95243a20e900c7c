// The instruction sets that this process may use, read once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bitlm::cpu {

enum Feature : uint32_t {
  kNone = 0,
  kAvx2Fma = 1u << 0,
  kAvx512 = 1u << 1,  // F, BW, DQ, VL
  kAvx512Vnni = 1u << 2,
  kAvx512Vpopcntdq = 1u << 3,
  kAvx512Bf16 = 1u << 4,
  kAmxInt8 = 1u << 5,
  kAmxBf16 = 1u << 6,
  kNeon = 1u << 7,  // Every 64-bit ARM CPU has it.
  kNeonDotprod = 1u << 8,
  // AVX-512 VBMI on a CPU that begins two shuffles of words a cycle: AMD's. The CPU does not tell
  // how many, so its vendor does.
  kAvx512Permute = 1u << 9,
};

// What this CPU and operating system offer. On Linux, asks the kernel for the AMX tile state the
// first time.
uint32_t Detected();

// What may be used: Detected(), narrowed by the environment variable BITLM_CPU_ISA. Read once per
// process; an unknown value of the variable ends the process with a message (main functions call
// CheckIsaSetting first and report it as an error).
uint32_t Usable();

// Narrows `detected` to a named level: "portable"; on x86-64 "avx2", "avx512", "avx512_vnni",
// "avx512_vpopcntdq", "avx512_permute", "amx"; on 64-bit ARM "neon", "neon_dotprod"; each level
// includes those before it; empty = all. Every name is known everywhere: a level of the other
// architecture leaves nothing, which is "portable". Errors: INVALID_ARGUMENT for any other name,
// listing the known ones.
absl::StatusOr<uint32_t> Narrow(uint32_t detected, std::string_view level);

// INVALID_ARGUMENT when BITLM_CPU_ISA holds an unknown value.
absl::Status CheckIsaSetting();

// "avx2_fma+avx512+avx512_vnni"; "portable" for none.
std::string Describe(uint32_t features);

}  // namespace bitlm::cpu
