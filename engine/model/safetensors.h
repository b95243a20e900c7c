// The safetensors container (docs/model-format.md): 8 bytes of header length, a JSON header, data.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/model/tensor.h"

namespace bitlm {

// Longest header that is read; ours have a few kilobytes.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 1 << 20;

// Parses a whole file that must hold exactly the tensors of `specs`. Everything is proven before
// the first tensor is allocated: header length, names, dtypes, shapes, offsets that cover the data
// section without holes or overlaps, file size. Then values: finite floats, padding bits 0.
// `source` prefixes messages. Errors: DATA_LOSS naming the tensor and the field.
absl::StatusOr<TensorMap> ParseSafetensors(std::string_view file, std::span<const TensorSpec> specs,
                                           std::string_view source);

// Proves as much from the first bytes of a file of `file_bytes` bytes: `prefix` has at least
// SafetensorsHeaderBytes of them. So a file is refused before its data is read.
absl::Status CheckSafetensorsHeader(std::string_view prefix, uint64_t file_bytes,
                                    std::span<const TensorSpec> specs, std::string_view source);
// Bytes up to the data section, by the file's first 8; 8 when the length is more than
// kMaxSafetensorsHeaderBytes or `first` is shorter.
uint64_t SafetensorsHeaderBytes(std::string_view first);

// The file that holds `tensors`: data contiguous, 32-bit tensors first, then by name, as the
// safetensors library writes; header padded with spaces so that the data starts at a multiple
// of 64.
std::string SerializeSafetensors(const TensorMap& tensors);

}  // namespace bitlm
