#include "engine/base/cpu_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace bitlm::cpu {
namespace {

TEST(CpuFeaturesTest, PortableLevelUsesNothing) {
  EXPECT_EQ(Narrow(~0u, "portable").value(), kNone);
  EXPECT_EQ(Describe(kNone), "portable");
}

TEST(CpuFeaturesTest, LevelsAreCumulative) {
  EXPECT_EQ(Narrow(~0u, "avx512_vnni").value(), kAvx2Fma | kAvx512 | kAvx512Vnni);
  EXPECT_EQ(Narrow(kAvx2Fma, "amx").value(), kAvx2Fma);
}

TEST(CpuFeaturesTest, LevelsOfAnotherArchitectureLeaveNothing) {
  EXPECT_EQ(Narrow(~0u, "neon_dotprod").value(), kNeon | kNeonDotprod);
  EXPECT_EQ(Narrow(kNeon | kNeonDotprod, "neon").value(), kNeon);
  EXPECT_EQ(Narrow(kNeon | kNeonDotprod, "amx").value(), kNone);
  EXPECT_EQ(Narrow(kAvx2Fma | kAvx512, "neon_dotprod").value(), kNone);
}

TEST(CpuFeaturesTest, DetectsWhatEveryCpuOfTheArchitectureHas) {
#if defined(__aarch64__)
  EXPECT_EQ(Detected() & ~(kNeon | kNeonDotprod), 0u);
  EXPECT_NE(Detected() & kNeon, 0u);
  EXPECT_EQ(Describe(kNeon | kNeonDotprod), "neon+neon_dotprod");
#else
  EXPECT_EQ(Detected() & (kNeon | kNeonDotprod), 0u);
#endif
}

TEST(CpuFeaturesTest, EmptyLevelKeepsEverything) {
  EXPECT_EQ(Narrow(kAvx512, "").value(), kAvx512);
}

TEST(CpuFeaturesTest, UnknownLevelIsAnErrorThatListsTheKnownOnes) {
  const absl::Status status = Narrow(~0u, "sse9").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("\"sse9\""));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("avx512_vnni"));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("neon_dotprod"));
}

TEST(CpuFeaturesTest, UsableIsPartOfDetected) { EXPECT_EQ(Usable() & ~Detected(), 0u); }

}  // namespace
}  // namespace bitlm::cpu
