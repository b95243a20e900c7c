// ParseSafetensors: refuses with DATA_LOSS, or returns exactly the tensors that were asked for.
#include <string_view>
#include <vector>

#include "engine/model/safetensors.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

// As in corpus/safetensors: every dtype, a row with padding bits, and two ranks.
const std::vector<bitlm::TensorSpec>& Specs() {
  using bitlm::DType;
  static const auto* const specs = new std::vector<bitlm::TensorSpec>{
      {"bits", DType::kU8, {3, 2}, 11},
      {"bytes", DType::kI8, {2, 3}, 3},
      {"floats", DType::kF32, {4}, 4},
  };
  return *specs;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto tensors = bitlm::ParseSafetensors(file, Specs(), "input");
  if (!tensors.ok()) {
    BITLM_FUZZ_CHECK(absl::IsDataLoss(tensors.status()));
    return 0;
  }
  BITLM_FUZZ_CHECK(tensors->size() == Specs().size());
  for (const bitlm::TensorSpec& spec : Specs()) {
    BITLM_FUZZ_CHECK(bitlm::CheckTensor(spec, tensors->at(spec.name)).ok());
  }
  const std::string written = bitlm::SerializeSafetensors(*tensors);
  const auto again = bitlm::ParseSafetensors(written, Specs(), "written");
  BITLM_FUZZ_CHECK(again.ok());
  BITLM_FUZZ_CHECK(bitlm::SerializeSafetensors(*again) == written);
  return 0;
}
