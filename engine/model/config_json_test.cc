#include "engine/model/config_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_replace.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::HasSubstr;

Manifest Sample() {
  Manifest manifest;
  manifest.config = TinyConfig("bllm", 10, 9, 6);
  manifest.metadata = {.name = "sample",
                       .corpus = "a \"quoted\" corpus, café",
                       .license = "CC0",
                       .recipe = "sample.recipe",
                       .protocol = "document",
                       .valid_perplexity = 0.1 + 0.2,
                       .training_tokens = INT64_MAX};
  manifest.golden = {{"w0 w1 <unk>", -std::nextafter(12.5, 13)}, {"", -1e-300}};
  manifest.vocabulary = {123, std::string(64, 'a')};
  manifest.tensors = {4567, std::string(64, '0')};
  return manifest;
}

// A sample's text with `from` replaced by `to` and sealed again.
std::string Edited(std::string_view from, std::string_view to) {
  const std::string text = SerializeManifest(Sample());
  EXPECT_NE(text.find(from), std::string::npos) << from;
  return SealConfig(absl::StrReplaceAll(text, {{ToAbsl(from), ToAbsl(to)}}));
}

TEST(ConfigJsonTest, RoundTripKeepsEveryField) {
  Manifest manifest = Sample();
  for (const std::string& preset : PresetNames()) {
    manifest.config = TinyConfig(preset, 10, 6, 6);
    manifest.config.layers = 2;
    manifest.config.activation_planes = 2;
    manifest.config.output_bias = true;
    manifest.config.context = ContextKind::kDocument;
    manifest.config.self_normalized = true;
    manifest.config.normalization = NormalizationKind::kLowercaseNoPunctuation;
    const std::string text = SerializeManifest(manifest);
    ASSERT_OK_AND_ASSIGN(const Manifest read, ParseManifest(text, "config.json"));
    EXPECT_EQ(read.config, manifest.config);
    EXPECT_EQ(read.metadata.name, manifest.metadata.name);
    EXPECT_EQ(read.metadata.corpus, manifest.metadata.corpus);
    EXPECT_EQ(read.metadata.license, manifest.metadata.license);
    EXPECT_EQ(read.metadata.recipe, manifest.metadata.recipe);
    EXPECT_EQ(read.metadata.protocol, manifest.metadata.protocol);
    EXPECT_EQ(read.metadata.valid_perplexity, manifest.metadata.valid_perplexity);
    EXPECT_EQ(read.metadata.training_tokens, manifest.metadata.training_tokens);
    EXPECT_EQ(read.metadata.numerics_version, kNumericsVersion);
    EXPECT_EQ(read.vocabulary, manifest.vocabulary);
    EXPECT_EQ(read.tensors, manifest.tensors);
    ASSERT_EQ(read.golden.size(), 2u);
    EXPECT_EQ(read.golden[0].text, manifest.golden[0].text);
    EXPECT_EQ(read.golden[0].logprob, manifest.golden[0].logprob);
    EXPECT_EQ(read.golden[1].logprob, manifest.golden[1].logprob);
    EXPECT_EQ(SerializeManifest(read), text);
  }
}

// They came after format version 1 was settled: a file without them means the same as ever.
TEST(ConfigJsonTest, PlanesOfAMatrixAreWrittenWhereTheyAreNotTheTables) {
  Manifest manifest = Sample();
  const std::string without = SerializeManifest(manifest);
  EXPECT_EQ(without.find("recurrent_planes"), std::string::npos);
  EXPECT_EQ(without.find("projection_planes"), std::string::npos);
  manifest.config.recurrent_planes = 3;
  manifest.config.projection_planes = 2;
  const std::string text = SerializeManifest(manifest);
  EXPECT_NE(text.find("\"recurrent_planes\": 3"), std::string::npos);
  ASSERT_OK_AND_ASSIGN(const Manifest read, ParseManifest(text, "config.json"));
  EXPECT_EQ(read.config, manifest.config);
  EXPECT_EQ(SerializeManifest(read), text);
}

TEST(ConfigJsonTest, DoublesOfEveryMagnitudeSurvive) {
  RandomBits random(1);
  Manifest manifest = Sample();
  for (int i = 0; i < 2000; ++i) {
    const int exponent = static_cast<int>(random.Below(1200)) - 700;
    const double unit = static_cast<double>(random.Next() >> 11) * 0x1p-53;
    manifest.golden[0].logprob = -std::ldexp(unit, exponent);
    ASSERT_OK_AND_ASSIGN(const Manifest read,
                         ParseManifest(SerializeManifest(manifest), "config.json"));
    ASSERT_EQ(read.golden[0].logprob, manifest.golden[0].logprob);
  }
}

