// TLS of the gRPC listener: certificates from files that may be renewed while the server runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/security/server_credentials.h"

namespace bitlm {

// PEM files. All empty: no TLS.
struct TlsFiles {
  std::string certificate;  // The server's chain, its own first.
  std::string key;
  std::string
      client_ca;  // Clients have to show a certificate of one of these. Empty: they need not.

  bool enabled() const { return !certificate.empty(); }
};

// When the first certificate of `pem` ends. Errors: INVALID_ARGUMENT.
absl::StatusOr<absl::Time> CertificateExpiry(std::string_view pem);

// Reads the files and proves that they fit. The result: when the certificate ends. Errors: those of
// ReadFile; INVALID_ARGUMENT naming the file for one that is not PEM, a key that is not the
// certificate's, or a certificate that has ended.
absl::StatusOr<absl::Time> CheckTls(const TlsFiles& files);

// Credentials that read the files again every `interval`: connections that begin then get the new
// certificate, those that there are go on.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsFiles& files,
                                                            absl::Duration interval);

}  // namespace bitlm
