#include "trainer/cli/table_options.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace bitlm::trainer {

void AddTableOptions(CLI::App& command, TableOptions* options) {
  command
      .add_option("--table", options->table,
                  "input: the embedding; output: the table that predicts; the same when tied")
      ->capture_default_str()
      ->check(CLI::IsMember({"input", "output"}));
  command.add_flag("--binarize-by-mean", options->binarize,
                   "Take one bit a value, above or below the column's mean (LSTM-bin of [LCY18])");
  command.add_flag("--exact-case", options->exact,
                   "Do not look for a word in lower case that is not there as written");
}

absl::StatusOr<ModelTable> LoadTable(const std::string& directory, const TableOptions& options) {
  BITLM_ASSIGN_OR_RETURN(auto model, ReadModel(directory));
  absl::StatusOr<WordTable> table =
      WordTable::Make(model, options.table == "output" ? TableKind::kOutput : TableKind::kInput);
  if (!table.ok()) {
    return absl::Status(table.status().code(),
                        absl::StrCat(directory, ": ", table.status().message()));
  }
  return ModelTable{.model = std::move(model),
                    .table = options.binarize ? table->BinarizedByMean() : *std::move(table)};
}

}  // namespace bitlm::trainer
