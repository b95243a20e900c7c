#include "trainer/cli/text_table.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/strings/str_replace.h"

namespace bitlm::trainer {
namespace {

// Code points, about the columns of a terminal.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Names of models are free text: a line feed in one must not break a row.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text;
}

}  // namespace

TextTable::TextTable(std::vector<std::string> header, size_t left) : left_(left) {
  rows_.push_back(std::move(header));
}

void TextTable::Add(std::vector<std::string> cells) {
  assert(cells.size() == rows_[0].size());
  for (std::string& cell : cells) cell = OneLine(std::move(cell));
  rows_.push_back(std::move(cells));
}

std::string TextTable::Plain() const {
  std::vector<size_t> widths(rows_[0].size());
  for (const auto& row : rows_) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], Width(row[c]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - Width(row[c]), ' ');
      if (c > 0) line += "  ";
      line += c < left_ ? row[c] + padding : padding + row[c];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string TextTable::Markdown() const {
  std::string out;
  for (size_t r = 0; r < rows_.size(); ++r) {
    for (const std::string& cell : rows_[r]) {
      out += "| " + absl::StrReplaceAll(cell, {{"|", "\\|"}}) + " ";
    }
    out += "|\n";
    if (r > 0) continue;
    for (size_t c = 0; c < rows_[0].size(); ++c) out += c < left_ ? "| --- " : "| ---: ";
    out += "|\n";
  }
  return out;
}

std::string WithThousands(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

}  // namespace bitlm::trainer
