// TrainingRun: a recipe run to its end: training, validation, checkpoints, log, export, and
// evaluation of the exported file.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/file_lock.h"
#include "engine/base/thread_pool.h"
#include "engine/model/model.h"
#include "trainer/data/batcher.h"
#include "trainer/device/device_trainer.h"
#include "trainer/layers/network.h"
#include "trainer/optim/average_trigger.h"
#include "trainer/optim/constant_dimensions.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/pruning.h"
#include "trainer/optim/weight_average.h"
#include "trainer/tensor/fast_backend.h"
#include "trainer/train/recipe.h"
#include "trainer/train/run_data.h"
#include "trainer/train/run_metrics.h"
#include "trainer/train/task.h"

namespace bitlm::trainer {

struct TrainingOptions {
  std::string output;  // Directory of the run: checkpoint, best weights, log.csv, recipe, models/.
  int threads = 1;
  Precision precision = Precision::kFloat32;
  // The device that takes the training steps and validations, MakeCudaTrainer for example; null =
  // the CPU does.
  decltype(&MakeCudaTrainer) make_device = nullptr;
  bool quiet = false;          // No progress on stderr.
  bool existing_only = false;  // Refuse a directory without a run, and change nothing in it.
  int64_t stop_after_steps =
      0;  // For tests: end as if killed after so many steps of this process; 0 = not.
  const std::atomic<bool>* stop =
      nullptr;  // Set by a signal: write a checkpoint and end. May be null.
};

enum class TrainingEnd { kFinished, kStopped };

// Not thread-safe. In the output directory:
//   recipe.txt      the recipe with its overrides; a second run with another recipe is refused
//   checkpoint.bin  the state of the last interval; a run starts from it when it is there
//   best.bin        the weights with the best validation perplexity, of a classifier accuracy
//   log.csv         one line a validation
//   metrics.prom    the last checkpoint's progress, for Prometheus
//   models/<name>/1 the exported model, when training has ended
//   lock            held by the process that trains
class TrainingRun {
 public:
  // Reads the corpora, builds network and optimizer, and resumes from the output directory's
  // checkpoint if there is one. Errors: as ReadRecipe's data; FAILED_PRECONDITION when the
  // directory belongs to another recipe, or another process trains in it.
  static absl::StatusOr<std::unique_ptr<TrainingRun>> Create(const Recipe& recipe,
                                                             const TrainingOptions& options);

  // Trains to the recipe's end. kStopped: stopped by `stop` or `stop_after_steps`; the former has
  // left a checkpoint.
  absl::StatusOr<TrainingEnd> Train();

  // Writes the best weights as a model and has the serving engine evaluate the written file.
  // Returns its directory.
  absl::StatusOr<std::string> Export();

 private:
  TrainingRun(const Recipe& recipe, const TrainingOptions& options, const Task& task, RunData data);

  std::string Path(const std::string& name) const { return options_.output + "/" + name; }
  // The model of a recipe's key, with the words of data.train.
  absl::StatusOr<std::shared_ptr<const Model>> ReadOther(const char* key,
                                                         const std::string& directory) const;
  // It as a packed network.
  absl::StatusOr<std::unique_ptr<Network<FastBackend>>> NetworkOf(const Model& model);
  absl::Status Initialize();
  // <unk>, which a vocabulary of all words leaves without training, becomes what word dropout
  // shows.
  void ForgetUnusedWords(std::span<const int64_t> counts);
  absl::Status SetWordVectors(std::span<const int64_t> counts);
  // The best weights of another run of the same network, latent values included.
  absl::Status TakeWeights(const std::string& directory);
  absl::Status MakeTeachers();
  // Makes the device with the teachers', if the options name one; later gives them what the run
  // begins with.
  absl::Status MakeDevice();
  absl::Status SendToDevice();
  // One step's loss; the parameters move.
  absl::StatusOr<double> StepOnCpu(const Batch& batch, uint64_t dropout_key, bool averages);
  absl::StatusOr<double> StepOnDevice(const Batch& batch, uint64_t dropout_key, bool averages);
  // What the device has, for checkpoints, best weights and the end.
  absl::Status FetchFromDevice();
  absl::StatusOr<Validation> ValidateOnDevice();
  float Rate() const {
    return static_cast<float>(LearningRate(recipe_.schedule, schedule_, step_, total_steps_));
  }
  // What the step with this batch learns from the teachers; valid until the next call.
  const Distillation<float>& Teach(const Batch& batch);
  // For a self-normalized network with a bias per word: subtracts the mean log Z of data.valid from
  // the biases, which changes no probability. Of random values near 0 it is ln V (Devlin et al.
  // 2014, section 2.2).
  void CenterLogZ();
  float Hardness() const;
  Validation Validate();
  void TuneTemperature();
  absl::Status ValidateAndLog();
  bool Averaging() const { return average_ && average_->updates() > 0; }
  absl::Status WriteState();
  absl::Status WriteMetrics();
  absl::Status ReadState();
  std::vector<std::pair<std::string, std::span<float>>> WeightArrays();
  std::vector<std::pair<std::string, std::span<float>>> StateArrays();
  void Report();
  std::string Identity() const;
  std::string ResumeIdentity() const;
  std::string VocabularyLine() const;  // Of Identity().
  bool Bfloat16() const { return options_.precision == Precision::kBfloat16; }
  absl::Status DropLogAfterCheckpoint();

  Recipe recipe_;
  TrainingOptions options_;
  std::optional<FileLock> lock_;
  const Task& task_;
  RunData data_;
  Vocabulary vocabulary_;
  ThreadPool pool_;
  FastBackend backend_;
  Network<FastBackend> network_;
  Optimizer optimizer_;
  Pruning pruning_;
  ConstantDimensions constant_dimensions_;
  std::optional<WeightAverage> average_;  // Without average.decay: none.
  AverageTrigger average_trigger_;
  Batcher& batcher_;
  Network<FastBackend>::State state_;
  std::vector<std::unique_ptr<Network<FastBackend>>> teachers_;  // Of distillation.model.
  std::vector<Network<FastBackend>::State> teacher_states_;
  Distillation<float> distillation_;
  std::string teacher_digest_;
  std::unique_ptr<DeviceTrainer> device_;  // Null = the CPU trains.
  std::vector<DeviceTrainer*> device_teachers_;
  bool fetched_ = true;  // The arrays here are the device's.
  ScheduleState schedule_;
  int64_t step_ = 0;         // Segments done, all epochs.
  int64_t total_steps_ = 0;  // Of the schedules.
  int64_t last_step_ = 0;    // Where training ends.
  int64_t tokens_ = 0;       // Tokens trained on, all epochs.
  double recent_loss_ = 0;   // Since the last validation.
  int64_t recent_tokens_ = 0;
  double train_seconds_ = 0;  // In training steps, all processes of the run.
  RunProgress progress_;      // As of the last validation.
  double shown_at_ = 0;
  int64_t shown_tokens_ = 0;
};

}  // namespace bitlm::trainer
