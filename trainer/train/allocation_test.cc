// Steps of a run after its first ones allocate nothing.

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/thread_pool.h"
#include "trainer/train/training_run_testing.h"

namespace {

std::atomic<int64_t> allocations = 0;

}  // namespace

// In the place of glibc's, for every library of the process; operator new and AlignedBuffer call
// them. Not posix_memalign, which only oneDNN calls, for the work space of its float32 products.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(old, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, size);
}
}
// NOLINTEND(bugprone-reserved-identifier)

namespace bitlm::trainer {
namespace {

constexpr char kAdam[] = "checkpoint_seconds = 1000\noptimizer = adam\nlearning_rate = 0.003\n";

class AllocationTest : public TrainingRunTest {
 protected:
  // More than 100 steps an epoch, so that no run validates after its first step.
  void SetUp() override {
    TrainingRunTest::SetUp();
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/train.txt", MadeUpText(1, 6000)).ok());
  }
  int64_t AllocationsOf(const Recipe& recipe, int64_t steps) {
    std::filesystem::remove_all(directory_ + "/run");
    TrainingOptions options = Options("run");
    // In bfloat16 oneDNN allocates in every product. That its products in float32 do so by
    // posix_memalign alone is what was found on AVX-512 CPUs.
    options.precision = Precision::kFloat32;
    options.threads = 1;  // Others allocate their work space whenever they first have work.
    options.stop_after_steps = steps;
    auto run = TrainingRun::Create(recipe, options);
    EXPECT_TRUE(run.ok()) << run.status();
    if (!run.ok()) return -1;
    const int64_t before = allocations.load();
    EXPECT_EQ(*(*run)->Train(), TrainingEnd::kStopped);
    return allocations.load() - before;
  }
  void ExpectNoneAfterTheFirst(const std::string& model, const std::string& keys) {
    SCOPED_TRACE(absl::StrCat(model, "\n", keys));
    const Recipe recipe = MakeRecipe(model, kAdam + keys);
    constexpr int64_t kFirst = 60, kMore = 30;
    AllocationsOf(recipe, kFirst);  // oneDNN generates its code.
    const int64_t first = AllocationsOf(recipe, kFirst);
    EXPECT_GT(first, 0);
    EXPECT_EQ(AllocationsOf(recipe, kFirst + kMore) - first, 0);
  }
};

TEST(ThreadPoolAllocationTest, LoopsAllocateNothing) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum = 0;
  const int64_t many[] = {1, 2, 3, 4};  // More than fits into a std::function.
  const auto loop = [&, a = many[0], b = many[1], c = many[2], d = many[3]](size_t i) {
    sum += a + b + c + d + static_cast<int64_t>(i);
  };
  pool.ParallelFor(100, loop);
  const int64_t before = allocations.load();
  pool.ParallelFor(100, loop);
  EXPECT_EQ(allocations.load() - before, 0);
  EXPECT_EQ(sum, 2 * (1000 + 4950));
}

TEST_F(AllocationTest, EveryKindOfLanguageModel) {
  for (const char* model : {"lstm", "belm", "bllm", "bllm-no-io_fitted", "bw-lstm_binary_bias",
                            "xnor-lstm", "xnor-lstm-bn", "lstm_layer_norm", "lstm_layers_2", "tied",
                            "tied-binary", "tied-binary_planes_2_3_1"}) {
    ExpectNoneAfterTheFirst(model, "");
  }
}

TEST_F(AllocationTest, EveryOption) {
  ExpectNoneAfterTheFirst("lstm", "optimizer = sgd\nlearning_rate = 1\n");
  ExpectNoneAfterTheFirst("tied",
                          "dropout.input = 0.2\ndropout.state = 0.2\ndropout.words = 0.2\n"
                          "dropout.recurrent = 0.2\ndropout.projection = 0.2\n"
                          "dropout.variational = true\nactivation_regularization = 2\n"
                          "temporal_activation_regularization = 1\nweight_decay = 0.1\n"
                          "average.decay = 0.99\n");
  ExpectNoneAfterTheFirst("bllm",
                          "activation_quantization = true\nmodel.output_bias = true\n"
                          "model.self_normalized = true\nself_normalization.weight = 0.1\n"
                          "self_normalization.dimensions = 4\n");
  ExpectNoneAfterTheFirst("tied-binary_planes_2", "binary.anneal = 0.5\n");
}

TEST_F(AllocationTest, Teachers) {
  const Recipe taught = MakeRecipe("lstm", "epochs = 1\n");
  const std::string teacher = TrainAndExport(taught, Options("teacher"));
  ExpectNoneAfterTheFirst(
      "bllm", absl::StrCat("init.model = ", teacher, "\ndistillation.model = ", teacher, " ",
                           teacher, "\ndistillation.temperature = 2\n"));
  ExpectNoneAfterTheFirst("lstm", absl::StrCat("init.model = ", teacher,
                                               "\npruning.recurrent = 0.5\n"
                                               "pruning.embedding = 0.5\n"));
}

// More words than samples, each of them in the first steps.
TEST_F(AllocationTest, SampledSoftmax) {
  std::string text;
  for (int word = 0; word < 1200; ++word) absl::StrAppend(&text, "a", word, " ");
  ASSERT_TRUE(
      WriteFileAtomically(directory_ + "/train.txt", text + "\n" + MadeUpText(1, 6000)).ok());
  ExpectNoneAfterTheFirst("belm", "softmax.samples = 1024\nsoftmax.sampled_part = 1\n");
}

}  // namespace
}  // namespace bitlm::trainer
