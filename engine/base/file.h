// Whole files in and out: reading with a size limit, gzip, and writing that is atomic and durable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bitlm {

// Reads a whole regular file. Errors: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED when it is
// larger than `max_bytes`, INVALID_ARGUMENT for a directory, INTERNAL for a read error. Every
// message starts with the path.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes = UINT64_MAX);

// Reads the first `bytes` bytes, or all of a shorter file. Errors: as ReadFile.
absl::StatusOr<std::string> ReadFilePrefix(const std::string& path, size_t bytes);

// Reads a whole file; one whose name ends in .gz is decompressed. Errors: also DATA_LOSS for a
// damaged gzip stream.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

// Writes `contents` to a temporary file beside `path`, syncs it, renames it over `path`, and syncs
// the directory: after a crash the old or the new contents are there, whole. The temporary file's
// name is `path`.tmp: a crash leaves at most that one behind, and one process at a time may write.
absl::Status WriteFileAtomically(const std::string& path, std::string_view contents);

// Syncs a directory's entries to disk.
absl::Status SyncDirectory(const std::string& path);

}  // namespace bitlm
