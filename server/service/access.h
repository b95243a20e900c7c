// Who may call what: bearer tokens, and one table of all methods. What is not in the table is
// denied.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "grpcpp/support/server_interceptor.h"
#include "grpcpp/support/string_ref.h"

namespace bitlm {

// What a method asks of its callers when there are tokens.
enum class Access {
  kOpen,    // Nothing: probes have no tokens.
  kToken,   // A token; the method checks it, see UnaryCall.
  kDenied,  // Nobody gets in.
};

// `method`: "/bitlm.v1.ModelService/ListModels".
Access AccessOf(std::string_view method);

using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// The tokens that open the server. Thread-safe.
class Tokens {
 public:
  // Reads a file: a token a line, at least 16 characters of A-Z a-z 0-9 - . _ ~ + / =; empty lines
  // and those that begin with # do not count. Errors: those of ReadFile; INVALID_ARGUMENT naming
  // the line, never the token; FAILED_PRECONDITION for a file without any.
  static absl::StatusOr<std::unique_ptr<Tokens>> Read(const std::string& path);

  // Reads the file again. With an error the tokens stay as they were.
  absl::Status Reload();
  // Whether the call may go on: its metadata has "authorization: Bearer " and a token. Errors:
  // UNAUTHENTICATED.
  absl::Status Check(const Metadata& metadata) const;

 private:
  explicit Tokens(const std::string& path) : path_(path) {}

  const std::string path_;
  mutable Mutex mutex_;
  // Hashes, so that the time of a look-up tells nothing of a token.
  std::set<std::string, std::less<>> hashes_ ABSL_GUARDED_BY(mutex_);
};

// The file's tokens, as Tokens::Read says.
absl::StatusOr<std::set<std::string, std::less<>>> ParseTokens(std::string_view text);

// Cuts off every RPC that the table denies, whoever registered it. Of a server that has tokens.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeAccessInterceptor();

}  // namespace bitlm
