#include "clients/cli/score_format.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/cli/output.h"

namespace bitlm::cli {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string ScoreFormatter::Header() const {
  if (arguments_.format != Format::kTsv || arguments_.totals_only || !arguments_.header) return "";
  return arguments_.options.words
             ? "sentence_number\tposition\tword\tid\tlogprob\toov\trank\n"
             : "sentence_number\tlogprob\twords\ttokens\toov\toov_logprob\tsentence\n";
}

std::string ScoreFormatter::Sentence(int64_t number, const std::string& sentence,
                                     const client::ScoreResult& result,
                                     const client::SentenceScore& score) const {
  if (arguments_.totals_only) return "";
  switch (arguments_.format) {
    case Format::kText:
      return Text(sentence, score);
    case Format::kTsv:
      return Tsv(number, sentence, score);
    case Format::kJson:
      return Json(sentence, result, score);
  }
  return "";
}

std::string ScoreFormatter::WordLogprob(float logprob) const {
  return arguments_.base == "e" ? Shortest(logprob) : Shortest(logprob * factor_);
}

std::string ScoreFormatter::Text(const std::string& sentence,
                                 const client::SentenceScore& score) const {
  std::string text = absl::StrFormat("%12.4f  %3d words  %2d OOV  %s\n", score.logprob * factor_,
                                     score.word_count, score.oov_count, sentence);
  for (const client::WordScore& word : score.words) {
    absl::StrAppendFormat(&text, "%12.4f    rank %-8d %s%s\n", word.logprob * factor_, word.rank,
                          word.word, word.oov ? "  (OOV)" : "");
  }
  return text;
}

std::string ScoreFormatter::Tsv(int64_t number, const std::string& sentence,
                                const client::SentenceScore& score) const {
  if (!arguments_.options.words) {
    return absl::StrFormat("%d\t%s\t%d\t%d\t%d\t%s\t%s\n", number,
                           Shortest(score.logprob * factor_), score.word_count, score.token_count,
                           score.oov_count, Shortest(score.oov_logprob * factor_),
                           TsvField(sentence));
  }
  std::string text;
  for (size_t i = 0; i < score.words.size(); ++i) {
    const client::WordScore& word = score.words[i];
    absl::StrAppendFormat(&text, "%d\t%d\t%s\t%d\t%s\t%d\t%d\n", number, i + 1, TsvField(word.word),
                          word.id, WordLogprob(word.logprob), word.oov ? 1 : 0, word.rank);
  }
  return text;
}

std::string ScoreFormatter::Json(const std::string& sentence, const client::ScoreResult& result,
                                 const client::SentenceScore& score) const {
  cli::Json object = {{"sentence", sentence},      {"logprob", score.logprob * factor_},
                      {"words", score.word_count}, {"tokens", score.token_count},
                      {"oov", score.oov_count},    {"oov_logprob", score.oov_logprob * factor_},
                      {"model", result.model},     {"model_version", result.model_version}};
  if (arguments_.options.words) {
    cli::Json words = cli::Json::array();
    for (const client::WordScore& word : score.words) {
      words.push_back({{"word", word.word},
                       {"id", word.id},
                       {"logprob", cli::Json::parse(WordLogprob(word.logprob))},
                       {"oov", word.oov},
                       {"rank", word.rank}});
    }
    object["word_scores"] = std::move(words);
  }
  return object.dump() + "\n";
}

std::string ScoreFormatter::Totals(const client::Totals& totals) const {
  const std::string perplexity = client::FormatPerplexity(totals.Perplexity());
  const std::string excluding_oov = client::FormatPerplexity(totals.PerplexityExcludingOov());
  if (arguments_.totals_only && arguments_.format == Format::kTsv) {
    return absl::StrFormat("%s%d\t%d\t%d\t%d\t%s\t%s\t%s\n",
                           arguments_.header
                               ? "sentences\twords\ttokens\toov_"
                                 "tokens\tlogprob\tperplexity\tperplexity_excluding_oov\n"
                               : "",
                           totals.sentences, totals.words, totals.tokens, totals.oov_tokens,
                           Shortest(totals.logprob * factor_), perplexity, excluding_oov);
  }
  if (arguments_.totals_only && arguments_.format == Format::kJson) {
    const cli::Json object = {{"sentences", totals.sentences},
                              {"words", totals.words},
                              {"tokens", totals.tokens},
                              {"oov_tokens", totals.oov_tokens},
                              {"logprob", totals.logprob * factor_},
                              {"perplexity", totals.Perplexity()},
                              {"perplexity_excluding_oov", totals.PerplexityExcludingOov()}};
    return object.dump() + "\n";
  }
  // The lines of bitlm-train eval, and its digits.
  return absl::StrFormat(
      "sentences                 %d\n"
      "words                     %d\n"
      "%-26s%d\n"
      "OOV tokens                %d\n"
      "%-26s%.4f\n"
      "perplexity including OOV  %s\n"
      "perplexity excluding OOV  %s\n",
      totals.sentences, totals.words,
      arguments_.options.end_of_sentence ? "tokens (with </s>)" : "tokens", totals.tokens,
      totals.oov_tokens,
      arguments_.base == "e" ? "log probability (nats)"
                             : absl::StrCat("log probability (base ", arguments_.base, ")"),
      totals.logprob * factor_, perplexity, excluding_oov);
}

}  // namespace bitlm::cli
