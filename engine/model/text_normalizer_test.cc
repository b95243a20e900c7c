#include "engine/model/text_normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/str_join.h"
#include "engine/base/file.h"
#include "engine/model/unicode_tables.h"
#include "engine/model/utf8.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The words of `text`, joined by '|'.
std::string Normalized(std::string_view text) {
  const auto words = SplitWords(text, NormalizationKind::kLowercaseNoPunctuation);
  return words.ok() ? absl::StrJoin(*words, "|") : words.status().ToString();
}

TEST(Utf8Test, FindsTheFirstInvalidByte) {
  constexpr size_t kValid = std::string_view::npos;
  const std::pair<std::string, size_t> cases[] = {
      {"", kValid},
      {"ascii \x7f", kValid},
      {"\xC2\x80", kValid},          // U+0080, shortest of two bytes
      {"\xDF\xBF", kValid},          // U+07FF
      {"\xE0\xA0\x80", kValid},      // U+0800
      {"\xED\x9F\xBF", kValid},      // U+D7FF, last before the surrogates
      {"\xEE\x80\x80", kValid},      // U+E000
      {"\xEF\xBF\xBF", kValid},      // U+FFFF
      {"\xF0\x90\x80\x80", kValid},  // U+10000
      {"\xF4\x8F\xBF\xBF", kValid},  // U+10FFFF
      {"a\x80", 1},                  // continuation alone
      {"ab\xBF", 2},
      {"\xC0\x80", 0},          // overlong NUL
      {"\xC1\xBF", 0},          // overlong
      {"\xE0\x9F\xBF", 0},      // overlong
      {"\xF0\x8F\xBF\xBF", 0},  // overlong
      {"\xED\xA0\x80", 0},      // surrogate U+D800
      {"\xED\xBF\xBF", 0},      // surrogate U+DFFF
      {"\xF4\x90\x80\x80", 0},  // above U+10FFFF
      {"\xF5\x80\x80\x80", 0},
      {"\xF8\x88\x80\x80\x80", 0},  // five bytes
      {"\xFF", 0},
      {"\xFE", 0},
      {"x\xC3", 1},  // cut short
      {"x\xE2\x82", 1},
      {"x\xF0\x9F\x98", 1},
      {"\xC3x", 0},  // not a continuation
      {"é\xE2\x28\xA1", 2},
  };
  for (const auto& [text, offset] : cases) {
    EXPECT_EQ(FindInvalidUtf8(text), offset) << testing::PrintToString(text);
  }
}

TEST(Utf8Test, EveryCodePointSurvivesEncodingAndDecoding) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    AppendUtf8(c, &text);
    const DecodedCodePoint decoded = DecodeUtf8(text, 0);
    ASSERT_EQ(decoded.value, c);
    ASSERT_EQ(decoded.bytes, text.size());
  }
}

TEST(SplitWordsTest, NoneSplitsAtAsciiWhiteSpaceOnly) {
  const auto split = [](std::string_view text) {
    return *SplitWords(text, NormalizationKind::kNone);
  };
  EXPECT_THAT(split(""), IsEmpty());
  EXPECT_THAT(split(" \t\n\r\v\f "), IsEmpty());
  EXPECT_THAT(split("  The\tU.S.\n\n<unk> \xC2\xA0x "),
              ElementsAre("The", "U.S.", "<unk>", "\xC2\xA0x"));
}

TEST(SplitWordsTest, BothKindsRefuseInvalidTextWithTheByteOffset) {
  for (NormalizationKind kind :
       {NormalizationKind::kNone, NormalizationKind::kLowercaseNoPunctuation}) {
    EXPECT_THAT(SplitWords("secret \xFF", kind),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("UTF-8 at byte 7")));
    EXPECT_THAT(SplitWords(std::string_view("ab\0c", 4), kind),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NUL at byte 2")));
    EXPECT_THAT(SplitWords("secret \xFF", kind),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::Not(HasSubstr("secret"))));
  }
}

TEST(SplitWordsTest, LowercaseAndPunctuation) {
  EXPECT_EQ(Normalized("Hello, World!"), "hello|world");
  EXPECT_EQ(Normalized("\"Why?\" he asked."), "why|he|asked");
  EXPECT_EQ(Normalized("“Curly” «quotes» ¿qué?"), "curly|quotes|qué");
  EXPECT_EQ(Normalized("The U.S. has 50 states; 3,000 counties (2020)."),
            "the|us|has|50|states|3000|counties|2020");
  EXPECT_EQ(Normalized("$5 + 50% = €7 ©"), "5|50|7");
  EXPECT_EQ(Normalized("<unk> #tag @you"), "unk|tag|you");
  EXPECT_EQ(Normalized("smile 😀 now ☃"), "smile|now");
  EXPECT_EQ(Normalized("... ! ?"), "");
  EXPECT_EQ(Normalized(" \t\n"), "");
}

TEST(SplitWordsTest, ApostrophesStayInsideWordsOnly) {
  EXPECT_EQ(Normalized("don't DON’T don‘t don`t don´t donʼt"),
            "don't|don't|don't|don't|don't|don't");
  EXPECT_EQ(Normalized("'Tis the dogs' bone, rock 'n' roll"), "tis|the|dogs|bone|rock|n|roll");
  EXPECT_EQ(Normalized("‘Don’t go,’ he said"), "don't|go|he|said");
  EXPECT_EQ(Normalized("o''clock"), "o'clock");
  EXPECT_EQ(Normalized("John.'s"), "john's");
  EXPECT_EQ(Normalized("the '90s"), "the|90s");
  EXPECT_EQ(Normalized("' '' '''"), "");
  EXPECT_EQ(Normalized("dogs'-ears"), "dogs|ears");
}

