#include "server/service/access.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "grpcpp/server_context.h"

namespace bitlm {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;
constexpr size_t kMinTokenBytes = 16;

// Every method that a server of ours may have.
struct Rule {
  std::string_view method;
  Access access;
};
constexpr Rule kRules[] = {
    {"/bitlm.v1.AdminService/LoadModel", Access::kToken},
    {"/bitlm.v1.AdminService/ReloadModels", Access::kToken},
    {"/bitlm.v1.AdminService/SetDraining", Access::kToken},
    {"/bitlm.v1.AdminService/SetLogLevel", Access::kToken},
    {"/bitlm.v1.AdminService/UnloadModel", Access::kToken},
    {"/bitlm.v1.LanguageModelService/NextWords", Access::kToken},
    {"/bitlm.v1.LanguageModelService/ScoreSentences", Access::kToken},
    {"/bitlm.v1.ModelService/DescribeModel", Access::kToken},
    {"/bitlm.v1.ModelService/GetServerInfo", Access::kToken},
    {"/bitlm.v1.ModelService/ListModels", Access::kToken},
    {"/grpc.health.v1.Health/Check", Access::kOpen},
    {"/grpc.health.v1.Health/Watch", Access::kOpen},
};

bool IsTokenByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("-._~+/=").find(c) != std::string_view::npos;
}

// Ends the call before any method of it runs on: the handler of a stream sees it cancelled.
class Denier : public grpc::experimental::Interceptor {
 public:
  explicit Denier(grpc::ServerContextBase* context) : context_(context) {}
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      context_->TryCancel();
    }
    methods->Proceed();
  }

 private:
  grpc::ServerContextBase* const context_;
};

class AccessInterceptorFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return AccessOf(info->method()) == Access::kDenied ? new Denier(info->server_context())
                                                       : nullptr;
  }
};

}  // namespace

Access AccessOf(std::string_view method) {
  for (const Rule& rule : kRules) {
    if (rule.method == method) return rule.access;
  }
  return Access::kDenied;
}

absl::StatusOr<std::set<std::string, std::less<>>> ParseTokens(std::string_view text) {
  std::set<std::string, std::less<>> tokens;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const absl::string_view line = absl::StripAsciiWhitespace(absl::string_view(text.data(), end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line[0] == '#') continue;
    if (line.size() < kMinTokenBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": a token has at least ", kMinTokenBytes, " characters"));
    }
    if (!std::all_of(line.begin(), line.end(), IsTokenByte)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": a token has only A-Z a-z 0-9 - . _ ~ + / ="));
    }
    tokens.emplace(line);
  }
  if (tokens.empty()) return absl::FailedPreconditionError("no token: nobody could call");
  return tokens;
}

absl::StatusOr<std::unique_ptr<Tokens>> Tokens::Read(const std::string& path) {
  std::unique_ptr<Tokens> tokens(new Tokens(path));
  BITLM_RETURN_IF_ERROR(tokens->Reload());
  return tokens;
}

absl::Status Tokens::Reload() {
  BITLM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path_, kMaxFileBytes));
  const auto tokens = ParseTokens(text);
  if (!tokens.ok()) {
    return absl::Status(tokens.status().code(),
                        absl::StrCat(path_, ": ", tokens.status().message()));
  }
  std::set<std::string, std::less<>> hashes;
  for (const std::string& token : *tokens) hashes.insert(Sha256Hex(token));
  MutexLock lock(mutex_);
  hashes_ = std::move(hashes);
  return absl::OkStatus();
}

absl::Status Tokens::Check(const Metadata& metadata) const {
  constexpr std::string_view kScheme = "bearer ";
  const auto [begin, end] = metadata.equal_range("authorization");
  if (begin == end) return absl::UnauthenticatedError("no bearer token in the metadata");
  if (std::next(begin) != end) return absl::UnauthenticatedError("more than one authorization");
  const std::string_view value(begin->second.data(), begin->second.size());
  const absl::string_view scheme(value.data(), std::min(value.size(), kScheme.size()));
  if (!absl::EqualsIgnoreCase(scheme, absl::string_view(kScheme.data(), kScheme.size()))) {
    return absl::UnauthenticatedError("the authorization is not a bearer token");
  }
  const std::string hash = Sha256Hex(value.substr(kScheme.size()));
  MutexLock lock(mutex_);
  if (hashes_.count(hash) == 0) return absl::UnauthenticatedError("unknown bearer token");
  return absl::OkStatus();
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeAccessInterceptor() {
  return std::make_unique<AccessInterceptorFactory>();
}

}  // namespace bitlm
