#include "engine/model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kSource[] = "m/model.safetensors";

// Two small tensors by hand: a F32 [2, 1], b U8 [3, 1] with 5 columns.
const std::vector<TensorSpec>& Specs() {
  static const auto* const specs =
      new std::vector<TensorSpec>{{"a", DType::kF32, {2, 1}, 1}, {"b", DType::kU8, {3, 1}, 5}};
  return *specs;
}

std::string File(std::string_view header, std::string_view data) {
  std::string file;
  for (int i = 0; i < 8; ++i) file.push_back(static_cast<char>(header.size() >> (8 * i) & 0xFF));
  return file.append(header).append(data);
}

constexpr char kA[] = R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]})";
constexpr char kB[] = R"("b":{"dtype":"U8","shape":[3,1],"data_offsets":[8,11]})";
const std::string kData("\0\0\x80\x3f\0\0\0\xc0\x1f\x00\x01", 11);  // 1, -2; rows 31, 0, 1.

std::string Header(std::string_view a, std::string_view b) {
  return "{" + std::string(a) + "," + std::string(b) + "}";
}

TEST(SafetensorsTest, ReadsAFileWrittenByHand) {
  ASSERT_OK_AND_ASSIGN(const TensorMap tensors,
                       ParseSafetensors(File(Header(kA, kB), kData), Specs(), kSource));
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_THAT(tensors.at("a").f32(), testing::ElementsAre(1.0f, -2.0f));
  EXPECT_THAT(tensors.at("b").u8(), testing::ElementsAre(31, 0, 1));
  EXPECT_THAT(tensors.at("b").shape, testing::ElementsAre(3, 1));
}

TEST(SafetensorsTest, AcceptsMetadataAnyOrderAndWhiteSpace) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             "\n " +
                             std::string(kB) + " , " + kA + "}   ";
  EXPECT_THAT(ParseSafetensors(File(header, kData), Specs(), kSource), IsOk());
}

TEST(SafetensorsTest, WrittenFileIsAlignedSortedAndReadBack) {
  const ModelConfig config = TinyConfig("bllm", 10, 9, 6);
  const Model model = RandomModel(config, 1);
  const std::string file = SerializeSafetensors(model.tensors);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), 8);
  EXPECT_EQ((8 + header_bytes) % 64, 0u);
  EXPECT_EQ(file.size(), 8 + header_bytes + WeightBytes(config));
  EXPECT_LT(file.find("output_projection.scale"), file.find("embedding.weight"));
  ASSERT_OK_AND_ASSIGN(const TensorMap tensors,
                       ParseSafetensors(file, RequiredTensors(config), kSource));
  EXPECT_EQ(SerializeSafetensors(tensors), file);
}

struct Fault {
  std::string file;
  const char* message;
};

