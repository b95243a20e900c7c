// SplitWords: refuses with INVALID_ARGUMENT, or returns words that normalize to themselves.
#include <string>
#include <string_view>

#include "engine/model/text_normalizer.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool valid = bitlm::FindInvalidUtf8(text) == std::string_view::npos &&
                     text.find('\0') == std::string_view::npos;
  for (auto kind :
       {bitlm::NormalizationKind::kNone, bitlm::NormalizationKind::kLowercaseNoPunctuation}) {
    const auto words = bitlm::SplitWords(text, kind);
    BITLM_FUZZ_CHECK(words.ok() == valid);
    if (!words.ok()) {
      BITLM_FUZZ_CHECK(absl::IsInvalidArgument(words.status()));
      continue;
    }
    std::string joined;
    for (const std::string& word : *words) {
      BITLM_FUZZ_CHECK(!word.empty());
      joined += word + " ";
    }
    BITLM_FUZZ_CHECK(bitlm::FindInvalidUtf8(joined) == std::string_view::npos);
    const auto again = bitlm::SplitWords(joined, kind);
    BITLM_FUZZ_CHECK(again.ok() && *again == *words);
  }
  return 0;
}
