#include "clients/cli/next_command.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/cli/output.h"

namespace bitlm::cli {

absl::Status RunNext(const Connection& connection, const NextArguments& arguments) {
  const client::Client client(connection.options);
  const std::string context = absl::StrJoin(arguments.context, " ");
  const auto result = client.NextWords(context, arguments.options);
  if (!result.ok()) return Explain(result.status());
  const double factor = LogarithmFactor(arguments.base);
  std::string text;
  if (arguments.format == Format::kTsv) text = "rank\tword\tid\tlogprob\toov\n";
  for (size_t i = 0; i < result->words.size(); ++i) {
    const client::NextWord& word = result->words[i];
    const double logprob = word.logprob * factor;
    switch (arguments.format) {
      case Format::kText:
        text += absl::StrFormat("%3d  %6.2f %%  %9.4f  %s%s\n", i + 1, 100 * std::exp(word.logprob),
                                logprob, word.word, word.oov ? "  (OOV)" : "");
        break;
      case Format::kTsv:
        text += absl::StrFormat("%d\t%s\t%d\t%s\t%d\n", i + 1, TsvField(word.word), word.id,
                                Shortest(logprob), word.oov ? 1 : 0);
        break;
      case Format::kJson:
        text += nlohmann::ordered_json({{"rank", i + 1},
                                        {"word", word.word},
                                        {"id", word.id},
                                        {"logprob", logprob},
                                        {"oov", word.oov}})
                    .dump() +
                "\n";
        break;
    }
  }
  return WriteOut(text);
}

}  // namespace bitlm::cli
