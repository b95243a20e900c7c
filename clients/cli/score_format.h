// How bitlm score prints.
#pragma once

#include <cstdint>
#include <string>

#include "clients/cli/arguments.h"
#include "clients/cpp/client.h"
#include "clients/cpp/totals.h"

namespace bitlm::cli {

// Formats scores as the arguments ask. Text rounds to four digits; TSV and JSON give all of them.
class ScoreFormatter {
 public:
  // `arguments` outlives the formatter.
  explicit ScoreFormatter(const ScoreArguments& arguments)
      : arguments_(arguments), factor_(LogarithmFactor(arguments.base)) {}

  // Lines to print before the first sentence.
  std::string Header() const;
  // Lines of sentence `number` (from 1), whose text is `sentence`.
  std::string Sentence(int64_t number, const std::string& sentence,
                       const client::ScoreResult& result, const client::SentenceScore& score) const;
  // The totals: in the format asked for with --totals-only, else as text.
  std::string Totals(const client::Totals& totals) const;
  bool TotalsOnStdout() const {
    return arguments_.totals_only || arguments_.format == Format::kText;
  }

 private:
  std::string Text(const std::string& sentence, const client::SentenceScore& score) const;
  std::string Tsv(int64_t number, const std::string& sentence,
                  const client::SentenceScore& score) const;
  std::string Json(const std::string& sentence, const client::ScoreResult& result,
                   const client::SentenceScore& score) const;
  // A word's logarithm in the base asked for, with all its digits.
  std::string WordLogprob(float logprob) const;

  const ScoreArguments& arguments_;
  double factor_;
};

}  // namespace bitlm::cli
