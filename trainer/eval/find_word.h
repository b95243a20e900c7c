// FindWord: the id of a word as people write it.
#pragma once

#include <optional>
#include <string_view>

#include "engine/model/model.h"

namespace bitlm::trainer {

// The id of `word`: as it stands; or, unless `exact`, as the model's own normalization writes it,
// where that is one word; or in lower case, by Unicode's simple mappings. Nothing when none of them
// is in the vocabulary: a word that the vocabulary lacks is not <unk>.
std::optional<TokenId> FindWord(const Model& model, std::string_view word, bool exact);

}  // namespace bitlm::trainer
