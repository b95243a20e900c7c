#include "trainer/data/labelled_text.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/model/text_normalizer.h"

namespace bitlm::trainer {
namespace {

// A labelled part of a line: words [first, last).
struct Span {
  int32_t label = 0;
  size_t first = 0, last = 0;
};

bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

// What the Penn Treebank writes for brackets, slashes and asterisks inside words.
std::string Unescaped(std::string_view word) {
  if (word == "-LRB-") return "(";
  if (word == "-RRB-") return ")";
  std::string plain;
  for (size_t i = 0; i < word.size(); ++i) {
    const bool escapes =
        word[i] == '\\' && i + 1 < word.size() && (word[i + 1] == '/' || word[i + 1] == '*');
    if (!escapes) plain.push_back(word[i]);
  }
  return plain;
}

class LineParser {
 public:
  LineParser(std::string_view line, int classes) : line_(line), classes_(classes) {}

  // Its spans, the whole line's last.
  absl::Status Parse() {
    SkipSpace();
    if (line_[at_] == '(') return ParseTree();
    BITLM_ASSIGN_OR_RETURN(const int32_t label, ParseLabel());
    for (SkipSpace(); at_ < line_.size(); SkipSpace()) {
      words_.emplace_back(Token([](char c) { return IsSpace(c); }));
    }
    spans_.push_back({.label = label, .first = 0, .last = words_.size()});
    return absl::OkStatus();
  }

  const std::vector<std::string>& words() const { return words_; }
  const std::vector<Span>& spans() const { return spans_; }

 private:
  void SkipSpace() {
    while (at_ < line_.size() && IsSpace(line_[at_])) ++at_;
  }

  template <typename Ends>
  std::string_view Token(const Ends& ends) {
    const size_t begin = at_;
    while (at_ < line_.size() && !ends(line_[at_])) ++at_;
    return line_.substr(begin, at_ - begin);
  }

  absl::Status Error(const char* expected) const {
    return absl::InvalidArgumentError(absl::StrFormat("byte %d: expected %s", at_ + 1, expected));
  }

  absl::StatusOr<int32_t> ParseLabel() {
    const size_t begin = at_;
    const std::string_view digits =
        Token([](char c) { return IsSpace(c) || c == '(' || c == ')'; });
    int32_t label;
    if (absl::SimpleAtoi(ToAbsl(digits), &label) && label >= 0 && label < classes_) return label;
    return absl::InvalidArgumentError(
        absl::StrFormat("byte %d: expected a label in [0, %d]", begin + 1, classes_ - 1));
  }

  // (label child …), a child being a tree or a word. Not recursive: trees may be deep.
  absl::Status ParseTree() {
    std::vector<Span> open;
    do {
      SkipSpace();
      if (at_ == line_.size()) return Error("\")\"");
      if (line_[at_] == '(') {
        ++at_;
        BITLM_ASSIGN_OR_RETURN(const int32_t label, ParseLabel());
        open.push_back({.label = label, .first = words_.size()});
      } else if (line_[at_] == ')') {
        Span& span = open.back();
        span.last = words_.size();
        if (span.first == span.last) return Error("a word");
        spans_.push_back(span);
        open.pop_back();
        ++at_;
      } else {
        words_.push_back(
            Unescaped(Token([](char c) { return IsSpace(c) || c == '(' || c == ')'; })));
      }
    } while (!open.empty());
    SkipSpace();
    return at_ == line_.size() ? absl::OkStatus() : Error("the end of the line");
  }

  std::string_view line_;
  int classes_;
  size_t at_ = 0;
  std::vector<std::string> words_;
  std::vector<Span> spans_;
};

class Reader {
 public:
  explicit Reader(const LabelledTextOptions& options) : options_(options) {}

  absl::Status AddLine(std::string_view line) {
    LineParser parser(line, options_.classes);
    BITLM_RETURN_IF_ERROR(parser.Parse());
    const std::vector<Span>& spans = parser.spans();
    BITLM_RETURN_IF_ERROR(Add(parser.words(), spans.back(), /*whole=*/true));
    if (options_.phrases == PhraseKind::kSentences) return absl::OkStatus();
    for (size_t i = 0; i + 1 < spans.size(); ++i) {
      BITLM_RETURN_IF_ERROR(Add(parser.words(), spans[i], /*whole=*/false));
    }
    return absl::OkStatus();
  }

  std::vector<LabelledSentence> Take() { return std::move(sentences_); }

 private:
  absl::Status Add(const std::vector<std::string>& all, const Span& span, bool whole) {
    LabelledSentence sentence{
        .text = absl::StrJoin(all.begin() + static_cast<ptrdiff_t>(span.first),
                              all.begin() + static_cast<ptrdiff_t>(span.last), " "),
        .words = {},
        .label = span.label,
        .whole = whole};
    BITLM_ASSIGN_OR_RETURN(sentence.words, SplitWords(sentence.text, options_.normalization));
    for (const std::string& word : sentence.words) {
      if (word == "</s>" || word == "<s>") {
        return absl::InvalidArgumentError("the reserved word " + word);
      }
    }
    if (!whole && sentence.words.empty()) return absl::OkStatus();
    if (options_.phrases == PhraseKind::kDistinct) {
      const bool first =
          seen_.insert(absl::StrCat(span.label, " ", absl::StrJoin(sentence.words, " "))).second;
      if (!first && !whole) return absl::OkStatus();
    }
    sentences_.push_back(std::move(sentence));
    return absl::OkStatus();
  }

  const LabelledTextOptions& options_;
  absl::flat_hash_set<std::string> seen_;
  std::vector<LabelledSentence> sentences_;
};

}  // namespace

absl::StatusOr<std::vector<LabelledSentence>> ReadLabelledText(
    const std::vector<std::string>& paths, const LabelledTextOptions& options) {
  Reader reader(options);
  for (const std::string& path : paths) {
    BITLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
    int64_t line_number = 0;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const std::string_view line = std::string_view(text).substr(begin, end - begin);
      ++line_number;
      begin = end + 1;
      if (std::all_of(line.begin(), line.end(), IsSpace)) continue;
      if (const absl::Status status = reader.AddLine(line); !status.ok()) {
        return absl::Status(
            status.code(), absl::StrFormat("%s: line %d: %s", path, line_number, status.message()));
      }
    }
  }
  return reader.Take();
}

}  // namespace bitlm::trainer
