#include "clients/cpp/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace bitlm::client {
namespace {

TEST(Utf8Test, AcceptsTheEdgesOfEveryLength) {
  const std::string_view valid[] = {"", std::string_view("\0\x7f", 2), "\xc2\x80\xdf\xbf",
                                    "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
                                    "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"};
  for (const std::string_view text : valid) {
    EXPECT_EQ(FindInvalidUtf8(text), std::string_view::npos) << text;
  }
}

TEST(Utf8Test, FindsWhatRfc3629Forbids) {
  for (const char* const bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe1\x80",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    EXPECT_EQ(FindInvalidUtf8(std::string("ok") + bad), 2u);
    EXPECT_EQ(FindInvalidUtf8(std::string("ok") + bad + "tail"), 2u);
  }
}

}  // namespace
}  // namespace bitlm::client
