#include "engine/base/cpu_features.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"

namespace bitlm::cpu {
namespace {

struct Level {
  std::string_view name;
  uint32_t features;  // Cumulative within an architecture.
};

constexpr uint32_t kUpToAvx512 = kAvx2Fma | kAvx512;
constexpr uint32_t kUpToVnni = kUpToAvx512 | kAvx512Vnni;
constexpr uint32_t kUpToVpopcntdq = kUpToVnni | kAvx512Vpopcntdq;
constexpr uint32_t kUpToPermute = kUpToVpopcntdq | kAvx512Permute;
constexpr Level kLevels[] = {
    {"portable", kNone},
    {"avx2", kAvx2Fma},
    {"avx512", kUpToAvx512},
    {"avx512_vnni", kUpToVnni},
    {"avx512_vpopcntdq", kUpToVpopcntdq},
    {"avx512_permute", kUpToPermute},
    {"amx", kUpToPermute | kAvx512Bf16 | kAmxInt8 | kAmxBf16},
    {"neon", kNeon},
    {"neon_dotprod", kNeon | kNeonDotprod},
};

#if defined(__x86_64__)
// Tile registers are off until the kernel grants them to the process (arch_prctl
// ARCH_REQ_XCOMP_PERM, tile data = 18).
bool RequestTileState() {
#if defined(__linux__)
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
  return false;
#endif
}

uint32_t Detect() {
  uint32_t found = kNone;
  unsigned a, b, c, d;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found |= kAvx2Fma;
  if (!(found & kAvx2Fma)) return found;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    found |= kAvx512;
  }
  if (!(found & kAvx512) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  if ((c & (1u << 1)) && __builtin_cpu_is("amd")) found |= kAvx512Permute;
  if (c & (1u << 11)) found |= kAvx512Vnni;
  if (c & (1u << 14)) found |= kAvx512Vpopcntdq;
  const bool amx_tile = (d & (1u << 24)) != 0;
  const bool amx_bf16 = (d & (1u << 22)) != 0;
  const bool amx_int8 = (d & (1u << 25)) != 0;
  if (amx_tile && (amx_bf16 || amx_int8) && RequestTileState()) {
    if (amx_int8) found |= kAmxInt8;
    if (amx_bf16) found |= kAmxBf16;
  }
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5))) found |= kAvx512Bf16;
  return found;
}
#elif defined(__aarch64__)
uint32_t Detect() {
  uint32_t found = kNeon;
#if defined(__linux__)
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) found |= kNeonDotprod;
#endif
  return found;
}
#else
uint32_t Detect() { return kNone; }
#endif

std::string_view IsaSetting() {
  const char* value = std::getenv("BITLM_CPU_ISA");
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

uint32_t Detected() {
  static const uint32_t detected = Detect();
  return detected;
}

absl::StatusOr<uint32_t> Narrow(uint32_t detected, std::string_view level) {
  if (level.empty()) return detected;
  std::vector<absl::string_view> names;
  for (const Level& known : kLevels) {
    if (known.name == level) return detected & known.features;
    names.push_back(ToAbsl(known.name));
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("BITLM_CPU_ISA: unknown instruction set \"%s\"; one of: %s", level,
                      absl::StrJoin(names, ", ")));
}

absl::Status CheckIsaSetting() { return Narrow(Detected(), IsaSetting()).status(); }

uint32_t Usable() {
  static const uint32_t usable = [] {
    absl::StatusOr<uint32_t> narrowed = Narrow(Detected(), IsaSetting());
    if (!narrowed.ok()) {
      std::fprintf(stderr, "%s\n", std::string(narrowed.status().message()).c_str());
      std::exit(2);
    }
    return *narrowed;
  }();
  return usable;
}

std::string Describe(uint32_t features) {
  static constexpr struct {
    uint32_t bit;
    const char* name;
  } kNames[] = {{kAvx2Fma, "avx2_fma"},
                {kAvx512, "avx512"},
                {kAvx512Vnni, "avx512_vnni"},
                {kAvx512Vpopcntdq, "avx512_vpopcntdq"},
                {kAvx512Bf16, "avx512_bf16"},
                {kAmxInt8, "amx_int8"},
                {kAmxBf16, "amx_bf16"},
                {kAvx512Permute, "avx512_permute"},
                {kNeon, "neon"},
                {kNeonDotprod, "neon_dotprod"}};
  std::vector<std::string> parts;
  for (const auto& [bit, name] : kNames) {
    if (features & bit) parts.emplace_back(name);
  }
  return parts.empty() ? "portable" : absl::StrJoin(parts, "+");
}

}  // namespace bitlm::cpu
