#include "server/service/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/certificates.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {
namespace {

using ::testing::HasSubstr;

class TlsTest : public ::testing::Test {
 protected:
  void Write(const KeyPair& pair) {
    std::ofstream(files_.certificate) << pair.certificate;
    std::ofstream(files_.key) << pair.key;
  }

  TemporaryDirectory directory_;
  const KeyPair ca_ = MakeCa("ca");
  TlsFiles files_ = {.certificate = directory_.Path("cert.pem"),
                     .key = directory_.Path("key.pem"),
                     .client_ca = ""};
};

TEST_F(TlsTest, TellsWhenTheCertificateEnds) {
  Write(MakeCertificate(ca_, "server", 10));
  const absl::StatusOr<absl::Time> expiry = CheckTls(files_);
  ASSERT_THAT(expiry, IsOk());
  EXPECT_LT(absl::AbsDuration(*expiry - absl::Now() - absl::Hours(240)), absl::Minutes(5));
  files_.client_ca = directory_.Path("ca.pem");
  std::ofstream(files_.client_ca) << ca_.certificate;
  EXPECT_THAT(CheckTls(files_), IsOk());
}

TEST_F(TlsTest, NamesTheFileThatIsWrong) {
  EXPECT_THAT(CheckTls(files_), StatusIs(absl::StatusCode::kNotFound, HasSubstr("cert.pem")));
  const KeyPair good = MakeCertificate(ca_, "server", 10);
  Write({.certificate = "nothing", .key = good.key});
  EXPECT_THAT(CheckTls(files_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cert.pem")));
  Write({.certificate = good.certificate, .key = "nothing"});
  EXPECT_THAT(CheckTls(files_), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key.pem")));
  Write({.certificate = good.certificate, .key = ca_.key});
  EXPECT_THAT(CheckTls(files_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not the key of")));
  Write(MakeCertificate(ca_, "server", -1));
  EXPECT_THAT(CheckTls(files_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ended at")));
  Write(good);
  files_.client_ca = directory_.Path("ca.pem");
  EXPECT_THAT(CheckTls(files_), StatusIs(absl::StatusCode::kNotFound, HasSubstr("ca.pem")));
}

}  // namespace
}  // namespace bitlm
