#include "clients/flags/credential_flags.h"

#include <cstdlib>

namespace bitlm::client {

void AddCredentialFlags(CLI::App* app, Credentials* credentials) {
  app->add_flag("--tls", credentials->tls,
                "The server has TLS; the system's certificates are trusted")
      ->envname("BITLM_TLS");
  app->add_option("--tls-ca-file", credentials->ca_file, "Trust these certificates instead, PEM")
      ->envname("BITLM_TLS_CA_FILE");
  app->add_option("--tls-cert-file", credentials->certificate_file,
                  "Certificate of this client, PEM, for servers that want one")
      ->envname("BITLM_TLS_CERT_FILE");
  app->add_option("--tls-key-file", credentials->key_file, "Its private key, PEM")
      ->envname("BITLM_TLS_KEY_FILE");
  // Not a flag: other users of the machine see those.
  app->footer(
      "A bearer token, for servers that want one, comes from the environment: BITLM_TOKEN.");
  if (const char* token = std::getenv("BITLM_TOKEN"); token != nullptr) credentials->token = token;
}

void CompleteCredentials(Credentials* credentials) {
  credentials->tls = credentials->tls || !credentials->ca_file.empty() ||
                     !credentials->certificate_file.empty() || !credentials->key_file.empty();
}

}  // namespace bitlm::client