TEST(SplitWordsTest, DashesSlashesAndEllipsesSeparate) {
  EXPECT_EQ(Normalized("amber-tinted well–known em—dash x‐y 3−2"),
            "amber|tinted|well|known|em|dash|x|y|3|2");
  EXPECT_EQ(Normalized("and/or a_b c|d e\\f"), "and|or|a|b|c|d|e|f");
  EXPECT_EQ(Normalized("wait...what? wait…what a..b"), "wait|what|wait|what|a|b");
  EXPECT_EQ(Normalized("- -- —"), "");
}

TEST(SplitWordsTest, UnicodeSpacesSeparateAndInvisiblesVanish) {
  EXPECT_EQ(Normalized("a\u00A0b\u2003c\u3000d\u2028e\u0085f\u200Bg"), "a|b|c|d|e|f|g");
  EXPECT_EQ(Normalized("\uFEFFso\u00ADft jo\u200Din"), "soft|join");
  EXPECT_EQ(Normalized("bell\x07 del\x7F"), "bell|del");
}

TEST(SplitWordsTest, LettersOfEveryScriptAreLowered) {
  EXPECT_EQ(Normalized("ÀÉÎÕÜÞ × ÷ ß ÿ"), "àéîõüþ|ß|ÿ");
  EXPECT_EQ(Normalized("ŠŽŁŸĀŐİIĞ"), "šžłÿāőiiğ");
  EXPECT_EQ(Normalized("ƁƆǄȺẀẞỲ"), "ɓɔǆⱥẁßỳ");
  EXPECT_EQ(Normalized("ΑΒΓ Привет Ёж"), "αβγ|привет|ёж");
  EXPECT_EQ(Normalized("ＡＢＣ！"), "ａｂｃ");
  EXPECT_EQ(Normalized("漢字、仮名。"), "漢字仮名");
  // Combining marks stay: text is not composed.
  EXPECT_EQ(Normalized("E\u0301"), "e\u0301");
}

TEST(SplitWordsTest, HugeWordsAndManyWords) {
  const std::string word(1 << 20, 'A');
  const auto one = SplitWords(word, NormalizationKind::kLowercaseNoPunctuation);
  ASSERT_THAT(one, IsOk());
  EXPECT_THAT(*one, ElementsAre(std::string(1 << 20, 'a')));
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "Word, ";
  for (NormalizationKind kind :
       {NormalizationKind::kNone, NormalizationKind::kLowercaseNoPunctuation}) {
    const auto many = SplitWords(text, kind);
    ASSERT_THAT(many, IsOk());
    EXPECT_EQ(many->size(), 100000u);
  }
}

TEST(SplitWordsTest, NormalizingTwiceChangesNothing) {
  std::string text;
  for (char32_t c = 1; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    text += "x'";
    AppendUtf8(c, &text);
    text += "'y ";
  }
  const auto once = SplitWords(text, NormalizationKind::kLowercaseNoPunctuation);
  ASSERT_THAT(once, IsOk());
  const auto twice =
      SplitWords(absl::StrJoin(*once, " "), NormalizationKind::kLowercaseNoPunctuation);
  ASSERT_THAT(twice, IsOk());
  EXPECT_EQ(*once, *twice);
}

TEST(SplitWordsTest, GutenbergCorpusIsAlreadyNormalized) {
  const char* data = std::getenv("BITLM_DATA");
  if (data == nullptr) GTEST_SKIP() << "BITLM_DATA is not set";
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       ReadFile(std::string(data) + "/gutenberg/valid.txt"));
  const auto as_is = SplitWords(text, NormalizationKind::kNone);
  const auto normalized = SplitWords(text, NormalizationKind::kLowercaseNoPunctuation);
  ASSERT_THAT(as_is, IsOk());
  ASSERT_THAT(normalized, IsOk());
  EXPECT_GT(as_is->size(), 100000u);
  EXPECT_EQ(*as_is, *normalized);
}

TEST(UnicodeTablesTest, Boundaries) {
  EXPECT_TRUE(IsPunctuationOrSymbol(0x80));
  EXPECT_TRUE(IsPunctuationOrSymbol(0xD7));
  EXPECT_FALSE(IsPunctuationOrSymbol(0xD6));
  EXPECT_FALSE(IsPunctuationOrSymbol(0xD8));
  EXPECT_FALSE(IsPunctuationOrSymbol(0x4E00));
  EXPECT_TRUE(IsPunctuationOrSymbol(0x10FFFD));
  EXPECT_EQ(ToLower(0xC0), char32_t{0xE0});
  EXPECT_EQ(ToLower(0xDE), char32_t{0xFE});
  EXPECT_EQ(ToLower(0x100), char32_t{0x101});
  EXPECT_EQ(ToLower(0x101), char32_t{0x101});
  EXPECT_EQ(ToLower(0x1E943), char32_t{0x1E943});
  EXPECT_EQ(ToLower(0x1E921), char32_t{0x1E943});
  EXPECT_EQ(ToLower(0x10FFFF), char32_t{0x10FFFF});
}

}  // namespace
}  // namespace bitlm
