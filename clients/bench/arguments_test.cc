#include "clients/bench/arguments.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bitlm::bench {
namespace {

TEST(BenchArgumentsTest, DefaultsAreAClosedLoop) {
  const auto arguments = ParseArguments({"--sentences", "text"});
  ASSERT_TRUE(arguments.ok()) << arguments.status();
  EXPECT_EQ(arguments->sentences, "text");
  EXPECT_EQ(arguments->load.rate, 0);
  EXPECT_EQ(arguments->load.concurrency, 1);
  EXPECT_EQ(arguments->load.duration, absl::Seconds(10));
  EXPECT_EQ(arguments->workload.rpc, Rpc::kScoreSentences);
}

TEST(BenchArgumentsTest, ReadsEverything) {
  const auto arguments = ParseArguments({"--nbest",
                                         "-",
                                         "--rate",
                                         "250",
                                         "--arrivals",
                                         "constant",
                                         "--storm",
                                         "0.5",
                                         "--storm-deadline-min-ms",
                                         "2",
                                         "--storm-deadline-max-ms",
                                         "4.5",
                                         "--cancel",
                                         "0.1",
                                         "--duration-s",
                                         "0.5",
                                         "--warmup-s",
                                         "0",
                                         "--connections",
                                         "8",
                                         "--json",
                                         "--seed",
                                         "9"});
  ASSERT_TRUE(arguments.ok()) << arguments.status();
  EXPECT_EQ(arguments->nbest, "-");
  EXPECT_EQ(arguments->load.rate, 250);
  EXPECT_EQ(arguments->load.arrivals, ArrivalKind::kConstant);
  EXPECT_EQ(arguments->load.storm_deadline_min, absl::Milliseconds(2));
  EXPECT_EQ(arguments->load.storm_deadline_max, absl::Microseconds(4500));
  EXPECT_EQ(arguments->load.cancel, 0.1);
  EXPECT_EQ(arguments->load.duration, absl::Milliseconds(500));
  EXPECT_EQ(arguments->load.warmup, absl::ZeroDuration());
  EXPECT_EQ(arguments->load.connections, 8);
  EXPECT_EQ(arguments->load.seed, 9u);
  EXPECT_TRUE(arguments->json);
}

TEST(BenchArgumentsTest, RefusesWithTheFlag) {
  const std::vector<std::vector<std::string>> wrong = {
      {"--rate", "-1"},          {"--storm", "2"},  {"--duration-s", "0"},
      {"--deadline-ms", "soon"}, {"--rpc", "load"}, {"--concurrency", "0"}};
  for (const std::vector<std::string>& flags : wrong) {
    std::vector<std::string> args = {"--sentences", "x"};
    args.insert(args.end(), flags.begin(), flags.end());
    const auto arguments = ParseArguments(args);
    ASSERT_FALSE(arguments.ok()) << flags[0];
    EXPECT_NE(std::string(arguments.status().message()).find(flags[0]), std::string::npos)
        << arguments.status();
  }
  EXPECT_FALSE(ParseArguments({}).ok());
  EXPECT_FALSE(ParseArguments({"--sentences", "a", "--nbest", "b"}).ok());
  EXPECT_FALSE(ParseArguments({"--nbest", "b", "--rpc", "next"}).ok());
}

TEST(BenchArgumentsTest, HelpAndVersionAreOutput) {
  EXPECT_NE(ParseArguments({"--help"})->output.find("--rate"), std::string::npos);
  EXPECT_EQ(ParseArguments({"--version"})->output.substr(0, 12), "bitlm-bench ");
}

TEST(BenchArgumentsTest, FilesOfTlsSwitchItOn) {
  const auto plain = ParseArguments({"--sentences", "text"});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_FALSE(plain->load.credentials.tls);
  const auto secure = ParseArguments({"--sentences", "text", "--tls-ca-file", "ca.pem"});
  ASSERT_TRUE(secure.ok()) << secure.status();
  EXPECT_TRUE(secure->load.credentials.tls);
  EXPECT_EQ(secure->load.credentials.ca_file, "ca.pem");
}

}  // namespace
}  // namespace bitlm::bench
