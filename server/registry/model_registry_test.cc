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
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
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

  absl::StatusOr<std::shared_ptr<const ServedModel>> Find(std::string_view name, int64_t version,
                                                          std::string_view label = {}) {
    return registry_.Find({name, version, label});
  }

  const std::shared_ptr<const LanguageModel> model_;
  ModelRegistry registry_;
};

TEST_F(ModelRegistryTest, FindsByNameAndVersion) {
  Add("a", 1);
  Add("a", 3);
  EXPECT_EQ((*Find("a", 1))->version, 1);
  EXPECT_EQ((*Find("a", 0))->version, 3);
  EXPECT_EQ((*Find("", 0))->name, "a");  // The only one.
  EXPECT_THAT(Find("a", 2), StatusIs(absl::StatusCode::kNotFound,
                                     StartsWith("model_version: a has no version 2; it has 1, 3")));
  EXPECT_THAT(Find("b", 0),
              StatusIs(absl::StatusCode::kNotFound, StartsWith("model: no such model")));
  EXPECT_THAT(Find("a", -1),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("model_version: -1")));
  Add("b", 1);
  registry_.SetDefault("b");
  EXPECT_EQ((*Find("", 0))->name, "b");
  EXPECT_EQ((*Find("a", 0))->name, "a");
  registry_.SetDefault("c");
  EXPECT_THAT(Find("", 0), StatusIs(absl::StatusCode::kNotFound));
  registry_.SetDefault("");
  EXPECT_THAT(Find("", 0),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("model: empty")));
}

TEST_F(ModelRegistryTest, WhatCannotBeServedSaysWhy) {
  Add("a", 1);
  registry_.SetFailure({"a", 2, absl::FailedPreconditionError("activation_planes: \"2\"")});
  registry_.SetFailure({"b", 1, absl::FailedPreconditionError("head: \"classifier\"")});
  registry_.SetFailure({"c", 1, absl::DataLossError("model.safetensors: checksum")});
  EXPECT_EQ((*Find("a", 0))->version, 1);  // The highest that is served.
  EXPECT_EQ((*Find("", 0))->name, "a");
  EXPECT_THAT(Find("a", 2),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "model: this server cannot serve a version 2: activation_planes: \"2\""));
  EXPECT_THAT(Find("a", 3), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Find("b", 0),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("b version 1: head: ")));
  EXPECT_THAT(Find("b", 2), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Find("c", 0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(registry_.List(), SizeIs(1));
  EXPECT_THAT(registry_.Failures(), SizeIs(3));
  Add("b", 1);
  EXPECT_THAT(Find("b", 1), IsOk());
  EXPECT_THAT(registry_.Failures(), SizeIs(2));
}

TEST_F(ModelRegistryTest, LabelsNameVersions) {
  Add("a", 1);
  Add("a", 3);
  EXPECT_EQ((*Find("a", 0, "latest"))->version, 3);
  EXPECT_THAT(Find("a", 0, "stable"),
              StatusIs(absl::StatusCode::kNotFound, "model_label: a has no such label"));
  registry_.SetLabels("a", {{"stable", 1}, {"old", 1}, {"gone", 2}});
  EXPECT_EQ((*Find("a", 0, "stable"))->version, 1);
  EXPECT_EQ((*Find("", 0, "stable"))->version, 1);
  EXPECT_THAT(registry_.Labels(**Find("a", 1)), ElementsAre("old", "stable"));
  EXPECT_THAT(registry_.Labels(**Find("a", 3)), IsEmpty());
  EXPECT_THAT(Find("a", 0, "gone"),
              StatusIs(absl::StatusCode::kNotFound, StartsWith("model_label: a has no version 2")));
  EXPECT_THAT(Find("a", 1, "stable"),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("model_label: ")));
}

TEST_F(ModelRegistryTest, RemovedVersionsStayWithThoseWhoHaveThem) {
  Add("a", 1);
  Add("a", 2);
  const std::shared_ptr<const ServedModel> held = *Find("a", 2);
  EXPECT_EQ(registry_.Remove("a", 2), held);
  EXPECT_EQ(registry_.Remove("a", 2), nullptr);
  EXPECT_EQ((*Find("a", 0))->version, 1);
  EXPECT_TRUE(registry_.Serves("a"));
  registry_.Remove("a", 1);
  EXPECT_FALSE(registry_.Serves("a"));
  EXPECT_THAT(Find("", 0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(held->version, 2);
}

TEST_F(ModelRegistryTest, MessagesListTenAndCountTheRest) {
  const std::string prefix(200, 'm');
  for (int i = 0; i < 100; ++i) Add(absl::StrCat(prefix, i + 100), 1);
  for (int i = 1; i <= 11; ++i) Add("versions", i);
  EXPECT_THAT(Find("", 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("101 models: "), HasSubstr("m109"), Not(HasSubstr("m110")),
                             EndsWith(" and 91 more (ListModels)"))));
  EXPECT_THAT(Find("versions", 12),
              StatusIs(absl::StatusCode::kNotFound, EndsWith("9, 10 and 1 more (ListModels)")));
}

}  // namespace
}  // namespace bitlm
