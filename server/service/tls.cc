#include "server/service/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace bitlm {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

Bio Open(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// No pass phrase: nobody is there to type one.
int NoPassPhrase(char*, int, int, void*) { return 0; }

absl::StatusOr<Certificate> ParseCertificate(std::string_view pem) {
  const Bio bio = Open(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassPhrase, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) return absl::InvalidArgumentError("no certificate in PEM");
  return certificate;
}

absl::StatusOr<absl::Time> Expiry(const X509& certificate) {
  std::tm time = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &time) != 1) {
    return absl::InvalidArgumentError("a certificate without an end");
  }
  return absl::FromTimeT(timegm(&time));
}

absl::Status Name(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

}  // namespace

absl::StatusOr<absl::Time> CertificateExpiry(std::string_view pem) {
  BITLM_ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(pem));
  return Expiry(*certificate);
}

absl::StatusOr<absl::Time> CheckTls(const TlsFiles& files) {
  BITLM_ASSIGN_OR_RETURN(const std::string chain, ReadFile(files.certificate, kMaxFileBytes));
  const absl::StatusOr<Certificate> certificate = ParseCertificate(chain);
  if (!certificate.ok()) return Name(files.certificate, certificate.status());
  const absl::StatusOr<absl::Time> expiry = Expiry(**certificate);
  if (!expiry.ok()) return Name(files.certificate, expiry.status());
  if (*expiry <= absl::Now()) {
    return absl::InvalidArgumentError(absl::StrCat(files.certificate, ": ended at ",
                                                   absl::FormatTime(*expiry, absl::UTCTimeZone())));
  }
  BITLM_ASSIGN_OR_RETURN(const std::string key_pem, ReadFile(files.key, kMaxFileBytes));
  const Bio key_bio = Open(key_pem);
  const Key key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, NoPassPhrase, nullptr));
  const bool fits = key != nullptr && X509_check_private_key(certificate->get(), key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.key, ": no private key in PEM without a pass phrase"));
  }
  if (!fits) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.key, ": is not the key of ", files.certificate));
  }
  if (!files.client_ca.empty()) {
    BITLM_ASSIGN_OR_RETURN(const std::string ca, ReadFile(files.client_ca, kMaxFileBytes));
    if (const auto root = ParseCertificate(ca); !root.ok()) {
      return Name(files.client_ca, root.status());
    }
  }
  return *expiry;
}

std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsFiles& files,
                                                            absl::Duration interval) {
  const auto seconds = static_cast<unsigned>(std::max<int64_t>(1, absl::ToInt64Seconds(interval)));
  auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      files.key, files.certificate, files.client_ca, seconds);
  grpc::experimental::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (files.client_ca.empty()) {
    options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  } else {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace bitlm
