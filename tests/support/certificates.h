// Certificates for tests of TLS: a CA of one's own, made on the spot.
#pragma once

#include <string>

namespace bitlm {

struct KeyPair {
  std::string certificate;  // PEM.
  std::string key;          // PEM.
};

// A CA that signs itself.
KeyPair MakeCa(const std::string& name);
// A certificate of `ca` for the host names "localhost" and address 127.0.0.1, for `days` days from
// now; negative: it has ended.
KeyPair MakeCertificate(const KeyPair& ca, const std::string& name, int days);

}  // namespace bitlm
