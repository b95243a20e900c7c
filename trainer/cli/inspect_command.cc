// bitlm-train inspect: what a model directory holds.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/model/model.h"
#include "engine/nn/language_model.h"
#include "trainer/cli/commands.h"

namespace bitlm::trainer {
namespace {

// [LCY18] Table 1; 0 where it has no formula.
double PaperBytes(const ModelConfig& c) {
  if (c.layers != 1 || c.embedding_size != c.hidden_size) return 0;
  if (c.head != HeadKind::kLanguageModel) return 0;
  const double v = c.vocabulary_size;
  const double h = c.hidden_size;
  if (c.preset == "lstm") return 8 * v * h + 32 * h * h + 16 * h;
  if (c.preset == "belm") return 0.25 * v * h + 40 * h * h + 24 * h;
  if (c.preset == "bllm") return 0.25 * v * h + 1.25 * h * h + 48 * h;
  return 0;
}

// " 95.00 % zeros" of a pruned matrix, "" of others.
std::string Zeros(const Tensor& tensor) {
  if (tensor.dtype != DType::kF32 || tensor.shape.size() < 2) return "";
  const auto values = tensor.f32();
  const auto zeros = std::count(values.begin(), values.end(), 0.0f);
  if (zeros == 0) return "";
  return absl::StrFormat(" %.2f %% zeros",
                         100.0 * static_cast<double>(zeros) / static_cast<double>(values.size()));
}

absl::Status Inspect(const std::string& directory) {
  BITLM_ASSIGN_OR_RETURN(const auto model, ReadModel(directory));
  const ModelConfig& c = model->config;
  const auto line = [](const char* key, const std::string& value) {
    std::printf("%-22s %s\n", key, value.c_str());
  };
  line("name", model->metadata.name);
  line("preset", c.preset);
  line("embedding", std::string(ToString(c.embedding)));
  line("input projection", std::string(ToString(c.input_projection)));
  line("recurrent", std::string(ToString(c.recurrent)));
  line("output projection", std::string(ToString(c.output_projection)));
  line("output embedding", std::string(ToString(c.output_embedding)));
  line("layers", std::to_string(c.layers));
  line("hidden size H", std::to_string(c.hidden_size));
  line("embedding size E", std::to_string(c.embedding_size));
  line("vocabulary size V", std::to_string(c.vocabulary_size));
  if (c.head == HeadKind::kClassifier) line("classes", std::to_string(c.classes));
  line("context", std::string(ToString(c.context)));
  line("normalization", std::string(ToString(c.normalization)));
  line("corpus", model->metadata.corpus);
  line("license", model->metadata.license);
  line("training tokens", std::to_string(model->metadata.training_tokens));
  std::printf("%-22s %.4f (%s protocol)\n", "valid perplexity", model->metadata.valid_perplexity,
              model->metadata.protocol.c_str());
  line("golden sentences", std::to_string(model->golden.size()));
  line("numerics version", std::to_string(model->metadata.numerics_version));
  std::printf("\n%-32s %-5s %-16s %12s\n", "tensor", "type", "shape", "bytes");
  uint64_t total = 0;
  for (const auto& [name, tensor] : model->tensors) {
    const uint64_t bytes = static_cast<uint64_t>(tensor.elements()) * ElementBytes(tensor.dtype);
    total += bytes;
    std::printf("%-32s %-5s %-16s %12llu%s\n", name.c_str(),
                std::string(ToString(tensor.dtype)).c_str(),
                ("[" + absl::StrJoin(tensor.shape, ", ") + "]").c_str(),
                static_cast<unsigned long long>(bytes), Zeros(tensor).c_str());
  }
  std::printf("%-32s %-5s %-16s %12llu\n", "weight bytes", "", "",
              static_cast<unsigned long long>(total));
  uint64_t resident = total;
  if (const auto engine = MakeCpuLanguageModel(model); engine.ok()) {
    resident = (*engine)->weight_bytes();
    std::printf("%-32s %-5s %-16s %12llu\n", "resident weight bytes", "", "",
                static_cast<unsigned long long>(resident));
  }
  if (const double formula = PaperBytes(c); formula > 0) {
    std::printf("%-32s %-5s %-16s %12.0f (resident %+.2f %%)\n", "[LCY18] Table 1", "", "", formula,
                100.0 * (static_cast<double>(resident) / formula - 1));
  }
  std::printf("%-32s %-5s %-16s %12llu\n", "vocabulary (vocab.txt)", "", "",
              static_cast<unsigned long long>(model->vocabulary.Serialize().size()));
  return absl::OkStatus();
}

}  // namespace

void AddInspectCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command = app.add_subcommand("inspect", "Shows and checks a model directory");
  auto directory = std::make_shared<std::string>();
  command->add_option("model", *directory, "Model directory")->required();
  command->callback([directory, status] { *status = Inspect(*directory); });
}

}  // namespace bitlm::trainer
