// The flags by which a client's program is told what to show a server.
#pragma once

#include <CLI/CLI.hpp>

#include "clients/cpp/client.h"

namespace bitlm::client {

// Adds --tls, --tls-ca-file, --tls-cert-file and --tls-key-file with their environment variables,
// and takes the token from BITLM_TOKEN. `credentials` outlives the parse.
void AddCredentialFlags(CLI::App* app, Credentials* credentials);

// After the parse: a file that belongs to TLS switches it on.
void CompleteCredentials(Credentials* credentials);

}  // namespace bitlm::client
