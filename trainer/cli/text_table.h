// TextTable: rows of figures for a terminal or a Markdown file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bitlm::trainer {

// Collects cells, then prints them. The first column is set left, or the first `left` ones; the
// others, which hold numbers, right.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header, size_t left = 1);

  // As many cells as the header has.
  void Add(std::vector<std::string> cells);

  // Columns of equal width, two blanks between them.
  std::string Plain() const;
  // A table of GitHub Flavored Markdown.
  std::string Markdown() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // The header first.
  size_t left_;
};

// 48008000 as "48,008,000".
std::string WithThousands(uint64_t number);

}  // namespace bitlm::trainer
