// ParseManifest past its seal: refuses with a Status, or returns a manifest that can be written.
#include <string>

#include "engine/model/config_json.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto manifest = bitlm::ParseManifest(bitlm::SealConfig(text), "input");
  if (!manifest.ok()) {
    BITLM_FUZZ_CHECK(absl::IsDataLoss(manifest.status()) ||
                     absl::IsFailedPrecondition(manifest.status()));
    return 0;
  }
  BITLM_FUZZ_CHECK(bitlm::ValidateManifest(*manifest).ok());
  const std::string written = bitlm::SerializeManifest(*manifest);
  const auto again = bitlm::ParseManifest(written, "written");
  BITLM_FUZZ_CHECK(again.ok());
  BITLM_FUZZ_CHECK(bitlm::SerializeManifest(*again) == written);
  return 0;
}
