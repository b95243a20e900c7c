#include "server/service/request_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bitlm {
namespace {

TEST(RequestLogTest, KeepsTheCallersRequestId) {
  EXPECT_EQ(ReadIdentity("a-B.9_/:", "").request_id, "a-B.9_/:");
  EXPECT_EQ(ReadIdentity(std::string(128, 'a'), "").request_id, std::string(128, 'a'));
}

TEST(RequestLogTest, MakesAnIdWhereTheCallersWouldSpoilTheLog) {
  for (const std::string id : {"", "a b", "a\nb", "a\"b", "\xc3\xa9", "a=b"}) {
    EXPECT_EQ(ReadIdentity(id, "").request_id.size(), 16u) << id;
  }
  EXPECT_EQ(ReadIdentity(std::string(129, 'a'), "").request_id.size(), 16u);
  EXPECT_NE(ReadIdentity("", "").request_id, ReadIdentity("", "").request_id);
}

// The examples of https://www.w3.org/TR/trace-context/.
TEST(RequestLogTest, ReadsTraceparents) {
  const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736", parent = "00f067aa0ba902b7";
  for (const std::string& text : std::vector<std::string>{
           "00-" + trace + "-" + parent + "-01", "cc-" + trace + "-" + parent + "-01",
           "cc-" + trace + "-" + parent + "-01-what-the-future-will-be-like"}) {
    const RequestIdentity identity = ReadIdentity("", text);
    EXPECT_EQ(identity.trace_id, trace) << text;
    EXPECT_EQ(identity.parent_id, parent) << text;
  }
  for (const std::string& text : std::vector<std::string>{
           std::string(), "ff-" + trace + "-" + parent + "-01", "00-" + trace + "-" + parent,
           "00-" + trace + "-" + parent + "-01-more", "cc-" + trace + "-" + parent + "-01.more",
           "00-" + std::string(32, '0') + "-" + parent + "-01",
           "00-" + trace + "-" + std::string(16, '0') + "-01",
           "00-" + std::string(32, 'G') + "-" + parent + "-01",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + parent + "-01",
           "00_" + trace + "_" + parent + "_01"}) {
    EXPECT_EQ(ReadIdentity("", text).trace_id, "") << text;
  }
}

}  // namespace
}  // namespace bitlm
