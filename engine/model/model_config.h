// ModelConfig: the one description of every network that BitLM trains and serves
// (docs/design/network.md).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bitlm {

// How the values of a matrix are stored and multiplied.
enum class MatrixKind {
  kNone,    // The layer is absent.
  kFloat,   // float32.
  kBinary,  // One bit per value, +1 or -1, times a scale.
  kInt8,    // int8 with a float32 scale per row (recurrent matrices only).
  kTied,    // The same matrix as the input embedding (output embedding only).
};

enum class ScaleKind {
  kPerMatrix,  // One alpha per matrix ([ZT] section 3.1, XNOR-Net).
  kPerRow,     // exp(gamma) per row ([LCY18] Algorithm 1).
};

enum class ActivationKind {
  kReal,  // Products take real inputs.
  kSign,  // The inputs of a product are binarized too, separate alpha for W_x and W_h ([ZT]
          // equation 3).
};

enum class NormKind { kNone, kBatch, kLayer };
enum class HeadKind { kLanguageModel, kClassifier };

// Whether the state is reset to zero at every sentence, or carried over the whole text.
enum class ContextKind { kSentence, kDocument };

// How text becomes words before white space splits it.
enum class NormalizationKind {
  kNone,                    // As it is.
  kLowercaseNoPunctuation,  // ASCII and Latin letters to lower case, punctuation dropped, see
                            // text_normalizer.h.
};

// One network. Defaults are those of the preset "lstm".
struct ModelConfig {
  std::string preset = "lstm";

  MatrixKind embedding = MatrixKind::kFloat;         // kFloat, kBinary. [V, E]
  MatrixKind output_embedding = MatrixKind::kFloat;  // kFloat, kBinary, kTied. [V, E]
  MatrixKind input_projection =
      MatrixKind::kNone;  // kNone, kFloat, kBinary. [H, E] ([LCY18] eq. 9, W_Te)
  MatrixKind output_projection =
      MatrixKind::kNone;  // kNone, kFloat, kBinary. [E, H] ([LCY18] eq. 9, W_Ty)
  MatrixKind recurrent = MatrixKind::kFloat;  // kFloat, kInt8, kBinary. [4H, input], [4H, H]
  ScaleKind scale = ScaleKind::kPerRow;       // Of binary projections and recurrent matrices.
  ActivationKind activation = ActivationKind::kReal;
  NormKind norm = NormKind::kNone;
  int bit_planes = 1;         // Residual binary planes per binary matrix. Range [1, 3].
  int recurrent_planes = 0;   // Of W_x and W_h, if binary; 0 = bit_planes. Range [0, 3].
  int projection_planes = 0;  // Of binary projections; 0 = bit_planes. Range [0, 3].
  int activation_planes =
      1;  // int8 planes of the inputs of binary and int8 products (docs/numerics.md). Range [1, 2].
  bool output_bias = false;  // A bias per word; [LCY18] omits it.
  int layers = 1;            // LSTM layers, L. Range [1, 8].
  int hidden_size = 0;       // H. Range [1, 65536].
  int embedding_size = 0;    // E. Range [1, 65536].
  int vocabulary_size = 0;   // V, <unk> and </s> included. Range [2, 4194304].
  HeadKind head = HeadKind::kLanguageModel;
  int classes = 0;                               // Classifier head only.
  ContextKind context = ContextKind::kSentence;  // What the model was trained for.
  bool self_normalized = false;
  NormalizationKind normalization = NormalizationKind::kNone;

  bool operator==(const ModelConfig&) const = default;

  // Input size of LSTM layer `layer`: H after an input projection or another layer, E otherwise.
  int LstmInputSize(int layer) const;
  int RecurrentPlanes() const { return recurrent_planes > 0 ? recurrent_planes : bit_planes; }
  int ProjectionPlanes() const { return projection_planes > 0 ? projection_planes : bit_planes; }
  // The most of a matrix.
  int MostPlanes() const { return std::max({bit_planes, recurrent_planes, projection_planes}); }
  // Rows of the output table: V, or the number of classes.
  int OutputSize() const { return head == HeadKind::kClassifier ? classes : vocabulary_size; }
  // Whether one scale serves a row of W_x and W_h ([LCY18] Algorithm 1), or each has its own.
  bool SharesGateScales() const {
    return recurrent == MatrixKind::kBinary && scale == ScaleKind::kPerRow;
  }
};

// The papers' systems by name: lstm, belm, bllm, bllm-no-i, bllm-no-o, bllm-no-io, bw-lstm,
// xnor-lstm, xnor-lstm-bn, with sizes unset. Errors: INVALID_ARGUMENT for another name, listing the
// known ones.
absl::StatusOr<ModelConfig> PresetConfig(std::string_view preset);
std::vector<std::string> PresetNames();

// INVALID_ARGUMENT when an option is out of range or options contradict each other (E != H without
// the projection that joins them, tied output with another kind of input, …), naming the option.
absl::Status ValidateConfig(const ModelConfig& config);

// FAILED_PRECONDITION when the options are valid but this version of the engine cannot compute them
// yet, naming the option.
absl::Status CheckServable(const ModelConfig& config);

// Names of the enumerators as config.json writes them: "binary", "per_row",
// "lowercase_no_punctuation", ….
std::string_view ToString(MatrixKind kind);
std::string_view ToString(ScaleKind kind);
std::string_view ToString(ActivationKind kind);
std::string_view ToString(NormKind kind);
std::string_view ToString(HeadKind kind);
std::string_view ToString(ContextKind kind);
std::string_view ToString(NormalizationKind kind);

// Sets one option by its name in config.json ("hidden_size", "500"), as recipes and --set do.
// Errors: INVALID_ARGUMENT for an unknown option or a value that does not parse, naming both. Does
// not validate the whole.
absl::Status SetConfigOption(std::string_view name, std::string_view value, ModelConfig* config);

}  // namespace bitlm
