// This machine's limits, measured: instructions on registers alone, enough of them independent that
// nothing but their throughput counts. One thread.
#pragma once

#include <functional>
#include <string>

namespace bitlm::bench {

struct Peak {
  std::string name;           // "AVX-512 FMA".
  double work = 0;            // Multiply-adds (or bits counted) of a call.
  std::function<void()> run;  // Empty where the CPU has no such instruction.
};

Peak FmaPeak();       // float32 multiply-adds.
Peak PopcountPeak();  // Bits that differ of two registers, counted and added up.
Peak VnniPeak();      // int8 multiply-adds of vpdpbusd.
Peak AmxInt8Peak();   // int8 multiply-adds of tdpbssd.

}  // namespace bitlm::bench
