#include "server/registry/model_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "engine/model/model.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ModelRegistryTest : public ::testing::Test {
 protected:
  ModelRegistryTest()
      : model_(*MakeCpuLanguageModel(
            std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 8, 8), 1)))) {}
  void Add(const std::string& name, int64_t version) {
    registry_.Add(std::make_shared<ServedModel>(
        name, version, model_, WordIndex(model_->vocabulary()), nullptr, nullptr, nullptr));
  }

  const std::shared_ptr<const LanguageModel> model_;
  ModelRegistry registry_;
};

TEST_F(ModelRegistryTest, FindsByNameAndVersion) {
  Add("a", 1);
  Add("a", 3);
  EXPECT_EQ((*registry_.Find("a", 1))->version, 1);
  EXPECT_EQ((*registry_.Find("a", 0))->version, 3);
  EXPECT_EQ((*registry_.Find("", 0))->name, "a");  // The only one.
  EXPECT_THAT(registry_.Find("a", 2),
              StatusIs(absl::StatusCode::kNotFound,
                       StartsWith("model_version: a has no version 2; it has 1, 3")));
  EXPECT_THAT(registry_.Find("b", 0),
              StatusIs(absl::StatusCode::kNotFound, StartsWith("model: no such model")));
  EXPECT_THAT(registry_.Find("a", -1),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("model_version: -1")));
  Add("b", 1);
  registry_.SetDefault("b");
  EXPECT_EQ((*registry_.Find("", 0))->name, "b");
  EXPECT_EQ((*registry_.Find("a", 0))->name, "a");
  registry_.SetDefault("c");
  EXPECT_THAT(registry_.Find("", 0), StatusIs(absl::StatusCode::kNotFound));
  registry_.SetDefault("");
  EXPECT_THAT(registry_.Find("", 0),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("model: empty")));
}

TEST_F(ModelRegistryTest, WhatCannotBeServedSaysWhy) {
  Add("a", 1);
  registry_.AddUnservable("a", 2, "activation_planes: \"2\"");
  registry_.AddUnservable("b", 1, "head: \"classifier\"");
  EXPECT_EQ((*registry_.Find("a", 0))->version, 1);  // The highest that is served.
  EXPECT_EQ((*registry_.Find("", 0))->name, "a");
  EXPECT_THAT(registry_.Find("a", 2),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "model: this server cannot serve a version 2: activation_planes: \"2\""));
  EXPECT_THAT(registry_.Find("a", 3), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(registry_.Find("b", 0),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("b version 1: head: ")));
  EXPECT_THAT(registry_.Find("b", 2), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(registry_.List(), SizeIs(1));
}

TEST_F(ModelRegistryTest, MessagesListTenAndCountTheRest) {
  const std::string prefix(200, 'm');
  for (int i = 0; i < 100; ++i) Add(absl::StrCat(prefix, i + 100), 1);
  for (int i = 1; i <= 11; ++i) Add("versions", i);
  EXPECT_THAT(registry_.Find("", 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("101 models: "), HasSubstr("m109"), Not(HasSubstr("m110")),
                             EndsWith(" and 91 more (ListModels)"))));
  EXPECT_THAT(registry_.Find("versions", 12),
              StatusIs(absl::StatusCode::kNotFound, EndsWith("9, 10 and 1 more (ListModels)")));
}

}  // namespace
}  // namespace bitlm
