// The options that commands on word tables share.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/eval/word_table.h"

namespace bitlm::trainer {

struct TableOptions {
  std::string table = "input";
  bool binarize = false;
  bool exact = false;
};

// Adds --table, --binarize-by-mean and --exact-case.
void AddTableOptions(CLI::App& command, TableOptions* options);

struct ModelTable {
  std::shared_ptr<const Model> model;
  WordTable table;
};

// Reads a model directory and takes the table that the options name. Errors: those of ReadModel and
// WordTable::Make, naming the directory.
absl::StatusOr<ModelTable> LoadTable(const std::string& directory, const TableOptions& options);

}  // namespace bitlm::trainer
