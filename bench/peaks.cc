#include "bench/peaks.h"

#include "bench/x86_peaks.h"
#include "engine/base/cpu_features.h"

namespace bitlm::bench {

Peak FmaPeak() {
  const uint32_t usable = cpu::Detected();
  if ((usable & cpu::kAvx512) != 0) return {"AVX-512 FMA", 12.0 * 16 * kSteps, FmaAvx512};
  if ((usable & cpu::kAvx2Fma) != 0) return {"AVX2 FMA", 12.0 * 8 * kSteps, FmaAvx2};
  return {"FMA", 0, {}};
}

Peak PopcountPeak() {
  const bool has = (cpu::Detected() & cpu::kAvx512Vpopcntdq) != 0;
  return {"VPOPCNTQ", 12.0 * 512 * kSteps, has ? Popcount : std::function<void()>()};
}

Peak VnniPeak() {
  const bool has = (cpu::Detected() & cpu::kAvx512Vnni) != 0;
  return {"VNNI", 12.0 * 64 * kSteps, has ? Vnni : std::function<void()>()};
}

Peak AmxInt8Peak() {
  const bool has = (cpu::Detected() & cpu::kAmxInt8) != 0;
  return {"AMX int8", 4.0 * 16 * 16 * 64 * kSteps, has ? AmxInt8 : std::function<void()>()};
}

}  // namespace bitlm::bench