TEST(ConfigJsonTest, NewerVersionsNeedANewerProgram) {
  EXPECT_THAT(
      ParseManifest(Edited("\"format_version\": 1", "\"format_version\": 2"), "config.json"),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("config.json: format_version: 2, this program reads at most 1")));
  EXPECT_THAT(
      ParseManifest(Edited("\"numerics_version\": 1", "\"numerics_version\": 9"), "config.json"),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("config.json: numerics_version: 9")));
}

TEST(ConfigJsonTest, EveryFaultIsNamed) {
  const std::tuple<const char*, const char*, const char*> edits[] = {
      {"\"format_version\": 1", "\"format_version\": 0", "format_version: 0, expected 1 to"},
      {"\"format_version\": 1", "\"format_version\": \"1\"", "format_version: expected an integer"},
      {"\"format_version\": 1,", "", "format_version: missing"},
      {"\"format_version\": 1,", "\"format_version\": 1, \"extra\": 1,", "extra: unknown key"},
      {"\"format_version\": 1,", "\"format_version\": 1, \"format_version\": 1,",
       "\"format_version\": repeated key"},
      {"\"preset\": \"bllm\"", "\"preset\": \"belt\"", "network.preset: unknown name \"belt\""},
      {"\"recurrent\": \"binary\"", "\"recurrent\": \"bin\"",
       "network.recurrent: \"bin\", expected one of: none, float"},
      {"\"recurrent\": \"binary\"", "\"recurrent\": true", "network.recurrent: expected a string"},
      {"\"recurrent\": \"binary\"", "\"recurrent\": \"tied\"", "network.recurrent: \"tied\""},
      {"\"hidden_size\": 6", "\"hidden_size\": \"6\"", "network.hidden_size: expected an integer"},
      {"\"hidden_size\": 6", "\"hidden_size\": 6.0", "network.hidden_size: expected an integer"},
      {"\"hidden_size\": 6", "\"hidden_size\": 99999999999", "network.hidden_size: 99999999999"},
      {"\"hidden_size\": 6", "\"hidden_size\": 18446744073709551615", "network.hidden_size: 184"},
      {"\"hidden_size\": 6", "\"hidden_size\": -6", "network.hidden_size: -6, expected 1 to 65536"},
      {"\"hidden_size\": 6", "\"hidden_size\": 7", "weight_bytes: "},
      {"\"output_bias\": false", "\"output_bias\": 0", "network.output_bias: expected true or"},
      {"\"layers\": 1,", "\"layers\": 1, \"depth\": 1,", "network.depth: unknown key"},
      {"\"layers\": 1,", "", "network.layers: missing"},
      {"\"layers\": 1,", "\"layers\": 1, \"recurrent_planes\": 4,",
       "network.recurrent_planes: 4, expected 0 to 3"},
      {"\"layers\": 1,", "\"layers\": 1, \"projection_planes\": true,",
       "network.projection_planes: expected an integer"},
      {"\"license\": \"CC0\"", "\"license\": null", "metadata.license: expected a string"},
      {"\"license\": \"CC0\"", "\"license\": \"\\u0000\"", "metadata.license: NUL"},
      {"\"license\": \"CC0\"", "\"licence\": \"CC0\"", "metadata.licence: unknown key"},
      {"\"protocol\": \"document\"", "\"protocol\": \"page\"", "metadata.protocol: expected"},
      {"\"valid_perplexity\": 0.30000000000000004", "\"valid_perplexity\": -1",
       "metadata.valid_perplexity: expected"},
      {"\"valid_perplexity\": 0.30000000000000004", "\"valid_perplexity\": 1e999",
       "number out of range"},
      {"\"training_tokens\": 9223372036854775807", "\"training_tokens\": 9223372036854775808",
       "metadata.training_tokens: 9223372036854775808, expected 0 to"},
      {"\"weight_bytes\": ", "\"weight_bytes\": 1", "weight_bytes: 1"},
      {"\"vocab.txt\"", "\"words.txt\"", "files.words.txt: unknown key"},
      {"\"bytes\": 123", "\"bytes\": -123", "files.vocab.txt.bytes: -123"},
      {"\"bytes\": 123", "\"bytes\": 123, \"md5\": \"\"", "files.vocab.txt.md5: unknown key"},
      {"\"sha256\": \"aaaa", "\"sha256\": \"AAAA", "files.vocab.txt.sha256: expected 64 lower"},
      {"\"sha256\": \"aaaa", "\"sha256\": \"aaa", "files.vocab.txt.sha256: expected 64 lower"},
      {"w0 w1", "w0  w1", "golden[0].text: expected words separated by single spaces"},
      {"\"text\": \"w0", "\"words\": \"w0", "golden[0].words: unknown key"},
      {"\"logprob\": -1e-300", "\"logprob\": 1", "golden[1].logprob: expected"},
      {"\"logprob\": -1e-300", "\"logprob\": \"-1\"", "golden[1].logprob: expected a number"},
      {"\"golden\": [", "\"golden\": [1,", "golden[0]: expected an object"},
      {"\"network\": {", "\"network\": [{", "line "},
      {"\"format_version\": 1,", "\"format_version\": 01,", "line 2, column 22: not valid JSON"},
      {"CC0", "CC\xff", "not valid JSON"},
      {"CC0", "CC\n0", "not valid JSON"},
  };
  for (const auto& [from, to, message] : edits) {
    EXPECT_THAT(
        ParseManifest(Edited(from, to), "dir/config.json"),
        StatusIs(absl::StatusCode::kDataLoss,
                 testing::AllOf(testing::StartsWith("dir/config.json: "), HasSubstr(message))))
        << to;
  }
}

