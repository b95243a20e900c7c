// Vocabulary::Parse: refuses with DATA_LOSS, or returns words that make the same text.
#include <string_view>

#include "engine/model/vocabulary.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto vocabulary = bitlm::Vocabulary::Parse(text, "input");
  if (!vocabulary.ok()) {
    BITLM_FUZZ_CHECK(absl::IsDataLoss(vocabulary.status()));
    return 0;
  }
  BITLM_FUZZ_CHECK(vocabulary->Serialize() == text);
  for (bitlm::TokenId id = 0; id < vocabulary->size(); ++id) {
    BITLM_FUZZ_CHECK(vocabulary->Find(vocabulary->Word(id)) == id);
  }
  return 0;
}
