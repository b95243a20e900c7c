// Loops of kSteps steps on registers alone, for CPUs that have the instructions: peaks.cc asks.
#pragma once

namespace bitlm::bench {

constexpr int kSteps = 20000;

// Twelve independent sums a step.
void FmaAvx512();
void FmaAvx2();
void Popcount();
void Vnni();
// Four independent tiles a step.
void AmxInt8();

}  // namespace bitlm::bench