TEST(ConfigJsonTest, NotAnObject) {
  for (const char* text :
       {"", " ", "[]", "1", "null", "\"x\"", "{", "{}}", "// {}", "{\"a\":1,}"}) {
    EXPECT_THAT(ParseManifest(text, "config.json"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("config.json: line 1")))
        << text;
  }
}

TEST(ConfigJsonTest, SealBreaksWhenAnythingChanges) {
  const std::string text = SerializeManifest(Sample());
  EXPECT_EQ(SealConfig(text), text);
  for (const auto& [from, to] : {std::pair("café", "cafe"), std::pair("\n}\n", "\n}\n\n"),
                                 std::pair("\"CC0\"", "\"\\u0043C0\"")}) {
    EXPECT_THAT(ParseManifest(absl::StrReplaceAll(text, {{from, to}}), "config.json"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("config.json: config_sha256:")));
    EXPECT_THAT(ParseManifest(Edited(from, to), "config.json"), IsOk());
  }
  // A seal that FindSeal cannot find is as wrong as a bad one.
  EXPECT_THAT(ParseManifest(Edited("\"config_sha256\": ", "\"config_sha256\":  "), "config.json"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("config_sha256:")));
  EXPECT_THAT(
      ParseManifest(Edited("\"config_sha256\": \"", "\"config_sha256\": \"0"), "config.json"),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("config_sha256: expected 64")));
  EXPECT_EQ(SealConfig("no seal"), "no seal");
  EXPECT_EQ(SealConfig("\"config_sha256\": \""), "\"config_sha256\": \"");
}

TEST(ConfigJsonTest, TextThatLooksLikeASealDoesNotConfuse) {
  Manifest manifest = Sample();
  manifest.metadata.name = "\"config_sha256\": \"" + std::string(64, 'f') + "\"";
  ASSERT_OK_AND_ASSIGN(const Manifest read,
                       ParseManifest(SerializeManifest(manifest), "config.json"));
  EXPECT_EQ(read.metadata.name, manifest.metadata.name);
}

TEST(ConfigJsonTest, ValidateManifestNamesWhatCannotBeWritten) {
  const auto refuses = [](const char* message, auto change) {
    Manifest manifest = Sample();
    change(manifest);
    EXPECT_THAT(ValidateManifest(manifest),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  EXPECT_THAT(ValidateManifest(Sample()), IsOk());
  refuses("network.hidden_size", [](Manifest& m) { m.config.hidden_size = 0; });
  refuses("metadata.name: not valid UTF-8 at byte 1",
          [](Manifest& m) { m.metadata.name = "a\xFF"; });
  refuses("metadata.recipe: NUL", [](Manifest& m) { m.metadata.recipe.assign(1, '\0'); });
  refuses("metadata.protocol", [](Manifest& m) { m.metadata.protocol = ""; });
  refuses("metadata.valid_perplexity", [](Manifest& m) { m.metadata.valid_perplexity = NAN; });
  refuses("metadata.training_tokens", [](Manifest& m) { m.metadata.training_tokens = -1; });
  refuses("numerics_version", [](Manifest& m) { m.metadata.numerics_version = 2; });
  refuses("golden[1].text", [](Manifest& m) { m.golden[1].text = " w0"; });
  refuses("golden[0].logprob", [](Manifest& m) { m.golden[0].logprob = -INFINITY; });
  refuses("golden: 1001", [](Manifest& m) { m.golden.resize(1001); });
}

}  // namespace
}  // namespace bitlm