TEST(SafetensorsTest, EveryFaultIsNamed) {
  const auto a = [](const char* json) { return File(Header(json, kB), kData); };
  const auto b = [](const char* json) { return File(Header(kA, json), kData); };
  std::string longer = File(Header(kA, kB), kData);
  longer[0] = static_cast<char>(200);
  std::string huge = File(Header(kA, kB), kData);
  huge[7] = '\x7f';
  std::string nan = kData;
  const float not_a_number = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(nan.data() + 4, &not_a_number, 4);
  std::string infinite = kData;
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(infinite.data(), &infinity, 4);
  std::string padding = kData;
  padding[9] = '\x20';
  const std::string nested = R"({"a":)" + std::string(100000, '[');
  const Fault faults[] = {
      {"", "header length: 0 bytes in the file"},
      {"1234567", "header length: 7 bytes in the file"},
      {longer, "header length: 200 bytes, expected at most"},
      {huge, "header length: "},
      {File("", kData), "header: expected \"{\""},
      {File(" {}", kData), "header: expected \"{\""},
      {File("{", kData), "header: line 1, column 2: not valid JSON"},
      {File("{}x", kData), "header: line 1, column 3: not valid JSON"},
      {File("{}", kData), "tensor \"a\": missing"},
      {File("{" + std::string(kA) + "}", kData), "tensor \"b\": missing"},
      {File("{\"a\":{},\n\"a\":{}}", kData), "header: \"a\": repeated key"},
      {File(nested, kData), "nested more than 16 levels"},
      {File(Header(kA, kB).insert(1, R"("c":{},)"), kData), "header: c: not a tensor"},
      {File(Header(kA, kB).insert(1, R"("__metadata__":[],)"), kData), "__metadata__: expected"},
      {File(Header(kA, kB).insert(1, R"("__metadata__":{"x":1},)"), kData),
       "__metadata__: expected only strings"},
      {a(R"("a":1)"), "tensor \"a\": expected an object"},
      {a(R"("a":{"dtype":"F32","shape":[2,1]})"), "tensor \"a\": data_offsets: missing"},
      {a(R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8],"x":0})"),
       "tensor \"a\": x: unknown key"},
      {a(R"("a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,8]})"),
       "tensor \"a\": dtype: not the expected F32"},
      {a(R"("a":{"dtype":32,"shape":[2,1],"data_offsets":[0,8]})"),
       "tensor \"a\": dtype: expected a string"},
      {a(R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]})"),
       "tensor \"a\": shape [1, 2], expected [2, 1]"},
      {a(R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,8]})"),
       "tensor \"a\": shape [], expected [2, 1]"},
      {a(R"("a":{"dtype":"F32","shape":[-2,-1],"data_offsets":[0,8]})"),
       "tensor \"a\": shape: expected integers"},
      {a(R"("a":{"dtype":"F32","shape":[4294967296,4294967298],"data_offsets":[0,8]})"),
       "tensor \"a\": shape [4294967296, 4294967298], expected"},
      {a(R"("a":{"dtype":"F32","shape":[18446744073709551617,1],"data_offsets":[0,8]})"),
       "tensor \"a\": shape: expected integers"},
      {a(R"("a":{"dtype":"F32","shape":[2.0,1],"data_offsets":[0,8]})"),
       "tensor \"a\": shape: expected integers"},
      {a(R"("a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]})"),
       "tensor \"a\": shape: too many numbers"},
      {a(R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0]})"),
       "tensor \"a\": data_offsets [0], expected [begin, end]"},
      {a(R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[8,0]})"),
       "tensor \"a\": data_offsets [8, 0], expected [begin, end]"},
      {a(R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]})"),
       "tensor \"a\": data_offsets [4, 12], expected [begin, end] in the 11 bytes"},
      {a(R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,9]})"),
       "tensor \"a\": data_offsets: 9 bytes, expected 8"},
      {b(R"("b":{"dtype":"U8","shape":[3,1],"data_offsets":[7,10]})"),
       "tensor \"b\": data_offsets start at 7, expected 8"},
      {b(R"("b":{"dtype":"U8","shape":[3,1],"data_offsets":[0,3]})"), "data_offsets start at"},
      {File(Header(kA, kB), kData + "x"), "data: 12 bytes after the header, the tensors have 11"},
      {File(Header(kA, kB), kData.substr(0, 10)), "tensor \"b\": data_offsets [8, 11]"},
      {File(Header(kA, kB), nan), "tensor \"a\": value 1 is not finite"},
      {File(Header(kA, kB), infinite), "tensor \"a\": value 0 is not finite"},
      {File(Header(kA, kB), padding), "tensor \"b\": row 1: padding bits are not 0"},
  };
  for (const Fault& fault : faults) {
    const auto result = ParseSafetensors(fault.file, Specs(), kSource);
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kDataLoss, HasSubstr(fault.message)));
    EXPECT_THAT(result,
                StatusIs(absl::StatusCode::kDataLoss, StartsWith(std::string(kSource) + ": ")));
  }
}

TEST(SafetensorsTest, ManyUnknownKeysAreRefusedQuickly) {
  std::string header = "{";
  for (int i = 0; header.size() < kMaxSafetensorsHeaderBytes - 16; ++i) {
    header += "\"" + std::to_string(i) + "\":0,";
  }
  header.back() = '}';
  EXPECT_THAT(ParseSafetensors(File(header, kData), Specs(), kSource),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("not a tensor")));
  header.insert(1, std::string(16, ' '));
  EXPECT_THAT(ParseSafetensors(File(header, kData), Specs(), kSource),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("header length")));
}

}  // namespace
}  // namespace bitlm
