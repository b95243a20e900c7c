#include "trainer/init/from_model_check.h"

#include <string>
#include <string_view>
#include <tuple>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"

namespace bitlm::trainer {
namespace {

absl::Status Mismatch(const char* option, std::string_view model, std::string_view expected) {
  return absl::FailedPreconditionError(
      absl::StrFormat("%s %s, expected %s", option, std::string(model), std::string(expected)));
}

}  // namespace

absl::Status CheckMatches(const ModelConfig& from, const ModelConfig& to, bool fitted) {
  for (const auto& [option, have, want] :
       {std::tuple("vocabulary_size", from.vocabulary_size, to.vocabulary_size),
        std::tuple("hidden_size", from.hidden_size, to.hidden_size),
        std::tuple("embedding_size", from.embedding_size, to.embedding_size),
        std::tuple("layers", from.layers, to.layers)}) {
    if (have != want) return Mismatch(option, std::to_string(have), std::to_string(want));
  }
  // A layer may come in front of the LSTM only where the width stays.
  if (from.LstmInputSize(0) != to.LstmInputSize(0)) {
    return Mismatch("input size of the LSTM", std::to_string(from.LstmInputSize(0)),
                    std::to_string(to.LstmInputSize(0)));
  }
  const auto any_binary = [](MatrixKind a, MatrixKind b) {
    return a == MatrixKind::kBinary || b == MatrixKind::kBinary;
  };
  for (const auto& [option, binary, have, want] :
       {std::tuple("bit_planes", any_binary(from.embedding, from.output_embedding), from.bit_planes,
                   to.bit_planes),
        std::tuple("recurrent_planes", any_binary(from.recurrent, from.recurrent),
                   from.RecurrentPlanes(), to.RecurrentPlanes()),
        std::tuple("projection_planes", any_binary(from.input_projection, from.output_projection),
                   from.ProjectionPlanes(), to.ProjectionPlanes())}) {
    if (binary && have > 1 && have != want) {
      return Mismatch(option, std::to_string(have), std::to_string(want));
    }
  }
  const auto check = [fitted](const char* option, MatrixKind table, MatrixKind layer,
                              MatrixKind to_table, MatrixKind to_layer) {
    const bool had = layer != MatrixKind::kNone, has = to_layer != MatrixKind::kNone;
    if (had && !has) return Mismatch(option, "with a linear layer", "one without");
    const bool tied = table == MatrixKind::kTied || to_table == MatrixKind::kTied;
    if (had == has || tied) {
      const bool starts = fitted && table == MatrixKind::kFloat && to_table == MatrixKind::kBinary;
      return table == to_table || starts ? absl::OkStatus()
                                         : Mismatch(option, ToString(table), ToString(to_table));
    }
    if (table != MatrixKind::kFloat) return Mismatch(option, ToString(table), "float");
    if (to_table == MatrixKind::kBinary) return absl::OkStatus();
    return Mismatch(option, "without a linear layer", "one with it, as the table stays float");
  };
  BITLM_RETURN_IF_ERROR(
      check("embedding", from.embedding, from.input_projection, to.embedding, to.input_projection));
  BITLM_RETURN_IF_ERROR(check("output_embedding", from.output_embedding, from.output_projection,
                              to.output_embedding, to.output_projection));
  if (from.output_bias && !to.output_bias) {
    return Mismatch("output_bias", "true", "false");
  }
  if (from.recurrent == MatrixKind::kBinary && to.recurrent != MatrixKind::kBinary) {
    return Mismatch("recurrent", ToString(from.recurrent), ToString(to.recurrent));
  }
  for (const auto& [option, had, has] :
       {std::tuple("recurrent", from.recurrent, to.recurrent),
        std::tuple("input_projection", from.input_projection, to.input_projection),
        std::tuple("output_projection", from.output_projection, to.output_projection)}) {
    if (has != MatrixKind::kBinary) continue;
    if (had == MatrixKind::kBinary && from.scale != to.scale) {
      return Mismatch("scale", ToString(from.scale), ToString(to.scale));
    }
    // [ZT] has no such layer.
    if (had != MatrixKind::kBinary && to.scale == ScaleKind::kPerMatrix &&
        std::string_view(option) != "recurrent") {
      return Mismatch(option, ToString(had), "binary, as scale is per_matrix");
    }
  }
  if (from.activation != to.activation && to.activation != ActivationKind::kSign) {
    return Mismatch("activation", ToString(from.activation), ToString(to.activation));
  }
  if (from.norm != to.norm && (from.norm != NormKind::kNone || to.norm != NormKind::kBatch)) {
    return Mismatch("norm", ToString(from.norm), ToString(to.norm));
  }
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
